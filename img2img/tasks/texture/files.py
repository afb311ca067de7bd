"""How samples are read, and textures and their maps are written, or answered in Python. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ...errors import InputError, OptionError
from ...images import FORMATS, MAX_PIXELS, Frames, Picture, read_picture, write_picture
from ...keeping import KEEP, Keeping
from ...kinds import Given, Written, answer, output_path
from .patchwork import Made, map_files


@dataclass(frozen=True)
class TextureFiles:
    """Reads samples and writes textures.

    Args:
        quality: of the output, for formats that have one; None leaves it to the format.
        max_pixels: larger samples are refused.
        keeping: what of a file is read and kept.
    """

    quality: int | None = None
    max_pixels: int = MAX_PIXELS
    keeping: Keeping = KEEP

    def read(self, file: BinaryIO) -> Picture:
        """A sample; ImageError if the file is none."""
        return read_picture(file, self.max_pixels, frame=self.keeping.frame, strict=self.keeping.strict)

    def write(self, made: Made, file: BinaryIO, format: str) -> Sequence[str]:
        """Write a texture without its maps; returns what the file could not hold, in words."""
        metadata, strict, _ = self.keeping
        return write_picture(made.picture, file, format, self.quality, metadata=metadata, strict=strict)

    def beside(self, made: Made) -> Mapping[str, Made]:
        """The maps by name, each to be written to a file of its own."""
        return {name: Made(picture) for name, picture in made.maps.items()}


@dataclass(frozen=True)
class Answers:
    """How textures of one sample are answered: as many as were asked for, with their maps.

    Attributes:
        to: the sample.
        suffix: of files beside it.
        count: of textures; of several the files are numbered.
        written: how.
    """

    to: Given
    suffix: str
    count: int
    written: Written

    def check(self, maps: Mapping[str, Picture]) -> None:
        """Refuse, before anything is computed, what cannot be written.

        Raises:
            InputError: one output for several textures, or a map's file exists.
        """
        if self.count > 1 and "output" in self.written:
            raise OptionError("{0} is one file, and {1} asks for several", "output", "count")
        if not maps or not self._in_files:
            return
        for copy in range(self.count):
            target = output_path(self.to, self._suffix(copy), f".{self.written.get('format', 'png')}", self.written)
            for file in self._map_files(target, maps).values():
                if os.path.lexists(file) and not self.written.get("overwrite"):
                    raise InputError(f"{file} exists already; overwrite=True replaces it")

    def answer(self, made: Made, copy: int) -> Any:
        """A texture as its sample was given; with maps a pair, of it and of these by name."""
        main = answer(Frames.of(made.picture), self.to, self._suffix(copy), self.written)
        if not made.maps:
            return main
        if not self._in_files:
            return main, {n: answer(Frames.of(each), self.to, "", self.written) for n, each in made.maps.items()}
        files = self._map_files(Path(main), made.maps)
        plain: Written = {name: self.written[name] for name in ("overwrite",) if name in self.written}  # type: ignore
        return main, {
            name: answer(Frames.of(each), self.to, "", {**plain, "output": files[name]})
            for name, each in made.maps.items()
        }

    @property
    def _in_files(self) -> bool:
        return (self.written.get("kind") or ("path" if "output" in self.written else self.to.kind)) == "path"

    def _suffix(self, copy: int) -> str:
        return self.suffix + (f"_{copy + 1:0{len(str(self.count))}}" if self.count > 1 else "")

    def _map_files(self, target: Path, maps: Mapping[str, Picture]) -> dict[str, str]:
        return map_files(str(target), FORMATS.get(target.suffix.lower(), ""), maps)
