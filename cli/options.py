"""Options that several commands share, each with one meaning."""

import math
import os
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from img2img.choices import DEFAULT_QUALITY, DEVICES, ENGINES, FORMATS, MAX_PIXELS, METADATA, PRECISIONS, TUNES
from img2img.keeping import Keeping as Keeping
from img2img.runtime import share_the_machine

from .batch import BatchOptions
from .debug import debug
from .shard import Shard, parse_shard, shard_from_slurm
from .work import Work

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")

_QUALITY = max(DEFAULT_QUALITY.values())
_LOWER = ", ".join(format for format, quality in DEFAULT_QUALITY.items() if quality < _QUALITY)


def given(name: str) -> bool:
    """Whether an option stands on the command line."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def complete_files(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Leave the completion to the shell, which knows its files."""
    return [CompletionItem(incomplete, type="file")]


class AutoOr(click.ParamType):
    """The word `auto`, which becomes None, or what another type takes."""

    def __init__(self, other: click.ParamType, what: str) -> None:
        self.other, self.what = other, what
        self.name = f"auto or {other.name}"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show both in the help text."""
        return "auto|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Leave `auto` to the library, which knows it as None."""
        if value in ("auto", None):
            return None
        try:
            number = self.other.convert(value, param, ctx)
        except click.BadParameter:
            number = math.nan
        if math.isnan(number):
            self.fail(f"{value!r} is neither auto nor {self.what}", param, ctx)
        return number


class Positive(click.ParamType):
    """A number above 0, neither infinite nor NaN."""

    name = "number"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show that it need not be whole."""
        return "X"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Refuse what click.FloatRange lets pass: its comparisons take NaN for a number in range."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 < number < math.inf:
            self.fail(f"{value!r} is no number above 0", param, ctx)
        return number


class WeightsName(click.ParamType):
    """Weights of a task: the name of shipped ones, or a file."""

    name = "name or file"

    def __init__(self, task: str) -> None:
        self.task = task

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show both in the help text."""
        return "NAME|FILE"

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str | None:
        """List the names when none is given."""
        from img2img.checkpoints import names

        return f"Choose {', '.join(names(self.task))} or a file." if names(self.task) else None

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete the names; where none begins so, files."""
        from img2img.checkpoints import names

        fitting = [CompletionItem(name) for name in names(self.task) if name.startswith(incomplete)]
        return [*complete_files(ctx, param, incomplete), *fitting]

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what is neither, and list the names."""
        from img2img.checkpoints import names

        known = names(self.task)
        if value not in known and value in names():
            self.fail(f"the weights {value} are not for {self.task}", param, ctx)
        if value not in known and not Path(value).is_file():
            if not known:
                self.fail(f"there is no file {value!r}", param, ctx)
            self.fail(f"no weights are called {value!r}; there are {', '.join(known)}, or name a file", param, ctx)
        return value


def _shard(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Shard:
    return shard_from_slurm(os.environ) if value is None else parse_shard(value, os.environ)


def batch(command: Callable[..., Work]) -> Callable[..., Work]:
    """INPUT... and all options of the batch engine; the command receives them as `batch`."""
    return _batch(command, _inputs("INPUT..."), *_BATCH[:2], *_MANY, *_BATCH[2:])


def batch_of_any(command: Callable[..., Work]) -> Callable[..., Work]:
    """The same for a command that may do without INPUT, and is not for millions of files."""
    return _batch(command, _inputs("[INPUT...]"), *_BATCH)


def _inputs(metavar: str) -> Callable[[Any], Any]:
    return click.argument("inputs", metavar=metavar, nargs=-1, shell_complete=complete_files)


def _batch(command: Callable[..., Work], *taken: Callable[[Any], Any]) -> Callable[..., Work]:
    @wraps(command)
    def collected(**values: Any) -> Work:
        names = [field.name for field in fields(BatchOptions) if field.name in values]
        return command(batch=BatchOptions(**{name: values.pop(name) for name in names}), **values)

    for option in reversed(taken):
        collected = option(collected)
    return collected


_BATCH: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "-o",
        "--output",
        metavar="OUT",
        shell_complete=complete_files,
        help="A file, a folder, or - for standard output.",
    ),
    click.option("-r", "--recursive", is_flag=True, help="Also read the folders in folders."),
    click.option("--skip-existing", is_flag=True, help="Leave outputs that exist as they are; goes on after Ctrl-C."),
    click.option("--overwrite", is_flag=True, help="Replace outputs that exist (otherwise an error)."),
    click.option(
        "--shard",
        metavar="I/N",
        callback=_shard,
        help="Do the I-th of N parts, I from 1, or auto/N: the one that Kubernetes (an indexed job) or GNU parallel"
        " says.  [default: the task of a Slurm array job, else all]",
    ),
    click.option(
        "--jobs",
        type=click.IntRange(1, 64),
        metavar="N",
        default=4,
        show_default=True,
        help="Files read ahead, and written behind, while one is computed.",
    ),
    click.option(
        "--errors", type=click.Path(dir_okay=False), metavar="FILE.jsonl", help="List failures here, one object a line."
    ),
    click.option("--fail-fast", is_flag=True, help="Stop at the first failure."),
    click.option("--json", is_flag=True, help="Print one JSON object a line instead of paths."),
    debug,
)


_MANY: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--files-from",
        metavar="FILE|-",
        shell_complete=complete_files,
        help="Read the inputs from a list: one path a line, or a JSON object with input, output and own options.",
    ),
    click.option(
        "--manifest",
        metavar="FILE",
        type=click.Path(dir_okay=False),
        help="Record here what is done, one JSON object a line; what the record says is done is not done again.",
    ),
    click.option(
        "--workers", type=click.IntRange(1, 4096), metavar="N", help="Compute in N processes.  [default: in this one]"
    ),
    click.option(
        "--ray", is_flag=True, help="Workers are Ray's actors; RAY_ADDRESS names a cluster, else this machine."
    ),
    click.option(
        "--num-cpus",
        type=click.FloatRange(0, min_open=True),
        metavar="X",
        help="Cores of each worker.  [default: an equal share; with --ray 1]",
    ),
    click.option(
        "--num-gpus", type=click.FloatRange(0), metavar="X", help="GPUs of each of Ray's actors.  [default: 0]"
    ),
)


def weights(task: str, default: str | None = None) -> Callable[[F], F]:
    """`--model`: weights by name or file; without a default it has to be given."""
    if default is None:
        return click.option(
            "--model", type=WeightsName(task), required=True, help="See img2img weights list, or a file of your own."
        )
    return click.option(
        "--model", type=WeightsName(task), default=default, show_default=True, help="See img2img weights list."
    )


class Tune(click.ParamType):
    """What the codec is to be good by: one of TUNES, or a file of weights."""

    name = "tune or file"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show all in the help text."""
        return "|".join((*TUNES, "FILE"))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete the names; where none begins so, files."""
        fitting = [CompletionItem(tune) for tune in TUNES if tune.startswith(incomplete)]
        return [*complete_files(ctx, param, incomplete), *fitting]

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what is neither."""
        if value not in TUNES and not Path(value).is_file():
            self.fail(f"{value!r} is neither {' nor '.join(TUNES)} nor a file.", param, ctx)
        return value


class Quality(click.ParamType):
    """1 to 100, or `keep`, which becomes None."""

    name = "quality"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show both in the help text."""
        return "keep|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Leave `keep` to the library, which knows it as None."""
        if value in ("keep", None):
            return None
        return click.IntRange(1, 100).convert(value, param, ctx)


def pictures(command: Callable[..., R]) -> Callable[..., R]:
    """Options of every command that reads pictures and writes pictures; it receives some as `keeping`."""
    return _keeping(written(command), frame)


def written(command: Callable[..., R]) -> Callable[..., R]:
    """Of these, those that say how a picture is written."""
    return _options(
        command,
        click.option("--format", type=click.Choice(FORMATS), help="Format of the output.  [default: by its name]"),
        click.option(
            "--quality",
            type=Quality(),
            default="keep",
            help="1 to 100, for formats that lose something; keep: as the JPEG was that is read, "
            f"else {_QUALITY} ({_LOWER}: {min(DEFAULT_QUALITY.values())}).  [default: keep]",
        ),
        max_pixels,
    )


def kept(command: Callable[..., R]) -> Callable[..., R]:
    """What is kept of a picture that is not read from a picture file."""
    return _keeping(command)


def read_and_kept(command: Callable[..., R]) -> Callable[..., R]:
    """What is read of a picture's file, and kept of it in one that is no picture file."""
    return _keeping(command, frame)


def _keeping(command: Callable[..., R], *more: Callable[[Any], Any]) -> Callable[..., R]:
    @wraps(command)
    def collected(**values: Any) -> R:
        keeping = Keeping(**{name: values.pop(name) for name in Keeping._fields if name in values})
        return command(keeping=keeping, **values)

    return _options(collected, metadata, strict, *more)


def _options(command: Callable[..., R], *options: Callable[[Any], Any]) -> Callable[..., R]:
    for option in reversed(options):
        command = option(command)
    return command


metadata = click.option(
    "--metadata",
    type=click.Choice(METADATA),
    default="keep",
    show_default=True,
    help="none: only what is needed to show the picture, such as its colour profile.",
)

strict = click.option(
    "--strict", is_flag=True, help="What cannot be kept is an error; otherwise a note says what it is."
)

frame = click.option(
    "--frame",
    type=click.IntRange(1),
    metavar="N",
    help="Take the N-th frame or page alone.  [default: all]",
)


def computing(command: Callable[..., R]) -> Callable[..., R]:
    """`--engine`, `--device`, `--precision`: the command receives them as `computing`, for a task's from_pretrained."""
    return _computing(command, engine=engine, device=device, precision=precision)


def computing_in_tiles(command: Callable[..., R]) -> Callable[..., R]:
    """The same and `--tile`."""
    return _computing(command, engine=engine, device=device, precision=precision, tile=tile)


def _computing(command: Callable[..., R], **options: Callable[[Any], Any]) -> Callable[..., R]:

    @threads
    @wraps(command)
    def collected(**values: Any) -> R:
        return command(computing={name: values.pop(name) for name in options}, **values)

    for option in reversed(options.values()):
        collected = option(collected)
    return collected


def _use_threads(_ctx: click.Context, _param: click.Parameter, number: int | None) -> None:
    if number is not None:
        share_the_machine(number)


threads = click.option(
    "--threads",
    type=click.IntRange(1),
    metavar="N",
    expose_value=False,
    callback=_use_threads,
    help="Threads that compute at the same time.  [default: OMP_NUM_THREADS, else the cores that it may use]",
)

engine = click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="auto",
    show_default=True,
    help="Who runs the networks: auto is onnxruntime (CPU, fp32), or PyTorch where that saves more than its start.",
)

device = click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)

max_pixels = click.option(
    "--max-pixels",
    type=click.IntRange(1),
    metavar="N",
    default=MAX_PIXELS,
    show_default=True,
    help="Refuse larger pictures before they are decoded.",
)

precision = click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="auto",
    show_default=True,
    help="auto is bf16 where PyTorch runs and the processor is fast at it; onnx has fp32 only.",
)

tile = click.option(
    "--tile",
    type=AutoOr(click.IntRange(32), "a whole number from 32 on"),
    default="auto",
    show_default=True,
    help="Side in pixels of the tiles that larger pictures are computed in.",
)
