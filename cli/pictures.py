"""Picture in, picture out: the batch task and the names of every command that does so."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from img2img.keeping import KEEP, Keeping
from img2img.stores import inner

from .batch import BatchOptions
from .pipeline import Task
from .plan import Naming

if TYPE_CHECKING:
    from img2img.images import Frames
    from img2img.operations import Apply, Operation
    from img2img.processing import Unit

X = TypeVar("X")
Y = TypeVar("Y")

COMPRESSED = ".i2i"


def picture_naming(suffix: str, format: str | None) -> Naming:
    """Pictures keep their names in folders; beside its input an output is a PNG unless a format is asked for.

    A TIFF gives a TIFF, and so do OpenEXR and raw files: they may have what no PNG holds.
    """
    from img2img.images import DEEP, FORMATS, READABLE

    return Naming(suffix, READABLE.keys(), FORMATS, default=".png", format=format, deep=DEEP)


def compressed_naming() -> Naming:
    """photo.jpg gives photo.i2i, photos/ gives photos_compressed/."""
    from img2img.images import READABLE

    formats = {COMPRESSED: "i2i"}
    return Naming("", readable=READABLE.keys(), formats=formats, default=COMPRESSED, folder_suffix="_compressed")


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
        if os.path.splitext(inner(name))[1].lower() in extensions and not os.path.isdir(name):
            raise click.UsageError(f"{name} {why}")


@dataclass(frozen=True)
class Prepared:
    """Loads what a unit of work needs and gives its task; other processes can be sent it."""

    unit: "Unit"

    def __call__(self, pictures: int) -> "Task[Any, Any]":
        """The task for so many pictures."""
        return task_of(self.unit.operation(pictures))


def prepared(task: str, model: Any, computing: dict[str, Any], **options: Any) -> Prepared:
    """What `batch.run` prepares: the library's task with these weights and options."""
    from img2img.processing import Unit

    return Prepared(Unit.of(task, model, computing, **options))


def picture_task(
    max_pixels: int, quality: int | None, keeping: Keeping = KEEP, *, apply: "Apply", further: bool = False
) -> "Task[Frames, Frames]":
    """The task that applies a function to images; the arguments are those of the library's `operations.of_images`."""
    from img2img.operations import of_images

    operation = of_images(lambda _: apply, further=further, max_pixels=max_pixels, quality=quality, keeping=keeping)
    return task_of(operation)


def task_of(operation: "Operation[X, Y]") -> "Task[X, Y]":
    """The batch's task of what the library does to a file."""
    return Task(
        read=operation.read,
        apply=lambda x, job: operation.apply(x, job.format),
        write=operation.write,
        size=operation.size,
        with_job=True,
    )
