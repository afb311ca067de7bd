"""Read, compute, write: the three at once, in order, little in memory. Knows nothing of pictures or terminals."""

import io
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any, BinaryIO, Generic, TypeVar

from img2img.errors import Img2ImgError, StorageError
from img2img.stores import opened, whole_output

from .plan import STREAM, Job
from .report import describe

MANY = 1_000_000  # inputs: however many a run has left, it computes alike

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
        size: bytes of the input.
        written: bytes of the output.
        again: whether the error may be gone at another try: it is not about what the input holds.
    """

    job: Job
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    trace: str = ""
    existed: bool = False
    lost: Sequence[str] | None = None
    size: int = 0
    written: int = 0
    again: bool = False


@lru_cache(maxsize=64)
def _task_alone(prepare: Callable[[int], Task[Any, Any]]) -> Task[Any, Any]:
    """The task of inputs with options of their own; networks are kept by the library."""
    return prepare(MANY)


class Pipeline(Generic[X, Y]):
    """Iterates over the results of jobs, in their order.

    Args:
        task: what to do.
        jobs: to what. An iterator that has ended may go on later: it is asked again whenever there is room.
        ahead: inputs read ahead, and results waiting to be written, at most.
        overwrite: replace outputs that exist.
        same: an output that exists and has just these bytes is a success, not `existed`.
        alone: there is one job, and no need for threads.
    """

    def __init__(
        self,
        task: Task[X, Y],
        jobs: Iterable[Job],
        ahead: int,
        overwrite: bool,
        same: bool = False,
        alone: bool = False,
    ) -> None:
        self.task = task
        self.ahead = ahead
        self.overwrite = overwrite
        self.same = same
        self._todo = iter(jobs)
        self._reading: deque[tuple[Job, Future[_Read[X]]]] = deque()
        self._writing: deque[Future[Result]] = deque()
        self._sizes: deque[int] = deque(maxlen=2 * ahead)  # of the latest inputs: the next will be alike
        self._alone = alone

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
            read = self._read(job)
        except Exception as error:
            return _failed(job, error)
        computed = self._compute(job, read)
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

    def _begin(self, job: Job, reading: "Future[_Read[X]]") -> "Future[Result]":
        """Compute what was read and have it written; a method of its own, so that nothing keeps the picture alive."""
        try:
            read = reading.result()
        except Exception as error:
            return _settled(_failed(job, error))
        self._sizes.append(self.task.size(read.x))
        self._read_ahead(self._room())
        computed = self._compute(job, read)
        if isinstance(computed, Result):
            return _settled(computed)
        return self._writers.submit(self._write, *computed)

    def _written(self, waiting: int) -> Iterator[Result]:
        """The results that are there, waiting until no more than so many are not."""
        while self._writing and (len(self._writing) > waiting or self._writing[0].done()):
            yield self._writing.popleft().result()

    def _task(self, job: Job) -> Task[Any, Any]:
        return self.task if job.prepare is None else _task_alone(job.prepare)

    def _read(self, job: Job) -> "_Read[X]":
        start = time.perf_counter()
        if job.source == STREAM:
            x, size = self.task.read(sys.stdin.buffer), 0
        else:
            with opened(job.source) as file:
                x = self._task(job).read(file)
                size = file.seek(0, io.SEEK_END)
        return _Read(x, size, time.perf_counter() - start)

    def _compute(self, job: Job, read: "_Read[X]") -> "Result | tuple[Job, Y, dict[str, Any], _Read[None]]":
        start = time.perf_counter()
        task = self._task(job)
        try:
            y, facts = task.apply(read.x, job) if task.with_job else task.apply(read.x)
        except Exception as error:
            return _failed(job, error)
        return job, y, facts, _Read(None, read.size, read.seconds + time.perf_counter() - start)

    def _write(self, job: Job, y: Y, facts: dict[str, Any], so_far: "_Read[None]") -> Result:
        start = time.perf_counter()
        written = 0
        try:
            if job.target == STREAM:
                lost = self._write_stream(job, y)
            else:
                with whole_output(job.target, self.overwrite or job.replace, self.same or job.same) as file:
                    lost = self._task(job).write(y, file, job.format)
                    written = file.seek(0, io.SEEK_END)
        except FileExistsError:
            return Result(job, existed=True)
        except BrokenPipeError:
            raise  # nobody reads standard output any more: no failure of this job
        except Exception as error:
            return _failed(job, error, f"cannot write {job.target}: ")
        seconds = so_far.seconds + time.perf_counter() - start
        return Result(job, seconds, facts, lost=lost, size=so_far.size, written=written)

    def _write_stream(self, job: Job, y: Y) -> Sequence[str] | None:
        buffer = io.BytesIO()  # some formats need a file that can seek
        lost = self.task.write(y, buffer, job.format)
        sys.stdout.buffer.write(buffer.getbuffer())
        sys.stdout.buffer.flush()
        return lost


@dataclass
class _Read(Generic[X]):
    """What was read of an input, how many bytes it has, and the seconds so far."""

    x: X
    size: int
    seconds: float


def _failed(job: Job, error: Exception, doing: str = "") -> Result:
    # Text only: the exception would hold on to the pictures in its frames.
    again = isinstance(error, StorageError) or not isinstance(error, Img2ImgError | FileNotFoundError)
    text = doing + describe(error)
    return Result(job, error=text, trace="".join(traceback.format_exception(error)), again=again)


def _settled(result: Result) -> "Future[Result]":
    future: Future[Result] = Future()
    future.set_result(result)
    return future
