"""A command on the batch engine that needs no network: it turns text files into capitals.

Imported by tests, and run as a script where a test needs a process of its own. What a file says decides what happens:
`broken`, `bug`, `memory` fail while being read or computed; `wait` takes as many seconds as SHOUT_SECONDS says; `once`
fails the first time, and `crash` kills the process, `crash once` the first time.
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

import click

from img2img.cli import options
from img2img.cli.batch import BatchCommand, BatchOptions
from img2img.cli.main import LazyGroup
from img2img.cli.pipeline import Task
from img2img.cli.plan import Naming
from img2img.cli.work import Work
from img2img.errors import ImageError

NAMING = Naming("_loud", readable=(".txt", ".text"), formats={".txt": "txt", ".caps": "caps"}, default=".txt")


def read(file: BinaryIO) -> str:
    """A file's text."""
    text = file.read().decode()
    if "broken" in text:
        raise ImageError("broken text")
    return text


def apply(text: str) -> tuple[str, dict[str, Any]]:
    """The text in capitals."""
    if "bug" in text:
        raise ZeroDivisionError("a bug\nin two lines")
    if "memory" in text:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
    if "once" in text and not Path("happened").exists():
        Path("happened").touch()
        if "crash" in text:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(5, "Input/output error")
    if "crash" in text and "once" not in text:
        os.kill(os.getpid(), signal.SIGKILL)
    if "wait" in text:
        time.sleep(float(os.environ["SHOUT_SECONDS"]))
    return text.upper(), {"letters": len(text)}


def write(text: str, file: BinaryIO, format: str) -> None:
    """Write it in pieces, as encoders do."""
    for start in range(0, len(text), 1000):
        file.write(text[start : start + 1000].encode())


def prepare(_inputs: int) -> "Task[str, str]":
    """The task; a function of a module, so that other processes find it."""
    return Task(read, apply, write, size=len)


class Group(LazyGroup):
    """The real group with this command in it."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find `shout`."""
        return shout if cmd_name == "shout" else None


@click.command(cls=BatchCommand)
@options.batch
def shout(batch: BatchOptions) -> Work:
    """Turn text files into capitals."""
    return Work(batch, NAMING, prepare)


@click.command(cls=Group)
@options.debug
def main() -> None:
    """Hold the command as img2img does."""


if __name__ == "__main__":
    main(["shout", *sys.argv[1:]])
