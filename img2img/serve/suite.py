"""What is served: the suite's commands, as the command line describes them; this room does not know that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

Arguments: TypeAlias = tuple[str, ...]
Perform: TypeAlias = Callable[[str, Arguments, Path, Path], dict[str, Any]]
"""Does a command to the file of the first path and writes the second: name, arguments, input, output; gives the facts.
A function of a module, so that other processes find it."""


@dataclass(frozen=True)
class Parameter:
    """One option of a command.

    Attributes:
        name: as on the command line, without the dashes.
        schema: what it may be, as JSON Schema.
        about: the help text.
        required: whether it has to be given.
        default: what holds without it; None if that depends.
    """

    name: str
    schema: Mapping[str, Any]
    about: str
    required: bool = False
    default: Any = None


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        name: of the command, and the last part of its address.
        about: what it does.
        takes: media types of its input.
        parameters: its options.
    """

    name: str
    about: str
    takes: Sequence[str]
    parameters: Sequence[Parameter]


@dataclass(frozen=True)
class Checked:
    """A request that makes sense.

    Attributes:
        arguments: the command's.
        format: of the result: png, jpg ... or i2i.
    """

    arguments: Arguments
    format: str


@dataclass(frozen=True)
class Suite:
    """Everything that is served.

    Attributes:
        version: of the suite.
        commands: by their names.
        check: from a command's name and the values given, which may be several of one option, to a request that makes
            sense; raises OptionError if it does not.
        perform: does it.
        models: the weights that there are.
    """

    version: str
    commands: Mapping[str, Command]
    check: Callable[[str, Sequence[tuple[str, str]]], Checked]
    perform: Perform
    models: Sequence[Mapping[str, Any]] = field(default_factory=list)
