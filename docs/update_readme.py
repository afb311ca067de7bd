"""Renew the blocks of README.md that show what `--help` prints; tests/test_readme.py checks that they are up to date.

A block stands between `<!-- help: img2img denoise -->` and `<!-- end of help -->`.
"""

import re
import shlex
from importlib.metadata import entry_points
from pathlib import Path

from click.testing import CliRunner

README = Path(__file__).parents[1] / "README.md"
WIDTH = 80  # of the terminal: what is printed must not depend on whose it is
BLOCK = re.compile(r"(<!-- help: (?P<command>.+?) -->\n).*?(<!-- end of help -->)", re.DOTALL)


def help_of(command: str) -> str:
    """What `COMMAND --help` prints, COMMAND being `img2img` or `img2img denoise`."""
    program, *names = shlex.split(command)
    (entry,) = entry_points(group="console_scripts", name=program)
    result = CliRunner().invoke(
        entry.load(), [*names, "--help"], prog_name=program, terminal_width=WIDTH, catch_exceptions=False
    )
    if result.exit_code:
        raise SystemExit(f"{command} --help failed: {result.output}")
    return result.stdout


def renewed(text: str) -> str:
    """The text with every block's contents made anew."""
    return BLOCK.sub(lambda block: f"{block[1]}```text\n{help_of(block['command'])}```\n{block[3]}", text)


if __name__ == "__main__":
    README.write_text(renewed(README.read_text(encoding="utf-8")), encoding="utf-8")
