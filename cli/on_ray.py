"""Workers that are Ray's actors, on this machine or, with RAY_ADDRESS, on a cluster.

Every node needs the suite, and sees the files: at addresses, or on a file system that all share.
"""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from img2img.errors import Img2ImgError

from .pipeline import MANY, Result
from .plan import Job
from .report import describe, say_note
from .workers import PATIENCE, Prepare, Settings

SECONDS = 1.0  # of work in one call: its own cost is some milliseconds
MOST = 64  # jobs in one call
CALLS = 2  # given to an actor: while it does one, the other is on its way
LONG = 20.0  # seconds after which it is said what is waited for


class Actor:
    """What an actor does, in a process of Ray's."""

    def __init__(self, prepare: Prepare, settings: Settings) -> None:
        self.settings, self.prepare = settings, prepare
        settings.begin()
        self.task: Any = None

    def ready(self) -> str:
        """Load what is needed; says what went wrong."""
        try:
            self.task = self.prepare(MANY)
        except Exception as error:
            return describe(error)
        return ""

    def run(self, jobs: list[Job]) -> list[Result]:
        """Do jobs."""
        if self.task is None and (broken := self.ready()):
            raise RuntimeError(broken)
        return [*self.settings.pipeline(self.task, jobs)]


class RayCrew:
    """A crew of Ray's actors.

    Args:
        prepare: loads the task.
        count: how many actors; None for as many as the cluster's processors allow.
        settings: how they work; the threads are those of the processors that an actor is given.
        cpus: processors of each.
        gpus: GPUs of each; may be a part of one.

    Raises:
        Img2ImgError: Ray is not installed or cannot be reached; actors cannot start, also later.
    """

    def __init__(self, prepare: Prepare, count: int | None, settings: Settings, cpus: float, gpus: float) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere unless the user asks for it
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_worker_niceness", "0")  # else whatever else runs on the machine goes first
        try:
            import ray
        except ImportError as error:
            raise Img2ImgError("--ray needs the extra ray: pip install 'img2img-suite[ray]'") from error
        self._ray: Any = ray
        self._mine = not ray.is_initialized()
        if self._mine:
            self._connect(count, cpus)
        total = ray.cluster_resources()
        self.count = count or max(1, int(total.get("CPU", 1) // max(cpus, 0.01)))
        if self.count * gpus > total.get("GPU", 0):
            self.close()
            raise Img2ImgError(f"{self.count} workers of {gpus:g} GPUs: Ray has {total.get('GPU', 0):g} GPUs")
        settings = replace(settings, threads=max(1, math.floor(cpus)))
        remote: Any = ray.remote
        kind = remote(num_cpus=cpus, num_gpus=gpus, max_restarts=0)(Actor)
        self._new = lambda: kind.remote(prepare, settings)
        self._actors: list[Any] = [self._new() for _ in range(self.count)]
        self._calls: dict[Any, int] = {}  # in the order given
        self._mean = 0.0  # seconds of a job
        self._check_start()

    def _connect(self, count: int | None, cpus: float) -> None:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        if "RAY_ADDRESS" not in os.environ:  # start one here
            options |= {"include_dashboard": False}
            if count is not None:
                options["num_cpus"] = max(math.ceil(count * cpus), 1)
        try:
            self._ray.init(**options)
        except Exception as error:
            raise Img2ImgError(f"Ray cannot be reached: {describe(error)}") from error

    def _check_start(self) -> None:
        waiting = [actor.ready.remote() for actor in self._actors]
        told = False
        while waiting:
            done, waiting = self._ray.wait(waiting, num_returns=len(waiting), timeout=LONG)
            try:
                broken = next(filter(None, self._ray.get(done)), "")
            except self._ray.exceptions.RayError as error:
                broken = f"Ray's actors do not start: {describe(error)}"
            if broken:
                self.close()
                raise Img2ImgError(broken)
            if waiting and not told:
                told = True
                say_note(f"{len(waiting)} of {self.count} workers wait for Ray to give them their processors")

    def room(self, worker: int, held: int) -> int:
        """One call of about a second's work, while fewer than two are there."""
        if [*self._calls.values()].count(worker) >= CALLS:
            return 0
        return 1 if not self._mean else max(1, min(MOST, int(SECONDS / self._mean)))

    def give(self, worker: int, jobs: Sequence[Job]) -> None:
        self._calls[self._actors[worker].run.remote([*jobs])] = worker

    def wait(self) -> Iterator[tuple[int, Sequence[Result] | None]]:
        done, _ = self._ray.wait([*self._calls], num_returns=1)
        (call,) = done
        worker = self._calls.pop(call)
        try:
            results: list[Result] = self._ray.get(call)
        except self._ray.exceptions.RayError:
            for other in [other for other, of in self._calls.items() if of == worker]:
                del self._calls[other]
            self._ray.kill(self._actors[worker])
            self._actors[worker] = self._new()
            yield worker, None
            return
        if results:
            mean = sum(result.seconds for result in results) / len(results)
            self._mean = mean if not self._mean else 0.7 * self._mean + 0.3 * mean
        yield worker, results

    def close(self) -> None:
        actors = getattr(self, "_actors", [])
        calls = [*getattr(self, "_calls", {})]
        if calls:
            self._ray.wait(calls, num_returns=len(calls), timeout=PATIENCE)
        for actor in actors:
            self._ray.kill(actor)
        if self._mine:
            self._ray.shutdown()
