"""How far a computation is: whoever computes for long reports it, whoever waits may listen. Imports nothing.

Nobody has to listen, and nobody has to be told where to report to: a process computes one thing at a time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_step: Callable[[int, int], None] | None = None
_show: Callable[[Callable[[], Any]], None] | None = None


class Stopped(BaseException):
    """Raised by a listener: nobody waits for the result any more. Like KeyboardInterrupt it is no Exception."""


@contextmanager
def listening(
    step: Callable[[int, int], None], show: Callable[[Callable[[], Any]], None] | None = None
) -> Iterator[None]:
    """Within, listen to what is computed.

    Args:
        step: is told how many steps of how many are done; may raise Stopped, which ends the computation.
        show: is given what makes an array (C, H, W) in [0, 1] of the picture so far. Making it takes time, so call it
            only if it is to be seen.
    """
    global _step, _show
    before = _step, _show
    _step, _show = step, show
    try:
        yield
    finally:
        _step, _show = before


def report(done: int, total: int) -> None:
    """Say that `done` of `total` steps are done.

    Example:
        >>> with listening(lambda done, total: print(f"{done}/{total}")):
        ...     report(1, 4)
        1/4
        >>> report(2, 4)
    """
    if _step is not None:
        _step(done, total)


def show(picture: Callable[[], Any]) -> None:
    """Offer the picture so far, see `listening`."""
    if _show is not None:
        _show(picture)
