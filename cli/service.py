"""The commands as `img2img serve` offers them.

A request becomes a command line, `img2img denoise --sigma=5 - -o -`, which the command itself reads and checks; but it
is only asked for its `Work`, not told to do it. That is the library's unit of work, as `img2img.process` does it. A
request is text, like a command line: click's types describe, convert and explain it, and what goes together the library
checks, for the command, the service and `process` in one place.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from img2img.checkpoints import index, names
from img2img.choices import LOOKS
from img2img.serve.settings import OptionError
from img2img.serve.suite import Arguments, Checked, Command, Parameter

from . import main as commands
from . import options
from .batch import BatchOptions, planned
from .decompress import Look, Region
from .pipeline import MANY
from .plan import STREAM
from .report import one_line
from .texture_types import DescriptorName, Sides, Size
from .translate import HintAt
from .work import Work, asked

SERVED = ("denoise", "compress", "decompress", "translate", "texture")
COMPUTING = ("engine", "device", "precision", "tile", "max_pixels")  # the machine's matter: options of `serve` itself
ONE_PICTURE = ("mix", "count", "max_seam")  # are about several, or about the command's exit code
DOWNLOADED = ("vgg19",)

POINT = r" *\d+ *, *\d+ *, *(#[0-9A-Fa-f]{3}([0-9A-Fa-f]{3})?|[A-Za-z]+) *"

# What an option may be, by the type that checks it, as JSON Schema. An option of another type is not served: it could
# name a file of this machine.
SCHEMAS: dict[type[click.ParamType], Callable[[Any], dict[str, Any]]] = {
    click.Choice: lambda type: {"enum": [*type.choices]},
    click.IntRange: lambda type: {"type": "integer", **_range(type)},
    click.FloatRange: lambda type: {"type": "number", **_range(type)},
    type(click.BOOL): lambda type: {"type": "boolean"},
    options.Positive: lambda type: {"type": "number", "exclusiveMinimum": 0},
    options.Quality: lambda type: {"oneOf": [{"const": "keep"}, {"type": "integer", "minimum": 1, "maximum": 100}]},
    options.AutoOr: lambda type: {"oneOf": [{"const": "auto"}, schema(type.other)]},
    options.WeightsName: lambda type: {"enum": [*names(type.task)]},
    DescriptorName: lambda type: {
        "enum": [name for name in (*names("descriptor"), "random") if name not in DOWNLOADED]
    },
    Size: lambda type: {"type": "string", "pattern": r"^\d{1,9}([xX]\d{1,9})?$", "x-metavar": "WxH"},
    Sides: lambda type: {
        "type": "string",
        "pattern": r"^\d{1,6}(,\d{1,6},\d{1,6},\d{1,6})?$",
        "x-metavar": "N[,N,N,N]",
    },
    HintAt: lambda type: {
        "type": "string",
        "pattern": rf"^{POINT}(;{POINT})*$",
        "x-metavar": "X,Y,COLOUR[;X,Y,COLOUR...]",
    },
    Region: lambda type: {"type": "string", "pattern": r"^\d+,\d+,\d+,\d+$", "x-metavar": "X,Y,W,H"},
    Look: lambda type: {"type": "string", "enum": [*LOOKS]},
}


def schema(type: click.ParamType) -> dict[str, Any] | None:
    """JSON Schema of what an option's type takes; None if it is not to be served."""
    describe = SCHEMAS.get(type.__class__)
    return None if describe is None else describe(type)


def _range(type: Any) -> dict[str, Any]:
    least = {"exclusiveMinimum" if type.min_open else "minimum": type.min} if type.min is not None else {}
    most = {"exclusiveMaximum" if type.max_open else "maximum": type.max} if type.max is not None else {}
    return least | most


def command(name: str) -> Command:
    """A command, described."""
    found = _click(name)
    about = _prose(found.help or "")
    takes = ("application/x-i2i",) if name == "decompress" else ("image/*",)
    return Command(name, about, (*takes, "application/octet-stream"), [*_parameters(found)])


def _click(name: str) -> click.Command:
    found = commands.main.get_command(click.Context(commands.main), name)
    assert found is not None
    return found


def _prose(help: str) -> str:
    """A help text without what it says of files and standard input."""
    paragraphs = [one_line(part) for part in help.split("\n\n")]
    return "\n\n".join(part for part in paragraphs if not part.startswith("INPUT"))


def _parameters(found: click.Command) -> Iterator[Parameter]:
    for option in served(found):
        allowed = schema(option.type)
        assert allowed is not None
        default = None if option.default is None or callable(option.default) else _plain(option.default)
        if type(default).__name__ == "Sentinel":
            default = None
        yield Parameter(_name(option), allowed, option.help or "", option.required, default)


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else None


def served(found: click.Command) -> list[click.Option]:
    """A command's options that are about the picture."""
    batch = {field.name for field in fields(BatchOptions)}
    left_out = {*batch, *COMPUTING, *ONE_PICTURE, "help", "debug"}
    given = [option for option in found.params if isinstance(option, click.Option) and option.expose_value]
    return [
        option
        for option in given
        if option.name not in left_out
        and schema(option.type) is not None
        and (not option.multiple or isinstance(option.type, HintAt))
    ]


def _name(option: click.Option) -> str:
    return max(option.opts, key=len).removeprefix("--")


class Checker:
    """Turns the options of requests into command lines.

    Args:
        computing: options of `serve` that are put before those of every request; None leaves one to the command.
    """

    def __init__(self, computing: dict[str, Any]) -> None:
        self.computing = {name: value for name, value in computing.items() if value is not None}

    def __call__(self, name: str, values: Sequence[tuple[str, str]]) -> Checked:
        """A request that makes sense.

        Raises:
            OptionError: it makes none.
        """
        found = _click(name)
        known = {_name(option): option for option in served(found)}
        twice = [word for word, _ in values if sum(word == other for other, _ in values) > 1]
        if twice:
            raise OptionError(f"{twice[0]} is given twice")
        for word, option in known.items():
            if option.required and word not in [other.replace("_", "-") for other, _ in values]:
                raise OptionError(f"{word} has to be given: {' or '.join((schema(option.type) or {}).get('enum', []))}")
        takes = {option.name for option in found.params}
        here = [f"{_dashed(word)}={value}" for word, value in self.computing.items() if word in takes]
        arguments = tuple(here + [word for pair in values for word in _words(*pair, known)])
        try:
            job = planned(work_of(name, arguments)).jobs[0]
        except click.ClickException as error:
            raise OptionError(one_line(error.format_message())) from error
        except ValueError as error:
            raise OptionError(one_line(str(error))) from error
        return Checked(arguments, job.format)


def _dashed(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _words(name: str, value: str, known: dict[str, click.Option]) -> Iterator[str]:
    """An option as on a command line."""
    option = known.get(name.replace("_", "-"))
    if option is None:
        raise OptionError(f"there is no option {name[:100]!r}; there are {', '.join(sorted(known))}")
    if value == "" and not option.required:
        return  # a form's empty field
    if option.is_flag:
        if value.lower() not in ("true", "false", "1", "0"):
            raise OptionError(f"{name} is true or false, not {value[:100]!r}")
        wanted = value.lower() in ("true", "1")
        if option.secondary_opts:
            yield (option.opts if wanted else option.secondary_opts)[0]
        elif wanted:
            yield _dashed(name)
        return
    allowed = schema(option.type) or {}
    if "enum" in allowed and value not in allowed["enum"]:  # a type may take a file's name, too
        raise OptionError(f"{name} is one of {', '.join(allowed['enum'])}, not {value[:100]!r}")
    for part in value.split(";") if option.multiple else [value]:
        yield f"{_dashed(name)}={part}"


def work_of(name: str, arguments: Arguments) -> Work:
    """What a command would do to standard input.

    Raises:
        click.ClickException: the arguments make no sense.
    """
    parent = click.Context(commands.main, info_name="img2img")
    with _click(name).make_context(name, [*arguments, "-o", STREAM, "--", STREAM], parent=parent) as context:
        return asked(context)


def perform(name: str, arguments: Arguments, source: Path, target: Path) -> dict[str, Any]:
    """Do a command to a file: see `img2img.serve.suite.Perform`."""
    work = work_of(name, arguments)
    job, task = planned(work).jobs[0], work.prepare(MANY)  # networks are kept, tasks know their samples
    with source.open("rb") as file:
        read = task.read(file)
    result, facts = task.apply(read, job) if task.with_job else task.apply(read)
    with target.open("w+b") as file:
        lost = task.write(result, file, job.format)
    return facts | ({"lost": [*lost]} if lost else {})


def models() -> list[dict[str, Any]]:
    """The shipped weights."""
    return [
        {"name": name, "task": entry["task"], "about": re.sub(r"\s+", " ", entry["about"]).strip()}
        for name, entry in index().items()
    ]
