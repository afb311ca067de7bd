"""Inputs from a list, `--files-from`: one path a line, or a JSON object with what belongs to one file."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from img2img import stores
from img2img.errors import AddressError
from img2img.stores import Stamp, is_address

from .plan import STREAM, Job, Naming, Plan, beside
from .shard import Shard

OWN = ("input", "output", "size", "etag", "mtime")  # of an object; whatever else it has are options

Options = tuple[tuple[str, Any], ...]


@dataclass
class Listed:
    """The jobs of a list.

    Args:
        file: where it lies; STREAM for standard input.
        prepare: gives, of options that belong to one file, what loads its task; may raise click.UsageError.
    """

    file: str
    prepare: Callable[[Options], Any]
    _prepared: dict[Options, Any] = field(default_factory=dict)
    _checked: set[str] = field(default_factory=set)

    def jobs(self, output: str | None, naming: Naming, shard: Shard, plan: Plan) -> Iterator[Job]:
        """The jobs of the list, in its order; of a shard only its own lines are looked at.

        Raises:
            click.UsageError: the list cannot be read, or a line makes no sense.
        """
        if output == STREAM:
            raise click.UsageError("standard output (-) takes the result of one file only, not of a list")
        mine = total = 0
        for number, line in self._lines():
            if total % shard.count == shard.index:
                mine += 1
                try:
                    yield self._job(line, output, naming)
                except (click.UsageError, AddressError) as error:
                    text = error.format_message() if isinstance(error, click.UsageError) else str(error)
                    raise click.UsageError(f"{self._name}, line {number}: {text}") from error
            total += 1
        if shard.count > 1:
            plan.notes.append(f"shard {shard}: {mine} of {total}")
        if not total:
            plan.problems.append((self._name, "there is nothing in this list"))

    @property
    def _name(self) -> str:
        return "standard input" if self.file == STREAM else self.file

    def _lines(self) -> Iterator[tuple[int, str]]:
        try:
            with nullcontext(sys.stdin.buffer) if self.file == STREAM else Path(self.file).open("rb") as stream:
                for number, line in enumerate(stream, 1):
                    text = os.fsdecode(line).rstrip("\r\n")
                    if text:
                        yield number, text
        except OSError as error:
            raise click.UsageError(f"--files-from {self.file}: {error.strerror or error}") from error

    def _job(self, line: str, output: str | None, naming: Naming) -> Job:
        said = _parsed(line) if line.startswith("{") else {"input": line}
        source = self._usable(said["input"])
        target = self._usable(said["output"], True) if "output" in said else _target(source, output, naming)
        options = tuple(sorted((name, _hashable(value)) for name, value in said.items() if name not in OWN))
        if options and options not in self._prepared:
            self._prepared[options] = self.prepare(options)
        return Job(
            source,
            target,
            naming.format_of(target),
            prepare=self._prepared[options] if options else None,
            stamp=_stamp(said),
        )

    def _usable(self, name: str, writing: bool = False) -> str:
        """A path, or an address of a store that was not looked at before."""
        if not is_address(name):
            return name
        begin = f"{writing}{name.partition('://')[0] if '::' not in name else name}"
        if begin not in self._checked:
            stores.check(name, writing)
            self._checked.add(begin)
        return stores.local(name)


def _parsed(line: str) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except ValueError as error:
        raise click.UsageError(f"this is no JSON object ({error})") from error
    for name in ("input", "output"):
        if not isinstance(said.get(name, ""), str) or not said.get(name, "-"):
            raise click.UsageError(f'"{name}" is no path')
    if "input" not in said:
        raise click.UsageError('there is no "input"')
    return dict(said)


def _hashable(value: Any) -> Any:
    if isinstance(value, str | int | float | bool):
        return value
    raise click.UsageError(f"an option is a number, a text, true or false, not {json.dumps(value)}")


def _stamp(said: dict[str, Any]) -> Stamp | None:
    kind = next((kind for kind in ("etag", "mtime") if kind in said), None)
    if kind is None:
        return None
    try:
        return Stamp(int(said.get("size", 0)), kind, str(said[kind]))
    except (TypeError, ValueError):
        raise click.UsageError('"size" is no number') from None


def _target(source: str, output: str | None, naming: Naming) -> str:
    """Where a result goes: beside its input, or below OUT under the whole path as the list has it."""
    if output is None:
        return beside(source, naming)
    path = stores.inner(source).partition("://")[2] if is_address(source) else os.path.splitdrive(source)[1]
    parts = [part for part in path.replace(os.sep, "/").split("/") if part not in ("", ".")]
    if ".." in parts:
        raise click.UsageError(f'{source}: a path with .. has no place below {output}; give it an "output"')
    return stores.joined(output, naming.rename("/".join(parts)))
