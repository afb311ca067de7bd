"""Picture in, picture out: the batch task and the names of every command that does so."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from .pipeline import Task
from .plan import Naming

if TYPE_CHECKING:
    from torch import Tensor

    from img2img.data.io import Picture


def picture_naming(suffix: str, format: str | None) -> Naming:
    """Pictures keep their names in folders; beside its input an output is a PNG unless a format is asked for."""
    from img2img.data.io import FORMATS

    return Naming(suffix, readable=FORMATS.keys(), formats=FORMATS, default=".png", format=format)


def picture_task(
    apply: "Callable[[Tensor], tuple[Tensor, dict[str, Any]]]", max_pixels: int, quality: int | None
) -> "Task[Picture, Picture]":
    """The task that applies a function to images.

    Args:
        apply: from (C, H, W) in [0, 1] to the result, and what `--json` says of it beside the size.
        max_pixels: larger pictures are refused.
        quality: of the output, for formats that have one; None leaves it to the format.
    """
    from img2img.data.io import read_picture, write_picture

    def compute(picture: "Picture") -> "tuple[Picture, dict[str, Any]]":
        image, facts = apply(picture.to_tensor())
        result = picture.with_tensor(image)
        return result, {"width": result.width, "height": result.height, **facts}

    def write(picture: "Picture", file: BinaryIO, format: str) -> None:
        write_picture(picture, file, format, quality)

    return Task(
        read=partial(read_picture, max_pixels=max_pixels), apply=compute, write=write, size=lambda p: p.samples.nbytes
    )
