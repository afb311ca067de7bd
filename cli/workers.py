"""Jobs for many workers: whatever dies on the way, every job ends once, as a result or as a failure.

Who the workers are, a `Crew` knows: processes of this machine, or Ray's actors (on_ray.py). Each does what the batch
does in one process: a `Pipeline`.
"""

import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing import connection, get_context
from operator import length_hint
from typing import Any, Protocol

from img2img.errors import Img2ImgError
from img2img.runtime import threads

from .pipeline import MANY, Pipeline, Result, Task
from .plan import Job
from .report import describe

DEATHS_AT_START = 3  # one after the other, of workers that had not begun: it is no accident
DIED = "the process that computed it died, twice; perhaps memory ran out"
FEWEST = 2  # jobs that a worker holds while there are some: one to compute, one to read ahead
PATIENCE = 10.0  # seconds in which a worker ends what it has begun, after Ctrl-C

Prepare = Callable[[int], Task[Any, Any]]


@dataclass(frozen=True)
class Settings:
    """How workers work.

    Attributes:
        ahead, overwrite, same: as of `Pipeline`.
        threads: of each worker's computation.
        folder: that relative paths are relative to.
    """

    ahead: int
    overwrite: bool
    same: bool
    threads: int
    folder: str

    def begin(self) -> None:
        """Make a fresh process work so; before PyTorch and onnxruntime are imported."""
        os.environ["OMP_NUM_THREADS"] = str(self.threads)
        with suppress(OSError):
            os.chdir(self.folder)

    def pipeline(self, task: Task[Any, Any], jobs: Iterable[Job]) -> Pipeline[Any, Any]:
        """What does these jobs."""
        return Pipeline(task, jobs, self.ahead, self.overwrite, self.same)


class Crew(Protocol):
    """Workers that are numbered from 0, and replaced when they die."""

    count: int

    def room(self, worker: int, held: int) -> int:
        """How many jobs a worker is to be given now that it holds so many."""

    def give(self, worker: int, jobs: Sequence[Job]) -> None:
        """Give a worker jobs, which it does in this order."""

    def wait(self) -> Iterator[tuple[int, Sequence[Result] | None]]:
        """Wait for results, in the order of the jobs given; None means that the worker died, and another is there."""

    def close(self) -> None:
        """End all; what they have begun to write is whole or not there."""


class Workers:
    """Iterates over the results of jobs, in the order in which they come.

    What is left is shared out in ever smaller parts, so that all end at about the same time, a short list's, too. An
    error that may be gone at another try gets one, at the end. After a worker's death each job that it held is done
    alone; one with which alone a worker dies twice is listed.

    Args:
        crew: the workers; closed at the end.
        jobs: what is to be done.
    """

    def __init__(self, crew: Crew, jobs: Iterable[Job]) -> None:
        self.crew = crew
        self._todo = iter(jobs)
        self._left = length_hint(jobs, MANY)  # of these
        self._again: deque[Job] = deque()
        self._alone: deque[Job] = deque()
        self._failed: set[str] = set()
        self._deaths: Counter[str] = Counter()
        self._held: list[deque[Job]] = [deque() for _ in range(crew.count)]
        self._suspecting: set[int] = set()  # workers that have one job alone

    def stop(self) -> None:
        """Begin nothing new."""
        self._todo = iter(())
        self._again.clear()
        self._alone.clear()

    def __iter__(self) -> Generator[Result, None, None]:
        try:
            while True:
                for worker in range(self.crew.count):
                    self._supply(worker)
                if not any(self._held):
                    return
                for worker, results in self.crew.wait():
                    yield from self._died(worker) if results is None else self._came(worker, results)
        finally:
            self.crew.close()

    def _supply(self, worker: int) -> None:
        held = self._held[worker]
        if worker in self._suspecting:
            return
        if self._alone and not held:
            self._suspecting.add(worker)
            jobs = [self._alone.popleft()]
        else:
            jobs = list(islice(self._todo, min(self.crew.room(worker, len(held)), self._fair(len(held)))))
            self._left -= len(jobs)
            if not jobs and not held and self._again:
                jobs = [self._again.popleft()]
        if jobs:
            held.extend(jobs)
            self.crew.give(worker, jobs)

    def _fair(self, held: int) -> int:
        """How many more a worker may have: half of its share of what is left, or of the last ones all of it."""
        share = -(-self._left // self.crew.count)
        return max(0, max(min(FEWEST, share), share // 2) - held)

    def _came(self, worker: int, results: Sequence[Result]) -> Iterator[Result]:
        self._suspecting.discard(worker)
        for result in results:
            job = self._held[worker].popleft()
            if result.again and job.target not in self._failed:
                self._failed.add(job.target)
                self._again.append(replace(job, same=True))
            else:
                yield result

    def _died(self, worker: int) -> Iterator[Result]:
        self._suspecting.discard(worker)
        lost = [*self._held[worker]]
        self._held[worker].clear()
        for job in lost:
            self._deaths[job.target] += len(lost) == 1  # of several nobody knows whose death it was
            if self._deaths[job.target] > 1:
                yield Result(job, error=DIED)
            else:
                self._alone.append(replace(job, same=True))


# ---- processes of this machine


class Processes:
    """A crew of processes.

    Args:
        prepare: loads the task; can be pickled.
        count: how many.
        settings: how they work; threads 0 shares the cores.

    Raises:
        Img2ImgError: they cannot start; also later.
    """

    def __init__(self, prepare: Prepare, count: int, settings: Settings) -> None:
        self.count = count
        self._prepare, self._settings = prepare, settings
        self._context = get_context("spawn")  # of a process with threads a fork would not be sound
        self._deaths = 0
        self._workers = [self._start() for _ in range(count)]

    def _start(self) -> tuple[Any, Any]:
        ours, theirs = self._context.Pipe()
        arguments = (theirs, self._prepare, self._settings)
        process = self._context.Process(target=work, args=arguments, daemon=True, name="img2img worker")
        process.start()
        theirs.close()
        return process, ours

    def room(self, worker: int, held: int) -> int:
        """Enough for reading ahead and writing behind, and for the way here and back."""
        depth = 2 * self._settings.ahead + 2
        return depth - held if held <= depth // 2 else 0

    def give(self, worker: int, jobs: Sequence[Job]) -> None:
        with suppress(OSError):  # if it has died, `wait` finds out
            self._workers[worker][1].send(jobs)

    def wait(self) -> Iterator[tuple[int, Sequence[Result] | None]]:
        numbers = {pipe: number for number, (_, pipe) in enumerate(self._workers)}
        for pipe in connection.wait([*numbers]):
            number = numbers[pipe]
            try:
                kind, value = self._workers[number][1].recv()
            except (EOFError, OSError):
                self._replace(number)
                yield number, None
                continue
            if kind == "broken":
                raise Img2ImgError(value)
            self._deaths = 0
            if kind == "done":
                yield number, value

    def _replace(self, number: int) -> None:
        process, pipe = self._workers[number]
        pipe.close()
        process.join(PATIENCE)
        process.kill()
        self._deaths += 1
        if self._deaths > DEATHS_AT_START * self.count:
            raise Img2ImgError(f"workers die again and again (exit code {process.exitcode}); perhaps memory ran out")
        self._workers[number] = self._start()

    def close(self) -> None:
        for _, pipe in self._workers:
            pipe.close()
        for process, _ in self._workers:
            process.join(PATIENCE)
            process.kill()
            process.join()


class _Feed:
    """The jobs that come through a pipe: an iterator that ends when there are none, and goes on when there are."""

    def __init__(self, pipe: connection.Connection) -> None:
        self._pipe = pipe
        self._jobs: deque[Job] = deque()
        self._open = True

    def wait(self) -> bool:
        """Wait for jobs; no when there will be none."""
        while self._open and not self._jobs:
            self._receive()
        return self._open

    def _receive(self) -> None:
        try:
            self._jobs.extend(self._pipe.recv())
        except (EOFError, OSError):
            self._jobs.clear()
            self._open = False

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> Job:
        while self._open and self._pipe.poll():
            self._receive()
        if not self._jobs:
            raise StopIteration
        return self._jobs.popleft()


def work(pipe: connection.Connection, prepare: Prepare, settings: Settings) -> None:
    """Do what comes through the pipe until it is closed, or the other process ends, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; who gave the jobs says what it means
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    settings.begin()
    with suppress(OSError):
        try:
            task = prepare(MANY)
        except Exception as error:
            pipe.send(("broken", describe(error)))
            return
        pipe.send(("ready", None))
        feed = _Feed(pipe)
        while feed.wait():
            for result in settings.pipeline(task, feed):
                pipe.send(("done", [result]))


def shared_threads(workers: int) -> int:
    """The threads of each worker of a machine's."""
    return max(1, threads() // workers)
