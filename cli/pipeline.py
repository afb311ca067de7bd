"""Read, compute, write: the three at once, in order, little in memory. Knows nothing of pictures or terminals."""

import io
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO, Generic, TypeVar

from img2img.stores import opened, whole_output

from .plan import STREAM, Job
from .report import describe

X = TypeVar("X")
Y = TypeVar("Y")

WAITING_BYTES = 256 << 20
"""Pictures that wait for computing, and those that wait for writing, take about this much at most; a larger one waits
alone."""


@dataclass(frozen=True)
class Task(Generic[X, Y]):
    """What a command does to one input. Each function may raise; that is then this input's failure alone.

    Attributes:
        read: from the bytes of an input. Called in several threads.
        apply: the computation, and what `--json` says of it. Called in the main thread, one at a time.
        write: a result to a seekable file, in a format; returns what the file could not hold, in words, if the command
            knows of such. Called in several threads.
        size: bytes that a read input takes in memory.
        with_job: whether `apply` is given the job, too, since more than the input decides: its further inputs, which
            `apply` reads, or its number.
    """

    read: Callable[[BinaryIO], X]
    apply: Callable[..., tuple[Y, dict[str, Any]]]
    write: Callable[[Y, BinaryIO, str], Sequence[str] | None]
    size: Callable[[X], int]
    with_job: bool = False


@dataclass(frozen=True)
class Result:
    """How one job ended.

    Attributes:
        job: which.
        seconds: for reading, computing and writing, without waiting.
        facts: what the task says of it.
        error: one line if it failed.
        trace: the traceback of that.
        existed: the output came into being meanwhile and was left as it is.
        lost: what the output lacks of the input, in words; None where that is not asked.
    """

    job: Job
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    trace: str = ""
    existed: bool = False
    lost: Sequence[str] | None = None


class Pipeline(Generic[X, Y]):
    """Iterates over the results of jobs, in their order.

    Args:
        task: what to do.
        jobs: to what.
        ahead: inputs read ahead, and results waiting to be written, at most.
        overwrite: replace outputs that exist.
    """

    def __init__(self, task: Task[X, Y], jobs: Sequence[Job], ahead: int, overwrite: bool) -> None:
        self.task = task
        self.ahead = ahead
        self.overwrite = overwrite
        self._todo = iter(jobs)
        self._reading: deque[tuple[Job, Future[tuple[X, float]]]] = deque()
        self._writing: deque[Future[Result]] = deque()
        self._sizes: deque[int] = deque(maxlen=2 * ahead)  # of the latest inputs: the next will be alike
        self._alone = len(jobs) == 1

    def stop(self) -> None:
        """Begin nothing new; what is computed is still written."""
        self._todo = iter(())
        for _, future in self._reading:
            future.cancel()
        self._reading.clear()

    def __iter__(self) -> Generator[Result, None, None]:
        if self._alone:  # in the main thread, so that Ctrl-C also ends a wait for standard input
            for job in self._todo:
                yield self._one(job)
            return
        self._readers = ThreadPoolExecutor(self.ahead, "read")
        self._writers = ThreadPoolExecutor(self.ahead, "write")
        try:
            yield from self._all()
        finally:
            # After Ctrl-C as well: what is being written is finished, what has not begun never will.
            self._readers.shutdown(wait=False, cancel_futures=True)
            self._writers.shutdown(wait=True, cancel_futures=True)

    def _one(self, job: Job) -> Result:
        try:
            x, seconds = self._read(job)
        except Exception as error:
            return _failed(job, error)
        computed = self._compute(job, x, seconds)
        return computed if isinstance(computed, Result) else self._write(*computed)

    def _all(self) -> Iterator[Result]:
        self._read_ahead(1)
        while self._reading:
            self._writing.append(self._begin(*self._reading.popleft()))
            yield from self._written(self._room())
            self._read_ahead(max(1, self._room()))
        yield from self._written(0)

    def _room(self) -> int:
        """How many pictures like the latest ones may wait; none while their size is unknown or too large."""
        return min(self.ahead, WAITING_BYTES // max(1, *self._sizes)) if self._sizes else 0

    def _read_ahead(self, count: int) -> None:
        for job in islice(self._todo, max(0, count - len(self._reading))):
            self._reading.append((job, self._readers.submit(self._read, job)))

    def _begin(self, job: Job, reading: "Future[tuple[X, float]]") -> "Future[Result]":
        """Compute what was read and have it written; a method of its own, so that nothing keeps the picture alive."""
        try:
            x, seconds = reading.result()
        except Exception as error:
            return _settled(_failed(job, error))
        self._sizes.append(self.task.size(x))
        self._read_ahead(self._room())
        computed = self._compute(job, x, seconds)
        if isinstance(computed, Result):
            return _settled(computed)
        return self._writers.submit(self._write, *computed)

    def _written(self, waiting: int) -> Iterator[Result]:
        """The results that are there, waiting until no more than so many are not."""
        while self._writing and (len(self._writing) > waiting or self._writing[0].done()):
            yield self._writing.popleft().result()

    def _read(self, job: Job) -> tuple[X, float]:
        start = time.perf_counter()
        if job.source == STREAM:
            x = self.task.read(sys.stdin.buffer)
        else:
            with opened(job.source) as file:
                x = self.task.read(file)
        return x, time.perf_counter() - start

    def _compute(self, job: Job, x: X, seconds: float) -> "Result | tuple[Job, Y, dict[str, Any], float]":
        start = time.perf_counter()
        try:
            y, facts = self.task.apply(x, job) if self.task.with_job else self.task.apply(x)
        except Exception as error:
            return _failed(job, error)
        return job, y, facts, seconds + time.perf_counter() - start

    def _write(self, job: Job, y: Y, facts: dict[str, Any], seconds: float) -> Result:
        start = time.perf_counter()
        try:
            if job.target == STREAM:
                lost = self._write_stream(job, y)
            else:
                with whole_output(job.target, self.overwrite or job.replace) as file:
                    lost = self.task.write(y, file, job.format)
        except FileExistsError:
            return Result(job, existed=True)
        except BrokenPipeError:
            raise  # nobody reads standard output any more: no failure of this job
        except Exception as error:
            return _failed(job, error, f"cannot write {job.target}: ")
        return Result(job, seconds + time.perf_counter() - start, facts, lost=lost)

    def _write_stream(self, job: Job, y: Y) -> Sequence[str] | None:
        buffer = io.BytesIO()  # some formats need a file that can seek
        lost = self.task.write(y, buffer, job.format)
        sys.stdout.buffer.write(buffer.getbuffer())
        sys.stdout.buffer.flush()
        return lost


def _failed(job: Job, error: Exception, doing: str = "") -> Result:
    # Text only: the exception would hold on to the pictures in its frames.
    return Result(job, error=doing + describe(error), trace="".join(traceback.format_exception(error)))


def _settled(result: Result) -> "Future[Result]":
    future: Future[Result] = Future()
    future.set_result(result)
    return future
