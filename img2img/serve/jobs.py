"""The queue: what waits, what is computed, and what can be fetched."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .settings import Limits, ServiceError
from .spool import Spool
from .suite import Checked, Suite
from .worker import Work, Worker

State = Literal["queued", "running", "done", "failed", "cancelled"]
REMEMBERED = 1000  # jobs that have ended
STOPPING = "the service is stopping"
LINGER = 5.0  # seconds that a stopping service waits for results to be fetched


@dataclass(eq=False)
class Job:
    """One request.

    Attributes:
        id: nobody can guess it.
        command: denoise and so on.
        checked: its arguments, and the format of the result.
        source: the upload.
        target: the result.
        state: where it is.
        progress: from 0 to 1; None while nothing is known.
        previews: so many pictures of an unfinished result there have been.
        preview: the file of the latest.
        facts: what is known of the result.
        error: what is answered instead.
        size: bytes of the result.
        seconds: of computing.
        ended: is set in the end.
    """

    id: str
    command: str
    checked: Checked
    source: Path
    target: Path
    state: State = "queued"
    progress: float | None = None
    previews: int = 0
    preview: Path | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    error: ServiceError | None = None
    size: int = 0
    seconds: float = 0.0
    when: float = 0.0
    fetched: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    work: Work | None = None

    def about(self) -> dict[str, Any]:
        """What a client is told of it."""
        about: dict[str, Any] = {"id": self.id, "task": self.command, "state": self.state, "progress": self.progress}
        if self.previews:
            about["previews"] = self.previews
        if self.state == "done":
            about |= {"bytes": self.size, "seconds": round(self.seconds, 3), "format": self.checked.format}
            about["facts"] = self.facts
        if self.error is not None:
            about |= {"error": self.error.text, "status": self.error.status}
        return about


class Jobs:
    """All requests of a service.

    Args:
        suite: what it can do.
        limits: of it.
        spool: where files lie.
        workers: processes.
    """

    def __init__(self, suite: Suite, limits: Limits, spool: Spool, workers: int = 1) -> None:
        self.suite, self.limits, self.spool = suite, limits, spool
        self.workers = [Worker(suite.perform) for _ in range(workers)]
        self.waiting: deque[Job] = deque()
        self.all: dict[str, Job] = {}
        self.receiving = 0
        self.stopping = False
        self.counts: Counter[tuple[str, str]] = Counter()  # of jobs that have ended: command, state
        self.spent: defaultdict[str, float] = defaultdict(float)  # seconds by command
        self._more = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    # ---- a request's way

    def admit(self) -> Place:
        """A place in the queue, before an upload is received.

        Raises:
            ServiceError: there is none, or the service is stopping.
        """
        if self.stopping:
            raise ServiceError(503, STOPPING)
        if self.receiving + len(self.waiting) >= self.limits.queue:
            raise ServiceError(429, f"{self.limits.queue} requests wait already; try again later")
        return Place(self)

    def submit(self, command: str, checked: Checked, source: Path) -> Job:
        """Queue an upload."""
        job = Job(secrets.token_urlsafe(16), command, checked, source, self.spool.path())
        self.all[job.id] = job
        self.waiting.append(job)
        self._more.set()
        return job

    def find(self, id: str) -> Job:
        """The job of an id.

        Raises:
            ServiceError: there is none.
        """
        if (job := self.all.get(id)) is None:
            raise ServiceError(404, "there is no such job, or it was removed")
        return job

    def place(self, job: Job) -> int:
        """How many are before it in the queue."""
        return self.waiting.index(job) if job in self.waiting else 0

    def cancel(self, job: Job) -> None:
        """Nobody wants it any more: stop it, and remove its files."""
        if job in self.waiting:
            self.waiting.remove(job)
            self._end(job, "cancelled")
        elif job.work is not None and not job.ended.is_set():
            job.work.stop.set()
        else:
            self.remove(job)

    def remove(self, job: Job) -> None:
        """Forget a job that has ended."""
        self.all.pop(job.id, None)
        self._remove_files(job)

    def _remove_files(self, job: Job) -> None:
        self.spool.remove(job.source, job.target, *([] if job.preview is None else [job.preview]))

    def make_room(self, size: int) -> None:
        """Give up results that nobody has fetched, the oldest first, until so many bytes fit."""
        for job in list(self.all.values()):
            if self.spool.used + size <= self.spool.limit:
                return
            if job.state == "done":
                self.remove(job)

    # ---- computing

    def start(self) -> None:
        """Begin to work."""
        self._tasks = [asyncio.create_task(self._serve(worker)) for worker in self.workers]
        self._tasks.append(asyncio.create_task(self._tidy()))

    async def _serve(self, worker: Worker) -> None:
        await asyncio.to_thread(worker.start)  # at once, so that the first request does not wait for imports
        while True:
            while not self.waiting:
                self._more.clear()
                await self._more.wait()
            await self._compute(worker, self.waiting.popleft())

    async def _compute(self, worker: Worker, job: Job) -> None:
        loop = asyncio.get_running_loop()
        start = time.monotonic()

        def told(progress: float | None, preview: Path | None) -> None:
            if progress is not None:
                job.progress = progress
            if preview is not None:
                job.preview = preview
                job.previews += 1
                loop.call_soon_threadsafe(self.spool.measure, preview)

        job.state = "running"
        job.work = Work(job.command, job.checked.arguments, job.source, job.target, start + self.limits.seconds, told)
        try:
            job.facts = await asyncio.to_thread(worker.run, job.work)
            job.progress, job.size = 1.0, self.spool.measure(job.target)
            job.seconds = time.monotonic() - start
            self._end(job, "cancelled" if job.work.stop.is_set() else "done")
        except ServiceError as error:
            job.error = None if error.status == 499 else error
            self._end(job, "cancelled" if job.error is None else "failed")
        except Exception as error:  # a fault of ours must not end the loop
            job.error = ServiceError(500, f"{type(error).__name__}: {error}")
            self._end(job, "failed")
        self.spent[job.command] += time.monotonic() - start

    def _end(self, job: Job, state: State) -> None:
        job.state, job.when = state, time.monotonic()
        self.counts[job.command, state] += 1
        if state == "done":
            self.spool.remove(job.source)
        else:
            self._remove_files(job)
        job.ended.set()

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(min(5.0, self.limits.keep))
            self.tidy()

    def tidy(self) -> None:
        """Remove what was kept long enough."""
        ended = [job for job in self.all.values() if job.ended.is_set()]
        oldest = time.monotonic() - self.limits.keep
        for job in [*(job for job in ended if job.when < oldest), *ended[: -REMEMBERED or None]]:
            self.remove(job)

    # ---- the end

    async def stop(self) -> None:
        """Finish what is computed, refuse what waits; results are given a moment to be fetched."""
        self.stopping = True
        for job in list(self.waiting):
            self.waiting.remove(job)
            job.error = ServiceError(503, STOPPING)
            self._end(job, "failed")
        running = [job for job in self.all.values() if job.state == "running"]
        for job in running:
            await job.ended.wait()
        until = time.monotonic() + LINGER
        while time.monotonic() < until and not all(_settled(job) for job in running):
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        """End at once."""
        self.stopping = True
        for job in self.all.values():
            if job.work is not None:
                job.work.stop.set()
        for task in self._tasks:
            task.cancel()
        for worker in self.workers:
            await asyncio.to_thread(worker.kill)
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self.spool.close()

    def running(self) -> Sequence[Job]:
        """What is computed now."""
        return [job for job in self.all.values() if job.state == "running"]


def _settled(job: Job) -> bool:
    return job.fetched or job.state != "done"


class Place:
    """A place in the queue while an upload is received."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs

    def __enter__(self) -> None:
        self.jobs.receiving += 1

    def __exit__(self, *_: object) -> None:
        self.jobs.receiving -= 1
