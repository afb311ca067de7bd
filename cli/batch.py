"""The batch engine: from the command line's inputs to outputs, results on stdout, errors on stderr, and an exit code.

Used by every command that turns inputs into outputs: it says what is done to one input (`Task`) and how outputs are
called (`Naming`); all the rest means the same everywhere.
"""

import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, TextIO, TypeVar

import click

from img2img.errors import OptionError

from .debug import debugging
from .files_from import Listed
from .own_options import prepare_with
from .pipeline import MANY, Pipeline, Result, Task
from .plan import STREAM, Existing, Plan, make_plan
from .progress import Progress
from .report import describe, say_error, say_note
from .shard import Shard
from .work import Work, asked
from .workers import Crew, Processes, Settings, Workers, shared_threads

X = TypeVar("X")
Y = TypeVar("Y")


@dataclass(frozen=True)
class BatchOptions:
    """The options of every batch, as `options.batch` collects them from the command line."""

    inputs: tuple[str, ...]
    output: str | None
    recursive: bool
    skip_existing: bool
    overwrite: bool
    shard: Shard
    jobs: int
    errors: str | None
    fail_fast: bool
    json: bool
    files_from: str | None = None
    manifest: str | None = None
    workers: int | None = None
    ray: bool = False
    num_cpus: float | None = None
    num_gpus: float | None = None

    @property
    def existing(self) -> Existing:
        """What to do about outputs that exist."""
        return "skip" if self.skip_existing else "overwrite" if self.overwrite else "refuse"


NAMES = frozenset(field.name for field in fields(BatchOptions))


class BatchCommand(click.Command):
    """A command whose function returns its `Work`, which is then done."""

    def invoke(self, ctx: click.Context) -> None:
        """Ask the function, and do what it says."""
        work = asked(ctx)
        with work.around:
            try:
                run(work)
            except OptionError as error:
                raise click.UsageError(describe(error)) from error


def run(work: Work) -> None:
    """Do what the command line asks for.

    Raises:
        click.UsageError: the command line does not make sense; nothing was computed.
        click.exceptions.Exit: code 1: some inputs failed.
    """
    batch, prepare = work.batch, work.prepare
    if batch.skip_existing and batch.overwrite:
        raise click.UsageError("--skip-existing and --overwrite contradict each other")
    if not batch.ray and batch.num_gpus is not None:
        raise click.UsageError("--num-gpus is for --ray")
    if not batch.ray and batch.num_cpus is not None and batch.workers is None:
        raise click.UsageError("--num-cpus is for --workers and --ray")
    if batch.inputs and batch.files_from is not None:
        raise click.UsageError("INPUT and --files-from contradict each other: give one of them")
    if not batch.inputs and batch.files_from is None:
        raise click.UsageError("Missing argument 'INPUT...'.")
    _check_lists(batch)
    with ExitStack() as stack:
        progress = None
        if batch.manifest is not None:
            progress = Progress(batch.manifest, batch.shard, prepare)
            stack.callback(progress.close)
        plan = planned(work, progress)
        _check_streams(batch, plan)
        for note in plan.notes:
            say_note(note)
        work.begin(plan.skipped)
        _perform(batch, plan, prepare, progress, stack)


def _check_lists(batch: BatchOptions) -> None:
    """Each list is a file of its own: they are written while others are read."""
    named: dict[str, str] = {}
    for option, path in (
        ("--files-from", batch.files_from),
        ("--manifest", batch.manifest),
        ("--errors", batch.errors),
    ):
        if path is None or path == STREAM:
            continue
        other = named.setdefault(os.path.realpath(path), option)
        if other != option:
            raise click.UsageError(f"{other} and {option} are the same file: {path}")


def planned(work: Work, progress: Progress | None = None) -> Plan:
    """Which output each input gives.

    Raises:
        click.UsageError: inputs or outputs make no sense.
    """
    batch = work.batch
    listed = None if batch.files_from is None else Listed(batch.files_from, partial(prepare_with, left_out=NAMES))
    return make_plan(
        batch.inputs,
        batch.output,
        work.naming,
        recursive=batch.recursive,
        shard=batch.shard,
        existing=batch.existing,
        listed=listed,
        progress=progress,
    )


def _perform(
    batch: BatchOptions,
    plan: Plan,
    prepare: Callable[[int], Task[X, Y]],
    progress: Progress | None,
    stack: ExitStack,
) -> None:
    """Do what is planned, and tell of it.

    Raises:
        click.exceptions.Exit: code 1: some inputs failed.
    """
    report = Report(batch, len(plan.jobs), stack, progress)
    if progress is not None:
        progress.begin(plan)
    for name, problem in plan.problems:
        report.failure(name, None, problem)
    if plan.jobs and not report.stopped:
        stack.enter_context(_terminate_as_interrupt())
        pipeline = _pipeline(batch, plan, prepare, progress)
        for result in stack.enter_context(closing(iter(pipeline))):
            report.add(result)
            if report.stopped:
                pipeline.stop()
    if report.failures:
        raise click.exceptions.Exit(1)


def _pipeline(
    batch: BatchOptions, plan: Plan, prepare: Callable[[int], Task[X, Y]], progress: Progress | None
) -> Pipeline[X, Y] | Workers:
    same = progress is not None and progress.resumed
    if batch.ray or batch.workers is not None:
        return Workers(_crew(batch, prepare, same), plan.jobs)
    alone = len(plan.jobs) == 1 and progress is None
    # However many a manifest has left, they are computed as the others were.
    pictures = len(plan.jobs) if progress is None else MANY
    return Pipeline(prepare(pictures), plan.jobs, batch.jobs, batch.overwrite, same, alone)


def _crew(batch: BatchOptions, prepare: Callable[[int], Task[X, Y]], same: bool) -> Crew:
    count = batch.workers or 1
    cores = shared_threads(count) if batch.num_cpus is None else max(1, int(batch.num_cpus))
    settings = Settings(batch.jobs, batch.overwrite, same, cores, str(Path.cwd()))
    if not batch.ray:
        return Processes(prepare, count, settings)
    from .on_ray import RayCrew

    return RayCrew(prepare, batch.workers, settings, batch.num_cpus or 1.0, batch.num_gpus or 0.0)


def _check_streams(batch: BatchOptions, plan: Plan) -> None:
    if not any(STREAM in (job.source, job.target) for job in plan.jobs[:1]):  # then it is the only one
        return
    if batch.ray or batch.workers is not None:
        raise click.UsageError("standard input and output (-) are of this process: leave out --workers and --ray")
    if plan.jobs[0].target != STREAM:
        return
    if batch.json:
        raise click.UsageError("--json and the result itself cannot both go to standard output: use -o FILE")
    if sys.stdout.isatty():
        raise click.UsageError("the result will not be written to a terminal: use -o FILE, or redirect")


class Report:
    """What the user sees of a batch: results on stdout, bar and errors on stderr, failures in a file.

    Args:
        batch: the options.
        total: number of jobs.
        stack: closes the bar and the file.
        progress: takes down how jobs end, if there is a manifest.

    Raises:
        click.UsageError: the file for failures cannot be written.
    """

    def __init__(self, batch: BatchOptions, total: int, stack: ExitStack, progress: Progress | None = None) -> None:
        from tqdm import tqdm

        self.batch = batch
        self.progress = progress
        self.failures = 0
        self.debug = debugging()
        self.losses: Counter[str] = Counter()
        stack.callback(self.say_losses)
        self.errors: TextIO | None = None
        if batch.errors is not None:
            self.errors = stack.enter_context(_open_errors(batch.errors))
        off = total < 2 or not sys.stderr.isatty()
        self.bar = stack.enter_context(tqdm(total=total, unit="file", file=sys.stderr, disable=off, dynamic_ncols=True))

    @property
    def stopped(self) -> bool:
        """Whether a failure has ended the batch."""
        return self.batch.fail_fast and self.failures > 0

    def add(self, result: Result) -> None:
        """Tell how a job ended."""
        error = result.error
        if result.existed and not self.batch.skip_existing:
            error = f"{result.job.target} has come into being meanwhile"
            if self.progress is not None and self.progress.resumed:
                error = f"{result.job.target} exists already, and is not what this run makes; use --overwrite"
        if self.progress is not None:
            self.progress.add(result.job, error, None if result.existed else result)
        if error:
            self.failure(result.job.source, result.job.target, error, result.trace)
        elif not result.existed:
            self.success(result)
        self.bar.update()

    def success(self, result: Result) -> None:
        """Print the path of an output, or the JSON object; nothing if the output itself went to stdout."""
        job = result.job
        if result.lost:
            self.lost(job.source, ", ".join(result.lost))
        if note := result.facts.get("note"):
            with self.bar.external_write_mode(sys.stderr):
                say_note(f"{'standard input' if job.source == STREAM else job.source}: {note}")
        if job.target == STREAM:
            return
        line = os.fsencode(job.target)  # not every file name is text
        if self.batch.json:
            facts = {"input": job.source, "output": job.target, **result.facts, "seconds": round(result.seconds, 4)}
            facts |= {} if result.lost is None else {"lost": list(result.lost)}
            line = json.dumps(facts).encode()
        with self.bar.external_write_mode(sys.stderr):
            click.echo(line)
            if not self.batch.json:  # files beside the output
                for beside in result.facts.get("maps", {}).values():
                    click.echo(os.fsencode(beside))

    def lost(self, source: str, what: str) -> None:
        """Say what an output lacks; of many inputs that lack the same only the first is named, at once."""
        self.losses[what] += 1
        if self.losses[what] == 1:
            with self.bar.external_write_mode(sys.stderr):
                say_note(f"{'standard input' if source == STREAM else source}: not kept: {what}")

    def say_losses(self) -> None:
        """Say of how many further outputs the same holds."""
        for what, count in self.losses.items():
            if count > 1:
                say_note(f"{count - 1} more: not kept: {what}")

    def failure(self, source: str, target: str | None, error: str, trace: str = "") -> None:
        """Print one line, and add one to the file."""
        self.failures += 1
        name = "standard input" if source == STREAM else source
        with self.bar.external_write_mode(sys.stderr):
            say_error(f"{name}: {error}")
            if self.debug and trace:
                click.echo(trace, err=True)
        if self.errors is not None:
            self.errors.write(json.dumps({"input": source, "output": target, "error": error}) + "\n")
            self.errors.flush()


def _open_errors(path: str) -> TextIO:
    file = Path(path)
    try:
        if file.is_file():
            with file.open("rb") as before:
                if not _is_failure(before.readline(1 << 20)):
                    raise click.UsageError(f"--errors {path}: this is no list of failures and will not be replaced")
        return file.open("w", encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"--errors {path}: {error.strerror}") from error


def _is_failure(line: bytes) -> bool:
    """Whether a file that begins so may be replaced: it is empty or ours, not an input or a list that was meant."""
    try:
        return not line or json.loads(line).keys() == {"input", "output", "error"}
    except (ValueError, AttributeError):
        return False


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Take the SIGTERM of a job scheduler as Ctrl-C, so that it leaves whole files only, too."""

    def interrupt(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
