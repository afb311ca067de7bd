"""What is done to the bytes of one file: read, compute, write. The command line and `process` both go this way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Generic, TypeAlias, TypeVar

import numpy as np

from .errors import ImageError
from .images import (
    MAX_PIXELS,
    Frames,
    Picture,
    frames_lost_in,
    lost_in,
    read_frames,
    takes_frames,
    write_frames,
)
from .keeping import KEEP, Keeping

X = TypeVar("X")
Y = TypeVar("Y")
Apply: TypeAlias = Callable[[np.ndarray], tuple[np.ndarray, dict[str, Any]]]
ForFile: TypeAlias = Callable[[Sequence[np.ndarray]], Apply]

MEASURED_FRAMES = 5


@dataclass(frozen=True)
class Operation(Generic[X, Y]):
    """What is done to one file. Each function may raise; that is then this file's failure alone.

    Attributes:
        read: from the bytes of an input. May be called in several threads.
        apply: the computation, and what is to be said of it; is told the format of the output. One at a time.
        write: a result to a seekable file, in a format; returns what the file could not hold, in words. May be called
            in several threads.
        size: bytes that a read input takes in memory.
        beside: further results that belong to a result, by name; each is written to a file of its own.
    """

    read: Callable[[BinaryIO], X]
    apply: Callable[[X, str], tuple[Y, dict[str, Any]]]
    write: Callable[[Y, BinaryIO, str], Sequence[str]]
    size: Callable[[X], int]
    beside: Callable[[Y], Mapping[str, Y]] = lambda _: {}


def of_images(
    for_file: ForFile,
    *,
    further: bool = False,
    max_pixels: int = MAX_PIXELS,
    quality: int | None = None,
    keeping: Keeping = KEEP,
) -> Operation[Frames, Frames]:
    """The operation that applies a function to images: to every frame or page of a file, if the output can hold them.

    Args:
        for_file: gives the function, of some frames or pages of a file, so that it does the same to all: from (C, H, W)
            in [0, 1] to the result, and what is to be said of it.
        further: whether it is applied to further channels, too: in threes, or singly.
        max_pixels: larger pictures are refused.
        quality: of the output, for formats that have one; None leaves it to the format.
        keeping: what of a file is read and kept.
    """

    def read(file: BinaryIO) -> Frames:
        return read_frames(file, max_pixels, frame=keeping.frame, strict=keeping.strict)

    def compute(frames: Frames, format: str) -> tuple[Frames, dict[str, Any]]:
        if not takes_frames(frames, format):
            frames = Frames.of(frames[0].and_lost(frames_lost_in(frames, format)))
        first: Picture = frames[0]
        if keeping.strict:
            refuse([*first.about.lost, *frames_lost_in(frames, format)])
        if keeping.strict and keeping.metadata == "keep":
            refuse(lost_in(first, format), f"{format} ")
        return changed(frames, for_file, further)

    def write(frames: Frames, file: BinaryIO, format: str) -> Sequence[str]:
        return write_frames(frames, file, format, quality, metadata=keeping.metadata, strict=keeping.strict)

    return Operation(read, compute, write, lambda frames: frames.nbytes)


def changed(frames: Frames, for_file: ForFile, further: bool = False) -> tuple[Frames, dict[str, Any]]:
    """All frames or pages with new pixels, and what is to be said of the first."""
    function = for_file(_some_of(frames))
    all_facts: list[dict[str, Any]] = []

    def one(picture: Picture) -> Picture:
        image, facts = function(picture.to_array())
        all_facts.append(facts)
        result = picture.with_array(image)
        if not further or result.further is None:
            return result
        parts = [part.with_array(function(part.to_array())[0]) for part in result.further_pictures()]
        return result.with_further(parts)

    results = frames.map(one)
    result: Picture = results[0]
    facts = {"width": result.width, "height": result.height, **all_facts[0]}
    return results, facts | ({"frames": len(results)} if len(results) > 1 else {})


def _some_of(frames: Frames) -> list[np.ndarray]:
    """Some frames, evenly spread, as arrays."""
    count = len(frames)
    places = sorted({round(i * (count - 1) / max(1, MEASURED_FRAMES - 1)) for i in range(MEASURED_FRAMES)})
    return [frames[place].to_array() for place in places]


def refuse(lost: Sequence[str], who: str = "") -> None:
    """Raise an ImageError that says what would be lost, if anything would."""
    if lost:
        raise ImageError(
            "{who}would lose {what}; without {0} that is only said", "strict", who=who, what=", ".join(lost)
        )
