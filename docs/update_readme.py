"""Renew what the pages show of the program: help texts here, measured numbers by docs/make_results.py.

The help texts stand in docs/commands.md between `<!-- help texts -->` and `<!-- end of help texts -->`.
tests/test_readme.py checks that no page is behind.
"""

import re
import runpy
import shlex
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import click
from click.testing import CliRunner

ROOT = Path(__file__).parents[1]
WIDTH = 80  # of the terminal: what is printed must not depend on whose it is
HELP = re.compile(r"(<!-- help texts -->\n).*?(<!-- end of help texts -->)", re.DOTALL)


def pages() -> list[Path]:
    """Every page of the repository, README first."""
    folders = ("docs", "weights", "examples")
    return [
        ROOT / "README.md",
        *sorted(ROOT.glob("C*.md")),
        *sorted(page for folder in folders for page in (ROOT / folder).rglob("*.md")),
    ]


def commands() -> Iterator[str]:
    """Every command that has a help text: `img2img`, `img2img denoise`, ..., `img2img weights list`."""
    (entry,) = entry_points(group="console_scripts", name="img2img")

    def below(name: str, command: click.Command) -> Iterator[str]:
        yield name
        if isinstance(command, click.Group):
            context = click.Context(command)
            for inner in command.list_commands(context):
                found = command.get_command(context, inner)
                if found is not None and not found.hidden:
                    yield from below(f"{name} {inner}", found)

    yield from below("img2img", entry.load())


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
    """The text with the help texts made anew, each under its command's name."""

    def made(block: re.Match[str]) -> str:
        texts = (f"\n### {command}\n\n```text\n{help_of(command)}```\n" for command in commands())
        return f"{block[1]}{''.join(texts)}\n{block[2]}"

    return HELP.sub(made, text)


if __name__ == "__main__":
    with_numbers = runpy.run_path(str(Path(__file__).with_name("make_results.py")))["renewed"]
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if (now := with_numbers(renewed(text))) != text:
            page.write_text(now, encoding="utf-8")
            print(page.relative_to(ROOT))
