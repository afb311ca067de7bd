"""Which input gives which output: settled, and refused if it cannot go well, before the first pixel is computed.

Paths are strings here, not `Path`: a plan may hold a million of them.
"""

import os
import re
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import click

from img2img import stores
from img2img.errors import AddressError
from img2img.stores import Presence, Stamp, is_address

from .jobs import Jobs
from .shard import WHOLE, Shard

if TYPE_CHECKING:
    from .files_from import Listed
    from .progress import Progress

Existing = Literal["refuse", "skip", "overwrite"]
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
        prepare: what loads this input's own task, if a list gives it options of its own; can be pickled and compared.
        stamp: of the input, where it was found out.
        replace: whether the output is an earlier result and may be replaced.
        same: an output that is there, and just what would be written, is a success: who wrote it died before saying so.
    """

    source: str
    target: str
    format: str
    more: tuple[str, ...] = ()
    copy: int = 0
    prepare: Any = None
    stamp: Stamp | None = None
    replace: bool = False
    same: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        """What pickle needs: of dataclasses with slots it would look up the fields each time, at thrice the cost."""
        own = (self.source, self.target, self.format, self.more, self.copy, self.prepare, self.stamp)
        return Job, (*own, self.replace, self.same)

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
        total: all jobs of this shard, also those that a manifest says are done.
    """

    jobs: Jobs = field(default_factory=Jobs)
    problems: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skipped: Jobs = field(default_factory=Jobs)
    total: int = 0


def make_plan(
    inputs: Sequence[str],
    output: str | None,
    naming: Naming,
    *,
    recursive: bool = False,
    shard: Shard = WHOLE,
    existing: Existing = "refuse",
    listed: "Listed | None" = None,
    progress: "Progress | None" = None,
) -> Plan:
    """List the jobs of a command line.

    Args:
        inputs: files, folders, or STREAM alone.
        output: a file, a folder, STREAM, or None for names beside the inputs.
        naming: how the command names its outputs.
        recursive: whether the folders in folders are read, too.
        shard: the part of the jobs to do.
        existing: what to do about outputs that exist.
        listed: a list of inputs, which then are in place of `inputs`.
        progress: what earlier runs have done; then nobody looks which outputs exist.

    Raises:
        click.UsageError: an input is missing, two inputs would write one output, an output is an input or exists; an
            address cannot be used.
        StorageError: a store cannot be reached, or refuses.
    """
    inputs, output = _usable(inputs, output)
    plan = Plan()
    if listed is not None:
        plan.jobs = Jobs(listed.jobs(output, naming, shard, plan))
        _refuse_collisions(plan.jobs)
    else:
        _plan_inputs(plan, inputs, output, naming, recursive, shard)
    plan.total = len(plan.jobs)
    if progress is not None:
        plan.jobs = Jobs(progress.left(plan, existing))
    if progress is None or not progress.resumed:
        plan.jobs = Jobs(_settle(plan, existing, naming))
    return plan


def _plan_inputs(
    plan: Plan, inputs: Sequence[str], output: str | None, naming: Naming, recursive: bool, shard: Shard
) -> None:
    """The jobs of files and folders."""
    missing = [name for name in inputs if name != STREAM and not stores.exists(name)]
    if missing:
        raise click.UsageError(f"{missing[0]}: no such file or folder")
    if STREAM in inputs and len(inputs) > 1:
        raise click.UsageError("standard input (-) cannot be mixed with other inputs")
    jobs = [_joined(inputs, output, naming)] if naming.joined else _jobs(inputs, output, naming, recursive, plan)
    plan.jobs = Jobs(copy for job in jobs for copy in _copies(job, naming.copies))
    _refuse_collisions(plan.jobs)
    if shard.automatic and len(inputs) == 1 and not stores.is_folder(inputs[0]):
        shard = WHOLE  # an array job that names one file in each task
    if shard.count > 1:
        total, plan.jobs = len(plan.jobs), Jobs(shard.of(plan.jobs))
        plan.notes.append(f"shard {shard}: {len(plan.jobs)} of {total}")


def _usable(inputs: Sequence[str], output: str | None) -> tuple[list[str], str | None]:
    """The inputs and the output, `file://` addresses as paths; other addresses only if they can be used."""
    try:
        inputs = [stores.local(name) for name in inputs]
        for name in inputs:
            stores.check(name)
        if output is not None:
            output = stores.local(output)
            stores.check(output, writing=True)
            if is_address(output) and stores.bucket_is_missing(output):
                raise AddressError(f"{output}: there is no such bucket")
    except AddressError as error:
        raise click.UsageError(str(error)) from error
    return inputs, output


def _jobs(inputs: Sequence[str], output: str | None, naming: Naming, recursive: bool, plan: Plan) -> Iterator[Job]:
    if output is not None and _is_folder(inputs, output):
        roots = {name: output for name in inputs}
    elif output is not None or inputs[0] == STREAM:
        yield _single(inputs[0], STREAM if output is None else output, naming)
        return
    else:
        roots = {name: beside(name, naming) for name in inputs}
    outputs = {_real(root) for root in roots.values()}
    for name in inputs:  # not `roots`: an input that is given twice has to collide
        if stores.is_folder(name):
            yield from _jobs_of_folder(name, roots[name], naming, recursive, outputs, plan)
        elif output is None:
            yield Job(name, roots[name], naming.format_of(roots[name]))
        else:
            target = os.path.join(output, naming.rename(os.path.basename(stores.inner(name))))
            yield Job(name, target, naming.format_of(target))


def _is_folder(inputs: Sequence[str], output: str) -> bool:
    """Whether OUT means a folder: it is one, it is written as one, or a file could not hold what goes into it."""
    needed = len(inputs) > 1 or stores.is_folder(inputs[0])
    if output == STREAM:
        if needed:
            raise click.UsageError("standard output (-) takes the result of one file only")
        return False
    folder = needed or output.endswith(("/", os.sep)) or stores.is_folder(output)
    if folder and inputs[0] == STREAM:
        raise click.UsageError("what comes from standard input has no name: give a file as the output")
    if is_address(output):
        return folder  # an object and a "folder" may have the same name there
    if folder and os.path.exists(output.rstrip("/" + os.sep)) and not os.path.isdir(output):
        raise click.UsageError(f"{output} is a file; these inputs need a folder as the output")
    return folder


def _joined(inputs: Sequence[str], output: str | None, naming: Naming) -> Job:
    """The one job of several inputs."""
    for name in inputs:
        if name == STREAM or stores.is_folder(name):
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


def beside(name: str, naming: Naming) -> str:
    """The output that belongs to an input when no OUT is given."""
    path = name.rstrip("/" + os.sep)
    if is_address(name):
        _refuse_beside(path)
    elif os.path.basename(path) in ("", os.curdir, os.pardir):
        path = os.path.realpath(name)  # `.` is called as its folder is
    if stores.is_folder(name):
        return path + (naming.folder_suffix or naming.suffix)
    folder, base = os.path.split(path)
    return os.path.join(folder, naming.rename(base, naming.suffix, keep=False))


def _refuse_beside(address: str) -> None:
    """Refuse an address beside which nothing can be: a bucket, or one that is read only."""
    try:
        stores.check(address, writing=True)
    except AddressError as error:
        raise click.UsageError(str(error)) from error
    if stores.is_bucket(address):
        raise click.UsageError(f"{address} is all of a bucket: name the output by -o OUT")


def _real(path: str) -> str:
    """The one name of a folder that has several."""
    return path.rstrip("/") if is_address(path) else os.path.realpath(path)


def _jobs_of_folder(
    folder: str, root: str, naming: Naming, recursive: bool, outputs: set[str], plan: Plan
) -> Iterator[Job]:
    """The jobs that mirror a folder's tree below `root`."""
    if _real(folder) == _real(root) and any(name in naming.formats for name in naming.readable):
        raise click.UsageError(
            f"{folder} would be both input and output, and a second run would take results as inputs"
        )
    empty = True
    look = _look if is_address(folder) else _walk
    for name, stamp in look(folder, naming, recursive, outputs, plan):
        empty = False
        target = os.path.join(root, naming.rename(name))
        yield Job(stores.joined(folder, name), target, naming.format_of(target), stamp=stamp)
    if empty and folder not in (name for name, _ in plan.problems):
        below = "" if recursive else "; -r also reads the folders in it"
        plan.problems.append((folder, f"there is nothing to do in this folder{below}"))


def _walk(
    folder: str, naming: Naming, recursive: bool, outputs: set[str], plan: Plan
) -> Iterator[tuple[str, Stamp | None]]:
    """Names, relative to the folder, of the files to be read, sorted in each folder.

    Left out are hidden names, folders that this command line writes to, and earlier results: photo_denoised.png (or
    photo_denoised_2.png) beside photo.jpg and photos_denoised/ beside photos/.
    """

    def report(error: OSError) -> None:
        plan.problems.append((str(error.filename), error.strerror or str(error)))

    chooser = _Chooser(naming, recursive)
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
        prefix = "" if here == folder else os.path.relpath(here, folder)
        yield from ((os.path.join(prefix, name), None) for name in chooser.files(files))
        folders[:] = [name for name in chooser.folders(folders) if enter(os.path.join(here, name))]
    chooser.note(folder, plan)


def _look(
    folder: str, naming: Naming, recursive: bool, outputs: set[str], plan: Plan
) -> Iterator[tuple[str, Stamp | None]]:
    """The same of an address."""
    chooser = _Chooser(naming, recursive)
    for found in stores.walk(folder):
        for name in chooser.files(found.files):
            yield os.path.join(found.folder, name), found.files[name]
        kept = chooser.folders(found.folders)
        for name in [*found.folders]:
            if name not in kept or _real(os.path.join(folder, found.folder, name)) in outputs:
                del found.folders[name]
    chooser.note(folder, plan)


@dataclass
class _Chooser:
    """Says which names of a folder are inputs and which are looked into, and counts the earlier results."""

    naming: Naming
    recursive: bool
    earlier: int = 0

    def files(self, files: Collection[str]) -> list[str]:
        readable = self.naming.readable
        names = {name for name in files if os.path.splitext(name)[1].lower() in readable and name[0] != "."}
        stems = {os.path.splitext(name)[0] for name in names}
        results = {name for name in names if _is_result(os.path.splitext(name)[0], stems, self.naming.suffix)}
        self.earlier += len(results)
        return sorted(names - results)

    def folders(self, folders: Collection[str]) -> list[str]:
        below = {name for name in folders if self.recursive and name[0] != "."}
        old = {name for name in below if _is_result(name, below, self._suffix)}
        self.earlier += len(old)
        return sorted(below - old)

    def note(self, folder: str, plan: Plan) -> None:
        if self.earlier:
            plan.notes.append(f"{folder}: {self.earlier} earlier results (*{self._suffix}) left out")

    @property
    def _suffix(self) -> str:
        return self.naming.folder_suffix or self.naming.suffix


def _is_result(name: str, names: Collection[str], suffix: str) -> bool:
    if not suffix:
        return False
    whole = re.sub(r"_\d+$", "", name)  # one of several copies
    return any(each.endswith(suffix) and each.removesuffix(suffix) in names for each in {name, whole})


def _refuse_collisions(jobs: Jobs) -> None:
    """Refuse two inputs with one output, and an output that is an input.

    Millions of names would fill the memory: they are compared by numbers of 64 bits, and only those that are alike as
    texts.
    """
    import numpy as np

    real = lru_cache(100_000)(os.path.realpath)  # once per folder, not per file

    def place(path: str) -> str:
        if is_address(path):
            return path
        folder, name = os.path.split(path)
        return os.path.join(real(folder), name)

    written_to, read_from = array("q"), array("q")
    for job in jobs:
        if job.target != STREAM:
            written_to.append(hash(place(job.target)))
        read_from.extend(hash(place(path)) for path in job.sources if path != STREAM)
    targets, inputs = (np.asarray(each, np.int64) for each in (written_to, read_from))
    targets = np.sort(targets)
    twice = {*targets[1:][targets[1:] == targets[:-1]].tolist()}
    if twice:
        first: dict[str, str] = {}
        collisions: list[str] = []
        for job in jobs:
            if job.target == STREAM or hash(here := place(job.target)) not in twice:
                continue
            if here in first:
                collisions.append(f"{first[here]} and {job.source} would both be written to {job.target}")
            first.setdefault(here, job.source)
        _refuse(collisions)
    both = {*np.intersect1d(targets, inputs).tolist()}
    if both:
        written = {here: job.source for job in jobs if hash(here := place(job.target)) in both}
        for job in jobs:
            for source in job.sources:
                if source != STREAM and (other := written.get(place(source), "")):
                    result = "its own result" if other == source else f"the result of {other}"
                    raise click.UsageError(f"{source} is an input and would be overwritten with {result}")


def _refuse(collisions: Sequence[str]) -> None:
    if collisions:
        more = f" ({len(collisions) - 1} more of this kind)" if len(collisions) > 1 else ""
        raise click.UsageError(f"{collisions[0]}{more}: rename one, or run them one by one, each with an -o of its own")


def _settle(plan: Plan, existing: Existing, naming: Naming) -> Iterator[Job]:
    """The jobs that remain in view of the outputs that exist."""
    present = 0
    first = ""
    there = Presence()
    for job in plan.jobs:
        if job.target == STREAM or job.target not in there:
            yield job
            continue
        if not is_address(job.target) and os.path.exists(job.target) and not os.path.isfile(job.target):
            # A device, too: renaming a file to /dev/null would replace it.
            raise click.UsageError(f"{job.target} exists and is no regular file")
        present += 1
        first = first or job.target
        if existing == "overwrite" or job.replace:
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
