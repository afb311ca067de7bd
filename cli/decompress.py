"""`img2img decompress`."""

from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import click

from . import options
from .batch import BatchOptions, run
from .pictures import decompressed_naming, refuse_files
from .pipeline import Task

if TYPE_CHECKING:
    from img2img.images import Picture


LONGEST_HEADER = 100  # bytes


class Read(NamedTuple):
    """A file that waits for decoding, and the bytes that its picture will take."""

    data: bytes
    size: int


@click.command()
@click.option(
    "--model",
    "models",
    type=options.WeightsName("compress"),
    multiple=True,
    help="Weights that files need and that are not shipped; may be given several times.",
)
@options.written
@options.kept
@options.device
@options.precision
@options.batch
def decompress(
    batch: BatchOptions,
    models: tuple[str, ...],
    format: str | None,
    quality: int | None,
    max_pixels: int,
    keeping: options.Keeping,
    device: str,
    precision: str,
) -> None:
    """Make pictures of .i2i files.

    INPUT is a file, several, a folder, or - for standard input. photo.i2i gives photo.png, a folder photos/ gives
    photos_decompressed/ with the same names in it. Each file names the weights that it needs.
    """
    from img2img.images import FORMATS

    refuse_files(batch, FORMATS, "is no .i2i file; img2img compress makes one of it")

    def prepare(pictures: int) -> "Task[Read, Picture]":
        from img2img.images import write_picture
        from img2img.tasks.compress import Decompressor

        decompressor = Decompressor(device=device, precision=precision, models=models)

        def apply(read: Read) -> "tuple[Picture, dict[str, Any]]":
            picture = decompressor.decompress(read.data, max_pixels=max_pixels)
            return picture, {"width": picture.width, "height": picture.height, "bits": picture.bits}

        def write(picture: "Picture", file: BinaryIO, format: str) -> list[str]:
            return write_picture(picture, file, format, quality, metadata=keeping.metadata, strict=keeping.strict)

        return Task(read=_read, apply=apply, write=write, size=lambda read: read.size)

    run(batch, decompressed_naming(format), prepare)


def _read(file: BinaryIO) -> Read:
    from img2img.tasks.compress.bitstream import read_header

    head = file.read(LONGEST_HEADER)
    header = read_header(head)  # before the rest is read: it may be a video of many gigabytes
    return Read(head + file.read(), header.width * header.height * header.channels * header.bits // 8)
