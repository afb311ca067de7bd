"""Picture in, picture out: the batch task and the names of every command that does so."""

import os
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from .batch import BatchOptions
from .pipeline import Task
from .plan import Naming

if TYPE_CHECKING:
    import numpy as np

    from img2img.images import Picture


COMPRESSED = ".i2i"


def picture_naming(suffix: str, format: str | None) -> Naming:
    """Pictures keep their names in folders; beside its input an output is a PNG unless a format is asked for."""
    from img2img.images import FORMATS

    return Naming(suffix, readable=FORMATS.keys(), formats=FORMATS, default=".png", format=format)


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


def picture_task(
    apply: "Callable[[np.ndarray], tuple[np.ndarray, dict[str, Any]]]", max_pixels: int, quality: int | None
) -> "Task[Picture, Picture]":
    """The task that applies a function to images.

    Args:
        apply: from (C, H, W) in [0, 1] to the result, and what `--json` says of it beside the size.
        max_pixels: larger pictures are refused.
        quality: of the output, for formats that have one; None leaves it to the format.
    """
    from img2img.images import read_picture, write_picture

    def compute(picture: "Picture") -> "tuple[Picture, dict[str, Any]]":
        image, facts = apply(picture.to_array())
        result = picture.with_array(image)
        return result, {"width": result.width, "height": result.height, **facts}

    def write(picture: "Picture", file: BinaryIO, format: str) -> None:
        write_picture(picture, file, format, quality)

    return Task(
        read=partial(read_picture, max_pixels=max_pixels), apply=compute, write=write, size=lambda p: p.samples.nbytes
    )
