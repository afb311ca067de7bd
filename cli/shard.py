"""Parts of a batch, so that several processes or machines share one command line."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import click

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """Every `count`-th job, starting with the one at `index` (from 0); `automatic` if the user did not ask for it."""

    index: int = 0
    count: int = 1
    automatic: bool = False

    def __str__(self) -> str:
        return f"{self.index + 1}/{self.count}"

    def of(self, jobs: Iterable[T]) -> Iterator[T]:
        """This shard's jobs; the shards of one count hold every job once, and neighbours go to different shards."""
        return islice(jobs, self.index, None, self.count)


WHOLE = Shard()
SLURM = "SLURM_ARRAY_TASK_ID"


AUTO = "auto"
COUNTERS = {"JOB_COMPLETION_INDEX": 0, "PARALLEL_SEQ": 1}
"""Variables that number tasks without saying how many there are, and what they begin with: of Kubernetes' indexed jobs
and of GNU parallel."""


def parse_shard(text: str, environment: Mapping[str, str] | None = None) -> Shard:
    """Read I/N with I from 1 to N, or auto/N, where a scheduler's variable says which.

    Raises:
        click.UsageError: it is not that, or the environment does not tell.
    """
    index, slash, count = text.partition("/")
    if slash and index == AUTO and count.isdecimal() and int(count):
        return _numbered(int(count), environment or {})
    if slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count):
        return Shard(int(index) - 1, int(count))
    raise click.UsageError(f"--shard {text} is not I/N with I from 1 to N, such as 1/4, or auto/N")


def _numbered(count: int, environment: Mapping[str, str]) -> Shard:
    """The shard that the one variable there is tells."""
    option = f"--shard {AUTO}/{count}"
    there = [name for name in (SLURM, *COUNTERS) if name in environment]
    if len(there) != 1:
        found = f"{' and '.join(there)} are" if there else f"none of {', '.join((SLURM, *COUNTERS))} is"
        raise click.UsageError(f"{option}: {found} set; use --shard I/N")
    (name,) = there
    if name == SLURM:
        shard = shard_from_slurm(environment)
        if shard.count != count:
            raise click.UsageError(f"{option}: this Slurm array has {shard.count} tasks")
        return Shard(shard.index, count)
    number = environment[name]
    index = int(number) - COUNTERS[name] if number.isdecimal() else -1
    if not 0 <= index < count:
        raise click.UsageError(f"{option}: {name} is {number}, not {COUNTERS[name]} to {count - 1 + COUNTERS[name]}")
    return Shard(index, count)


def shard_from_slurm(environment: Mapping[str, str]) -> Shard:
    """The shard of a Slurm array task; the whole outside an array job.

    The task ids of `--array=0-7`, `1-8`, `100-107` or `0-14:2` all leave different remainders modulo their count,
    so that the lowest id need not be known.

    Raises:
        click.UsageError: the ids are no such range (`--array=1,5,7`), so that shards would overlap.
    """
    if SLURM not in environment or "SLURM_ARRAY_TASK_COUNT" not in environment:
        return WHOLE
    try:
        task, count = int(environment[SLURM]), int(environment["SLURM_ARRAY_TASK_COUNT"])
        step = int(environment.get("SLURM_ARRAY_TASK_STEP", 1)) or 1
        low = int(environment.get("SLURM_ARRAY_TASK_MIN", 0))
        high = int(environment.get("SLURM_ARRAY_TASK_MAX", low + (count - 1) * step))
    except ValueError as error:
        raise click.UsageError(f"a SLURM_ARRAY_TASK_ variable is no number ({error}); use --shard I/N") from error
    if count < 1 or (high - low) // step + 1 != count:
        raise click.UsageError("the ids of this Slurm array are no plain range such as 0-7; use --shard I/N")
    return Shard((task // step) % count, count, automatic=True)
