"""How far earlier runs of a manifest have come, and the lines that this run adds to it."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import click

import img2img
from img2img.errors import ManifestError
from img2img.manifest import Earlier, Manifest, files_of, is_there, path_of_shard, read
from img2img.stores import stamp_of

from .pipeline import Result
from .plan import STREAM, Existing, Job, Plan
from .shard import Shard

OTHERS = (
    "{path}: {count} of these outputs are results of other weights or options: --overwrite makes them anew,"
    " --skip-existing keeps them, or use another manifest"
)


class Progress:
    """A manifest, as a run needs it.

    Args:
        path: of the manifest; a shard adds to a file of its own beside it, and reads those of all.
        shard: which part this run does.
        prepare: what loads the tasks; its weights and options are recorded if it tells them.

    Raises:
        click.UsageError: another run writes it, or it is none.
    """

    def __init__(self, path: str, shard: Shard, prepare: Any) -> None:
        self.path = path_of_shard(path, shard.index, shard.count)
        self.resumed = is_there(path)  # then what earlier runs have written may be there
        try:
            self.manifest = Manifest(self.path)
            self.earlier = Earlier(read(files_of(path)))
        except ManifestError as error:
            raise click.UsageError(f"--manifest {error}") from error
        self.prepare = prepare
        self._made: dict[Any, tuple[str, str]] = {}

    def close(self) -> None:
        """Let others write the manifest."""
        self.manifest.close()

    def made(self, prepare: Any) -> tuple[str, str]:
        """Weights and options of a task, in words."""
        if prepare not in self._made:
            unit = getattr(prepare, "unit", None)
            self._made[prepare] = ("", "") if unit is None else (unit.weights(), unit.fingerprint())
        return self._made[prepare]

    def left(self, plan: Plan, existing: Existing) -> Iterator[Job]:
        """The jobs of a plan that are not done.

        Raises:
            click.UsageError: outputs of other weights or options are there, and nobody said what to do about them.
        """
        counts: Counter[str] = Counter()
        for job in plan.jobs:
            if job.target == STREAM:
                raise click.UsageError("--manifest is about files; standard output is none")
            if job.stamp is None:
                job = replace(job, stamp=stamp_of(job.source))
            made = self.made(job.prepare or self.prepare)
            state, ours = self.earlier.state(job.source, job.target, job.stamp, made)
            counts[state] += 1
            if state == "done" or (state == "other" and existing == "skip"):
                continue
            yield replace(job, replace=ours)
        if counts["other"] and existing == "refuse":
            raise click.UsageError(OTHERS.format(path=self.path, count=counts["other"]))
        said = {
            "done": "are done already",
            "changed": "have changed since and are done anew",
            "failed": "failed before and are tried again",
            "other": "are results of other weights or options and are "
            + ("kept" if existing == "skip" else "replaced"),
        }
        plan.notes += [f"{self.path}: {counts[state]} {words}" for state, words in said.items() if counts[state]]

    def begin(self, plan: Plan) -> None:
        """Take down what is going to be done."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._add({"planned": plan.total, "begun": now, "version": img2img.__version__})

    def add(self, job: Job, error: str = "", result: Result | None = None) -> None:
        """Take down how a job ended."""
        said: dict[str, Any] = {"input": job.source, "output": job.target}
        if job.stamp is not None:
            said |= {"size": job.stamp.size, job.stamp.kind: job.stamp.value}
        elif result is not None:
            said["size"] = result.size
        if error:
            said["error"] = error
        elif result is not None:
            said |= {"bytes": result.written, "seconds": round(result.seconds, 4), "facts": result.facts}
        weights, options = self.made(job.prepare or self.prepare)
        self._add(said | {"weights": weights, "options": options, "version": img2img.__version__})

    def _add(self, record: dict[str, Any]) -> None:
        """Add a line; a run that cannot be taken down ends."""
        try:
            self.manifest.add(record)
        except OSError as error:
            raise ManifestError(f"--manifest {self.path}: {error.strerror or error}") from error
