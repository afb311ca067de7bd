"""`img2img compress`."""

from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from . import options
from .batch import BatchOptions, run
from .pictures import compressed_naming, refuse_files
from .pipeline import Task

if TYPE_CHECKING:
    from img2img.images import Picture

DEFAULT_QUALITY = 50


@click.command()
@options.weights("compress", default="codec-fast")
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    metavar="N",
    help=f"1 (smallest) to 100 (best).  [default: {DEFAULT_QUALITY}]",
)
@click.option("--bpp", type=options.Positive(), help="Find the best quality whose files have at most X bits per pixel.")
@click.option("--psnr", type=options.Positive(), help="Find the lowest quality whose pictures have at least X dB.")
@click.option(
    "--max-bytes", type=click.IntRange(1), metavar="N", help="Find the best quality whose files have at most N bytes."
)
@click.option(
    "--effort",
    type=click.IntRange(0, 1),
    default=1,
    show_default=True,
    help="1 weighs each number's bits against what it does for the picture, 0 only rounds: larger files, no faster.",
)
@options.max_pixels
@options.read_and_kept
@options.computing
@options.batch
def compress(
    batch: BatchOptions,
    model: str,
    quality: int | None,
    bpp: float | None,
    psnr: float | None,
    max_bytes: int | None,
    effort: int,
    max_pixels: int,
    keeping: options.Keeping,
    computing: dict[str, Any],
) -> None:
    """Compress pictures into .i2i files.

    INPUT is a file, several, a folder, or - for standard input. photo.jpg gives photo.i2i, a folder photos/ gives
    photos_compressed/ with the same names in it.

    At most one of --quality, --bpp, --psnr and --max-bytes is given; it holds for each file by itself. EXIF, ICC
    profile and alpha come back exactly; grey and colours lose what is hardly seen. 16 bits per channel come back as 16
    bits, but no more exact than 8 bits at best.
    """
    asked: dict[str, Any] = {"quality": quality, "bpp": bpp, "psnr": psnr, "max_bytes": max_bytes}
    target = {name: value for name, value in asked.items() if value is not None} or {"quality": DEFAULT_QUALITY}
    if len(target) > 1:
        first, second = (f"--{name.replace('_', '-')}" for name in list(target)[:2])
        raise click.UsageError(f"{first} and {second} contradict each other: give one of them")
    refuse_files(batch, (".i2i",), "is compressed already; img2img decompress makes a picture of it")

    def prepare(pictures: int) -> "Task[Picture, tuple[bytes, list[str]]]":
        from img2img.errors import ImageError
        from img2img.images import lost_in, without_metadata
        from img2img.tasks.compress import Compressor, Target

        compressor = Compressor.from_pretrained(model, **computing, pictures=pictures)
        goal = Target(**target)

        def apply(picture: "Picture") -> "tuple[tuple[bytes, list[str]], dict[str, Any]]":
            if keeping.metadata == "none":
                picture = without_metadata(picture)
            lost = [*picture.about.lost, *lost_in(picture, "i2i")]
            if lost and keeping.strict:
                raise ImageError(f"would lose {', '.join(lost)}; without --strict that is only said")
            coded = compressor.compress(picture, goal, effort)
            facts = {"width": picture.width, "height": picture.height, "bits": picture.bits}
            return (coded.data, lost), facts | coded.facts

        read = partial(_read, max_pixels=max_pixels, frame=keeping.frame)
        return Task(read=read, apply=apply, write=_write, size=_size)

    run(batch, compressed_naming(), prepare)


def _read(file: BinaryIO, max_pixels: int, frame: int | None) -> "Picture":
    from img2img.errors import ImageError
    from img2img.images import read_frames, read_picture
    from img2img.images.formats import detect

    head = file.read(64)
    detect(head)  # before the rest is read: it may be a video of many gigabytes
    data = BytesIO(head + file.read())
    count = len(read_frames(data, max_pixels)) if frame is None else 1
    if count > 1:
        raise ImageError(f"it has {count} frames or pages, an .i2i file holds one picture; --frame N takes the N-th")
    data.seek(0)
    return read_picture(data, max_pixels, frame=frame)


def _write(result: tuple[bytes, list[str]], file: BinaryIO, _format: str) -> list[str]:
    data, lost = result
    file.write(data)
    return lost


def _size(picture: "Picture") -> int:
    return picture.samples.nbytes
