"""What a command line asks for, apart from doing it: the service asks, and lists whose files have options of their own.

A command on the batch engine checks its options and returns its `Work`; `batch.BatchCommand` does it.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from img2img.errors import OptionError

from .report import describe

if TYPE_CHECKING:
    from .batch import BatchOptions
    from .pipeline import Task
    from .plan import Job, Naming


def _nothing(_skipped: "Sequence[Job]") -> None:
    pass


@dataclass(frozen=True)
class Work:
    """What is to be done to the inputs of a command line.

    Attributes:
        batch: the options of every batch: inputs, output and so on.
        naming: how outputs are called.
        prepare: loads what so many inputs need, and gives what is done to one. Called once, if there is anything to do,
            after all that can be refused was.
        begin: is told, once all that can be refused was, of the outputs that exist and are skipped.
        around: is entered before anything is looked at, and left in the end.
    """

    batch: "BatchOptions"
    naming: "Naming"
    prepare: "Callable[[int], Task[Any, Any]]"
    begin: "Callable[[Sequence[Job]], None]" = _nothing
    around: AbstractContextManager[Any] = field(default_factory=nullcontext)


def asked(context: click.Context, **changed: Any) -> Work:
    """The work that a command line asks for.

    Args:
        context: of a command on the batch engine.
        changed: values that take the place of the command line's.

    Raises:
        click.UsageError: its options make no sense.
    """
    callback = context.command.callback
    assert callback is not None
    try:
        work: Work = context.invoke(callback, **(context.params | changed))
    except OptionError as error:  # here, where the command's own names of its options are known
        raise click.UsageError(describe(error)) from error
    return work
