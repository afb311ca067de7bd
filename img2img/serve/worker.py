"""A process that computes, one thing after another, and the thread of the service that watches it.

What is computed is someone else's bytes: a crash, or memory that ends, takes this process along and not the service.
Networks are loaded at their first use and stay.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import Any

from ..errors import FormatError, Img2ImgError, TooLargeError, WeightsError
from ..progress import Stopped, listening
from .settings import ServiceError
from .spool import FULL
from .suite import Perform

LOOKS = 0.05  # seconds between two looks at whether a job is to be stopped
GRACE = 3.0  # seconds that a computation has for stopping by itself
PREVIEW_EVERY = 0.5  # seconds
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass
class Work:
    """One computation.

    Attributes:
        command, arguments, source, target: as of `Perform`.
        deadline: when it has taken too long, by time.monotonic().
        stop: set when nobody waits for it any more.
        told: is called with how far it is, from 0 to 1, and with a preview's file when there is a new one.
    """

    command: str
    arguments: tuple[str, ...]
    source: Path
    target: Path
    deadline: float
    told: Callable[[float | None, Path | None], None]
    stop: threading.Event = field(default_factory=threading.Event)


class Worker:
    """The process, seen from the service; started when there is work, and again after it has ended.

    Args:
        perform: what it does.
    """

    def __init__(self, perform: Perform) -> None:
        self.perform = perform
        self.starts = 0
        self._process: Any = None
        self._pipe: Any = None

    def start(self) -> None:
        """Start the process if none runs."""
        if self._process is not None and self._process.is_alive():
            return
        self.kill()
        context = get_context("spawn")  # the service has threads; a fork of it would not be sound
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=main, args=(theirs, self.perform), daemon=True, name="img2img worker")
        self._process.start()
        theirs.close()
        self.starts += 1

    def run(self, work: Work) -> dict[str, Any]:
        """Compute; blocks, so call it in a thread.

        Returns:
            the facts.

        Raises:
            ServiceError: whatever went wrong; 499 if it was stopped.
        """
        self.start()
        try:
            self._pipe.send((work.command, work.arguments, work.source, work.target))
            return self._watch(work)
        except (OSError, EOFError) as error:
            self.kill()
            raise ServiceError(500, "the computation ended without a result; perhaps memory ran out") from error

    def _watch(self, work: Work) -> dict[str, Any]:
        asked: float | None = None
        while True:
            if self._pipe.poll(LOOKS):
                kind, *values = self._pipe.recv()
                if kind == "progress":
                    work.told(*values)
                elif kind == "done":
                    facts: dict[str, Any] = values[0]
                    return facts
                elif kind == "failed":
                    status, text = values
                    raise ServiceError(status, text) if not _late(work) else too_slow()
                continue
            if asked is None and (work.stop.is_set() or _late(work)):
                asked = time.monotonic()
                self._pipe.send("stop")
            if asked is not None and time.monotonic() - asked > GRACE:
                self.kill()
                raise too_slow() if not work.stop.is_set() else ServiceError(499, "cancelled")

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None


def _late(work: Work) -> bool:
    return time.monotonic() > work.deadline


def too_slow() -> ServiceError:
    """What is answered when the time for a computation has run out."""
    return ServiceError(504, "it took longer than the service allows (--seconds)")


# ---- in the process


def main(pipe: connection.Connection, perform: Perform) -> None:
    """Compute what comes through the pipe until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the service decides what it means
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            return
        if message == "stop":  # came when the computation was over
            continue
        with suppress(BrokenPipeError):
            pipe.send(_answer(pipe, perform, *message))


def _end_with_parent() -> None:
    """A service that is killed leaves nobody computing."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _answer(
    pipe: connection.Connection, perform: Perform, command: str, arguments: tuple[str, ...], source: Path, target: Path
) -> tuple[Any, ...]:
    listener = _Listener(pipe, target)
    try:
        with listening(listener.step, listener.show):
            return "done", perform(command, arguments, source, target)
    except Stopped:
        return "failed", 499, "cancelled"
    except Exception as error:
        status, text = describe(error)
        if status == 500:
            print(f"img2img: {command}: {text}", file=sys.stderr)
            traceback.print_exception(error)
        return "failed", status, text


def describe(error: Exception) -> tuple[int, str]:
    """Status and line that answer an error."""
    text = " ".join(str(error).split())
    if isinstance(error, ServiceError):
        return error.status, error.text
    if isinstance(error, FormatError):
        return 415, text
    if isinstance(error, TooLargeError):
        return 413, text.partition("; raise max_pixels")[0]
    if isinstance(error, WeightsError):
        return 500, text
    if isinstance(error, Img2ImgError | ValueError):
        return 422, text
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return 507, FULL
    if isinstance(error, MemoryError) or ("memory" in text and "alloc" in text):
        return 507, "out of memory"
    return 500, f"{type(error).__name__}: {text}"


class _Listener:
    """Tells the service how far a computation is, now and then, and ends it when it is to stop."""

    def __init__(self, pipe: connection.Connection, target: Path) -> None:
        self.pipe, self.target = pipe, target
        self.told = self.shown = 0.0

    def step(self, done: int, total: int) -> None:
        self.check()
        now = time.monotonic()
        if now - self.told > LOOKS or done == total:
            self.told = now
            self.pipe.send(("progress", done / max(total, 1), None))

    def show(self, picture: Callable[[], Any]) -> None:
        now = time.monotonic()
        if now - self.shown < PREVIEW_EVERY:
            return
        self.shown = now
        file = self.target.with_suffix(".preview")
        write_preview(picture(), file)
        self.pipe.send(("progress", None, file))

    def check(self) -> None:
        if self.pipe.poll():
            self.pipe.recv()
            raise Stopped


def write_preview(picture: Any, file: Path) -> None:
    """Write an array (C, H, W) in [0, 1] as a small JPEG that appears at once."""
    import numpy as np
    from PIL import Image

    levels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    image = Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels[..., :3])
    image.thumbnail((1024, 1024))
    part = file.with_suffix(".part")
    image.save(part, "JPEG", quality=85)
    part.replace(file)
