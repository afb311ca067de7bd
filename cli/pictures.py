"""Picture in, picture out: the batch task and the names of every command that does so."""

import os
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import click

from .batch import BatchOptions
from .options import KEEP, Keeping
from .pipeline import Task
from .plan import Job, Naming

if TYPE_CHECKING:
    import numpy as np

    from img2img.images import Frames, Picture


COMPRESSED = ".i2i"


def picture_naming(suffix: str, format: str | None) -> Naming:
    """Pictures keep their names in folders; beside its input an output is a PNG unless a format is asked for.

    A TIFF gives a TIFF: it may have pages, channels and kinds of samples that no PNG holds.
    """
    from img2img.images import FORMATS

    return Naming(
        suffix, readable=FORMATS.keys(), formats=FORMATS, default=".png", format=format, keeping=(".tif", ".tiff")
    )


def compressed_naming() -> Naming:
    """photo.jpg gives photo.i2i, photos/ gives photos_compressed/."""
    from img2img.images import FORMATS

    formats = {COMPRESSED: "i2i"}
    return Naming("", readable=FORMATS.keys(), formats=formats, default=COMPRESSED, folder_suffix="_compressed")


def decompressed_naming(format: str | None) -> Naming:
    """photo.i2i gives photo.png or what `format` says, photos/ gives photos_decompressed/."""
    from img2img.images import FORMATS

    readable = (COMPRESSED,)
    return Naming("", readable, formats=FORMATS, default=".png", format=format, folder_suffix="_decompressed")


def refuse_files(batch: BatchOptions, extensions: Collection[str], why: str) -> None:
    """Refuse inputs that are the other command's, by their names: a `*` of the shell takes in results, too.

    Raises:
        click.UsageError: one of the inputs is such a file.
    """
    for name in batch.inputs:
        if os.path.splitext(name)[1].lower() in extensions and not os.path.isdir(name):
            raise click.UsageError(f"{name} {why}")


Apply: TypeAlias = "Callable[[np.ndarray], tuple[np.ndarray, dict[str, Any]]]"
MEASURED_FRAMES = 5


def picture_task(
    max_pixels: int,
    quality: int | None,
    keeping: Keeping = KEEP,
    *,
    apply: "Apply | None" = None,
    for_file: "Callable[[Sequence[np.ndarray]], Apply] | None" = None,
    further: bool = False,
) -> "Task[Frames, Frames]":
    """The task that applies a function to images: to every frame or page of a file, if the output can hold them.

    Args:
        max_pixels: larger pictures are refused.
        quality: of the output, for formats that have one; None leaves it to the format.
        keeping: what of a file is read and kept.
        apply: from (C, H, W) in [0, 1] to the result, and what `--json` says of it beside the size.
        for_file: what gives this function instead, of some frames or pages of a file, so that it does the same to all.
        further: whether it is applied to further channels, too: in threes, or singly.
    """
    from img2img.errors import ImageError
    from img2img.images import Frames, frames_lost_in, lost_in, read_frames, takes_frames, write_frames

    def compute(frames: "Frames", job: Job) -> "tuple[Frames, dict[str, Any]]":
        if not takes_frames(frames, job.format):
            frames = Frames.of(frames[0].and_lost(frames_lost_in(frames, job.format)))
        first: Picture = frames[0]
        if keeping.strict and (lost := [*first.about.lost, *frames_lost_in(frames, job.format)]):
            raise ImageError(f"would lose {', '.join(lost)}; without --strict that is only said")
        if keeping.strict and keeping.metadata == "keep" and (lost := lost_in(first, job.format)):
            raise ImageError(f"{job.format} would lose {', '.join(lost)}; without --strict that is only said")
        function = apply or (for_file(_some_of(frames)) if for_file else _same)
        all_facts: list[dict[str, Any]] = []

        def one(picture: "Picture") -> "Picture":
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

    def write(frames: "Frames", file: BinaryIO, format: str) -> Sequence[str]:
        return write_frames(frames, file, format, quality, metadata=keeping.metadata, strict=keeping.strict)

    read = partial(read_frames, max_pixels=max_pixels, frame=keeping.frame, strict=keeping.strict)
    return Task(read=read, apply=compute, write=write, size=lambda frames: frames.nbytes, with_job=True)


def _same(image: "np.ndarray") -> "tuple[np.ndarray, dict[str, Any]]":
    return image, {}


def _some_of(frames: "Frames") -> "list[np.ndarray]":
    """Some frames, evenly spread, as arrays."""
    count = len(frames)
    places = sorted({round(i * (count - 1) / max(1, MEASURED_FRAMES - 1)) for i in range(MEASURED_FRAMES)})
    return [frames[place].to_array() for place in places]
