"""The command `img2img`, as it is installed: from its entry point, run in this process."""

from importlib.metadata import entry_points

import click
from click.testing import CliRunner, Result

(ENTRY,) = entry_points(group="console_scripts", name="img2img")


def command() -> click.Group:
    """The command itself."""
    group: click.Group = ENTRY.load()
    return group


def run(*args: str, stdin: bytes | str | None = None) -> Result:
    """`img2img ARGS`."""
    return CliRunner().invoke(command(), args, input=stdin)
