"""Asking a command what it would do: the service does, and lists whose files have options of their own."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .pipeline import Task
    from .plan import Job


@dataclass
class Intercepted:
    """What a command would have done.

    Attributes:
        jobs: to what.
        prepare: as of `run`.
        planning: whether the first is wanted.
    """

    jobs: "Sequence[Job]" = ()
    prepare: "Callable[[int], Task[Any, Any]] | None" = None
    planning: bool = True


_intercepted: Intercepted | None = None


@contextmanager
def intercepting(planning: bool = True) -> Iterator[Intercepted]:
    """Within, `run` says what it would do, once all that can be refused was, and does nothing. For one thread.

    Args:
        planning: whether inputs and outputs are looked at, too.
    """
    global _intercepted
    _intercepted = Intercepted(planning=planning)
    try:
        yield _intercepted
    finally:
        _intercepted = None


def intercepted() -> Intercepted | None:
    """What is to be filled in, within `intercepting`."""
    return _intercepted
