"""Ctrl-C during a training: the step in hand is finished and saved, and nothing is lost."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C, and what a job scheduler sends


@dataclass
class Interrupt:
    """Whether somebody has asked to stop."""

    asked: bool = False


@contextmanager
def at_a_step(quiet: bool = False) -> Iterator[Interrupt]:
    """Within it Ctrl-C only asks to stop, because half a step cannot be gone on with; a second one stops at once."""
    interrupt = Interrupt()

    def ask(_number: int, _frame: Any) -> None:
        if interrupt.asked:
            raise KeyboardInterrupt
        interrupt.asked = True
        if not quiet:
            print("stopping after this step; --resume goes on from it", file=sys.stderr)

    if threading.current_thread() is not threading.main_thread():  # only that one may handle signals
        yield interrupt
        return
    before = {number: signal.signal(number, ask) for number in SIGNALS}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
