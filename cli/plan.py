"""Which input gives which output: settled, and refused if it cannot go well, before the first pixel is computed.

Paths are strings here, not `Path`: a plan may hold a million of them.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Literal

import click

from .shard import WHOLE, Shard

STREAM = "-"  # standard input as a source, standard output as a target; a file of that name is ./-


@dataclass(frozen=True)
class Naming:
    """How a command names its outputs.

    Attributes:
        suffix: what is added when no OUT is given: photo.jpg becomes photo_denoised.png, photos/ photos_denoised/.
        folder_suffix: what a folder gets instead, where a file's new extension is enough: photo.jpg becomes photo.i2i,
            photos/ photos_compressed/.
        readable: extensions (lower case, with the dot) of the files in a folder that are inputs.
        formats: extensions that an output may have, and the format that each stands for.
        default: extension of an output whose name does not follow from OUT or from an input in a folder.
        format: format asked for by the user; None leaves it to the names.
        copies: outputs of each input; more than one are numbered: photo_texture_1.png and so on.
        joined: all inputs together give one output, called after the first.
        deep: extensions of inputs that the default format may not hold, and which extension their outputs get
            instead.
    """

    suffix: str
    readable: Collection[str]
    formats: Mapping[str, str]
    default: str
    format: str | None = None
    folder_suffix: str = ""
    copies: int = 1
    joined: bool = False
    deep: Mapping[str, str] = field(default_factory=dict)

    def extension(self, kept: str) -> str:
        """The extension of an output: the one of its name if its format is right, else the format's own."""
        named = self.formats.get(kept.lower())
        if named is not None and self.format in (None, named):
            return kept
        return self.deep.get(kept.lower(), self.default) if self.format is None else f".{self.format}"

    def rename(self, name: str, suffix: str = "", keep: bool = True) -> str:
        """The output's name for an input's name; `keep` keeps the extension unless a format is asked for."""
        stem, extension = os.path.splitext(name)
        keep = keep or extension.lower() in self.deep
        return stem + suffix + self.extension(extension if keep else "")

    def format_of(self, name: str) -> str:
        """The format of an output of that name.

        Raises:
            click.UsageError: the name's extension stands for none, or for another than the one asked for.
        """
        extension = os.path.splitext(name)[1]
        named = self.formats.get(extension.lower())
        if named is None and self.format is None:
            known = ", ".join(sorted(self.formats))
            message = (
                f"the name {name!r} does not tell a format ({known}); a folder that does not exist yet ends with /"
            )
            raise click.UsageError(message)
        if named and self.format and named != self.format:
            raise click.UsageError(f"{name!r} and --format {self.format} contradict each other")
        return self.format or named or ""


@dataclass(frozen=True, slots=True)
class Job:
    """One input and the output it gives; either may be STREAM.

    Attributes:
        source: the input.
        target: the output.
        format: of the output.
        more: further inputs of the same output, if the command joins them.
        copy: which of the outputs of one input it is, from 0.
    """

    source: str
    target: str
    format: str
    more: tuple[str, ...] = ()
    copy: int = 0

    @property
    def sources(self) -> tuple[str, ...]:
        """All inputs."""
        return (self.source, *self.more)


@dataclass
class Plan:
    """What a command is going to do.

    Attributes:
        jobs: what is to be computed, in a fixed order.
        problems: inputs that give nothing, and why; the rest goes on without them.
        notes: what the user should know beforehand.
        skipped: what is done already.
    """

    jobs: list[Job] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skipped: list[Job] = field(default_factory=list)


def make_plan(
    inputs: Sequence[str],
    output: str | None,
    naming: Naming,
    *,
    recursive: bool = False,
    shard: Shard = WHOLE,
    existing: Literal["refuse", "skip", "overwrite"] = "refuse",
) -> Plan:
    """List the jobs of a command line.

    Args:
        inputs: files, folders, or STREAM alone.
        output: a file, a folder, STREAM, or None for names beside the inputs.
        naming: how the command names its outputs.
        recursive: whether the folders in folders are read, too.
        shard: the part of the jobs to do.
        existing: what to do about outputs that exist.

    Raises:
        click.UsageError: an input is missing, two inputs would write one output, an output is an input or exists.
    """
    missing = [name for name in inputs if name != STREAM and not os.path.exists(name)]
    if missing:
        raise click.UsageError(f"{missing[0]}: no such file or folder")
    if STREAM in inputs and len(inputs) > 1:
        raise click.UsageError("standard input (-) cannot be mixed with other inputs")
    plan = Plan()
    if naming.joined:
        plan.jobs = [_joined(inputs, output, naming)]
    else:
        plan.jobs = list(_jobs(inputs, output, naming, recursive, plan))
    plan.jobs = [copy for job in plan.jobs for copy in _copies(job, naming.copies)]
    _refuse_collisions(plan.jobs)
    if shard.automatic and len(inputs) == 1 and not os.path.isdir(inputs[0]):
        shard = WHOLE  # an array job that names one file in each task
    if shard.count > 1:
        total, plan.jobs = len(plan.jobs), shard.of(plan.jobs)
        plan.notes.append(f"shard {shard}: {len(plan.jobs)} of {total}")
    plan.jobs = list(_settle(plan, existing, naming))
    return plan


def _jobs(inputs: Sequence[str], output: str | None, naming: Naming, recursive: bool, plan: Plan) -> Iterator[Job]:
    if output is not None and _is_folder(inputs, output):
        roots = {name: output for name in inputs}
    elif output is not None or inputs[0] == STREAM:
        yield _single(inputs[0], STREAM if output is None else output, naming)
        return
    else:
        roots = {name: _beside(name, naming) for name in inputs}
    outputs = {os.path.realpath(root) for root in roots.values()}
    for name in inputs:  # not `roots`: an input that is given twice has to collide
        if os.path.isdir(name):
            yield from _jobs_of_folder(name, roots[name], naming, recursive, outputs, plan)
        elif output is None:
            yield Job(name, roots[name], naming.format_of(roots[name]))
        else:
            target = os.path.join(output, naming.rename(os.path.basename(name)))
            yield Job(name, target, naming.format_of(target))


def _is_folder(inputs: Sequence[str], output: str) -> bool:
    """Whether OUT means a folder: it is one, it is written as one, or a file could not hold what goes into it."""
    needed = len(inputs) > 1 or os.path.isdir(inputs[0])
    if output == STREAM:
        if needed:
            raise click.UsageError("standard output (-) takes the result of one file only")
        return False
    folder = needed or os.path.isdir(output) or output.endswith(("/", os.sep))
    if folder and inputs[0] == STREAM:
        raise click.UsageError("what comes from standard input has no name: give a file as the output")
    if folder and os.path.exists(output.rstrip("/" + os.sep)) and not os.path.isdir(output):
        raise click.UsageError(f"{output} is a file; these inputs need a folder as the output")
    return folder


def _joined(inputs: Sequence[str], output: str | None, naming: Naming) -> Job:
    """The one job of several inputs."""
    for name in inputs:
        if name == STREAM or os.path.isdir(name):
            raise click.UsageError(f"{name}: what is put together are files, neither folders nor standard input")
    (job,) = _jobs(inputs[:1], output, naming, False, Plan())
    return replace(job, more=tuple(inputs[1:]))


def _copies(job: Job, count: int) -> Iterator[Job]:
    """The job as often as asked for, its outputs numbered from 1."""
    if count == 1:
        yield job
        return
    if STREAM in (job.source, job.target):
        raise click.UsageError(f"of {count} outputs none can go to standard output (-), or come from standard input")
    stem, extension = os.path.splitext(job.target)
    for i in range(count):
        yield replace(job, target=f"{stem}_{i + 1:0{len(str(count))}}{extension}", copy=i)


def _single(source: str, target: str, naming: Naming) -> Job:
    if target == STREAM:
        return Job(source, target, naming.format or naming.formats[naming.default])
    return Job(source, target, naming.format_of(target))


def _beside(name: str, naming: Naming) -> str:
    """The output that belongs to an input when no OUT is given."""
    path = name.rstrip("/" + os.sep)
    if os.path.basename(path) in ("", os.curdir, os.pardir):
        path = os.path.realpath(name)  # `.` is called as its folder is
    if os.path.isdir(name):
        return path + (naming.folder_suffix or naming.suffix)
    folder, base = os.path.split(path)
    return os.path.join(folder, naming.rename(base, naming.suffix, keep=False))


def _jobs_of_folder(
    folder: str, root: str, naming: Naming, recursive: bool, outputs: set[str], plan: Plan
) -> Iterator[Job]:
    """The jobs that mirror a folder's tree below `root`."""
    if os.path.realpath(folder) == os.path.realpath(root) and any(name in naming.formats for name in naming.readable):
        raise click.UsageError(
            f"{folder} would be both input and output, and a second run would take results as inputs"
        )
    empty = True
    for name in _walk(folder, naming, recursive, outputs, plan):
        empty = False
        target = os.path.join(root, naming.rename(name))
        yield Job(os.path.join(folder, name), target, naming.format_of(target))
    if empty and folder not in (name for name, _ in plan.problems):
        below = "" if recursive else "; -r also reads the folders in it"
        plan.problems.append((folder, f"there is nothing to do in this folder{below}"))


def _walk(folder: str, naming: Naming, recursive: bool, outputs: set[str], plan: Plan) -> Iterator[str]:
    """Names, relative to the folder, of the files to be read, sorted in each folder.

    Left out are hidden names, folders that this command line writes to, and earlier results: photo_denoised.png (or
    photo_denoised_2.png) beside photo.jpg and photos_denoised/ beside photos/.
    """

    def report(error: OSError) -> None:
        plan.problems.append((str(error.filename), error.strerror or str(error)))

    earlier = 0
    folder_suffix = naming.folder_suffix or naming.suffix
    top = os.path.realpath(folder)
    seen = {top}

    def enter(path: str) -> bool:
        real = os.path.realpath(path)
        inside = os.path.islink(path) and os.path.commonpath([real, top]) == top  # read at its own place
        if inside or real in seen or real in outputs:
            return False
        seen.add(real)  # links may form a loop
        return True

    for here, folders, files in os.walk(folder, onerror=report, followlinks=True):
        names = {name for name in files if os.path.splitext(name)[1].lower() in naming.readable and name[0] != "."}
        stems = {os.path.splitext(name)[0] for name in names}
        results = {name for name in names if _is_result(os.path.splitext(name)[0], stems, naming.suffix)}
        prefix = "" if here == folder else os.path.relpath(here, folder)
        yield from (os.path.join(prefix, name) for name in sorted(names - results))
        below = {name for name in folders if recursive and name[0] != "."}
        old = {name for name in below if _is_result(name, below, folder_suffix)}
        folders[:] = [name for name in sorted(below - old) if enter(os.path.join(here, name))]
        earlier += len(results) + len(old)
    if earlier:
        plan.notes.append(f"{folder}: {earlier} earlier results (*{folder_suffix}) left out")


def _is_result(name: str, names: Collection[str], suffix: str) -> bool:
    if not suffix:
        return False
    whole = re.sub(r"_\d+$", "", name)  # one of several copies
    return any(each.endswith(suffix) and each.removesuffix(suffix) in names for each in {name, whole})


def _refuse_collisions(jobs: Sequence[Job]) -> None:
    """Refuse two inputs with one output, and an output that is an input."""
    real = cache(os.path.realpath)  # once per folder, not per file

    def place(path: str) -> str:
        folder, name = os.path.split(path)
        return os.path.join(real(folder), name)

    targets: dict[str, str] = {}
    collisions: list[str] = []
    for job in jobs:
        if job.target == STREAM:
            continue
        here = place(job.target)
        if here in targets:
            collisions.append(f"{targets[here]} and {job.source} would both be written to {job.target}")
        targets.setdefault(here, job.source)
    if collisions:
        more = f" ({len(collisions) - 1} more of this kind)" if len(collisions) > 1 else ""
        raise click.UsageError(f"{collisions[0]}{more}: rename one, or run them one by one, each with an -o of its own")
    for job in jobs:
        for source in job.sources:
            if source != STREAM and (other := targets.get(place(source), "")):
                result = "its own result" if other == source else f"the result of {other}"
                raise click.UsageError(f"{source} is an input and would be overwritten with {result}")


def _settle(plan: Plan, existing: Literal["refuse", "skip", "overwrite"], naming: Naming) -> Iterator[Job]:
    """The jobs that remain in view of the outputs that exist."""
    present = 0
    first = ""
    for job in plan.jobs:
        if job.target == STREAM or not os.path.lexists(job.target):
            yield job
            continue
        if os.path.exists(job.target) and not os.path.isfile(job.target):
            # A device, too: renaming a file to /dev/null would replace it.
            raise click.UsageError(f"{job.target} exists and is no regular file")
        present += 1
        first = first or job.target
        if existing == "overwrite":
            yield job
        else:
            plan.skipped.append(job)
    if present and existing == "refuse":
        more = f" and {present - 1} more exist" if present > 1 else " exists"
        # Without a suffix it may be an original: photo.png, from which the photo.i2i came that is decompressed now.
        elsewhere = "" if naming.suffix else "-o OUT, "
        raise click.UsageError(f"{first}{more} already; use {elsewhere}--skip-existing or --overwrite")
    if present and existing == "skip":
        plan.notes.append(f"{present} outputs exist already and are skipped")
