"""The command `img2img`: a group whose commands are imported when they are used."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

import img2img
from img2img.register import TASKS

from .debug import debug, debugging
from .report import describe, say_error, say_note

TOOLS = (
    "info",
    "manifest",
    "pairs",
    "train",
    "export",
    "bench",
    "study",
    "serve",
    "weights",
)  # what belongs to no one task
COMMANDS = (*(command for task in TASKS for command in task.commands), *TOOLS)
# The first words of each command's help, here so that `img2img --help` need not import them all.
HELP = {
    "denoise": "Remove noise from pictures.",
    "texture": "Make more of a texture, as much as wanted, from a sample.",
    "translate": "Turn pictures into what a model was trained to make of them:"
    " colours of grey, photographs of drawings.",
    "compress": "Compress pictures into .i2i files.",
    "decompress": "Make pictures of .i2i files.",
    "info": "Print as JSON what a .i2i or weight FILE, or shipped weights, say of themselves.",
    "manifest": "Print as JSON what manifests (--manifest) say: done, failed by reason, bytes, seconds, what is left.",
    "pairs": "Make pairs of the photographs in DIR, to train a translator with: OUT gets PNGs, A left and B right.",
    "train": "Train the weights of TASK; print the file of the best ones.",
    "export": "Write a denoiser or translator as an ONNX file, for programs without PyTorch.",
    "bench": "Measure a task's results beside what else could be used.",
    "study": "Make the study NAME: a folder with a page, its pictures as PNGs, and findings.json;"
    " print the page's path.",
    "serve": "Open the suite as a page in the browser, and as a service for programs.",
    "weights": "List, verify or locate the trained weights.",
}


def _with_file(error: Exception) -> str:
    """Name the file of an error that no command has put in its own words."""
    name = error.filename if isinstance(error, OSError) else None
    return f"{name}: {describe(error)}" if name else describe(error)


class LazyGroup(click.Group):
    """Imports `img2img.cli.<name>` when the command is used, and says every error in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order of the help text."""
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with the beginning of their help, as click does."""
        width = formatter.width - 6 - max(map(len, COMMANDS))
        with formatter.section("Commands"):
            shown = [(name, click.Command(name, help=HELP[name]).get_short_help_str(width)) for name in COMMANDS]
            formatter.write_dl(shown)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; it is called as its module is."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f".{cmd_name}", __package__)
        command: click.Command = getattr(module, cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn what it raises into a message unless --debug asks for the traceback."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise click.Abort from interrupt
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # click and main() know what these mean
        except Exception as error:
            if debugging():
                raise
            raise click.ClickException(_with_file(error)) from error

    def main(self, args: Sequence[str] | None = None, standalone_mode: bool = True, **extra: Any) -> Any:  # type: ignore[override]
        """Run and exit: 0 all well, 1 failed, 2 wrong use, 130 interrupted."""
        if not standalone_mode:
            return super().main(args, standalone_mode=False, **extra)
        try:
            code = super().main(args, standalone_mode=False, **extra)
        except click.Abort:  # click's name for Ctrl-C
            say_note("interrupted")
            sys.exit(130)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            say_error(error.format_message())
            sys.exit(error.exit_code)
        sys.exit(code)


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(img2img.__version__, prog_name="img2img")
@debug
def main() -> None:
    """Turn images into better or other images with trained networks."""
    from img2img.runtime import share_the_machine  # `img2img --help` needs none of it

    share_the_machine()
