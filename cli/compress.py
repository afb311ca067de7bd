"""`img2img compress`."""

from typing import Any

import click

from img2img.choices import CODEC_QUALITY, TUNES

from . import options
from .batch import BatchCommand, BatchOptions
from .pictures import compressed_naming, prepared, refuse_files
from .work import Work


@click.command(cls=BatchCommand)
@options.weights("compress", default="codec-fast")
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    metavar="N",
    help=f"1 (smallest) to 100 (best).  [default: {CODEC_QUALITY}]",
)
@click.option("--bpp", type=options.Positive(), help="Find the best quality whose files have at most X bits per pixel.")
@click.option("--psnr", type=options.Positive(), help="Find the lowest quality whose pictures have at least X dB.")
@click.option(
    "--max-bytes", type=click.IntRange(1), metavar="N", help="Find the best quality whose files have at most N bytes."
)
@click.option(
    "--effort",
    type=click.IntRange(0, 2),
    default=1,
    show_default=True,
    help="1 weighs each number's bits against what it does for the picture, 0 only rounds: larger files, no faster. 2 "
    "seeks better numbers by gradients: smaller files for as good a picture, minutes a megapixel; needs PyTorch.",
)
@click.option(
    "--tune",
    type=options.Tune(),
    default=TUNES[0],
    show_default=True,
    help="By what the picture is to be as good as it can. ms-ssim sees structure, as eyes do: more texture in as many "
    "bytes, and fewer dB. Or weights of img2img train tuning, for a codec of your own.",
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
    tune: str,
    max_pixels: int,
    keeping: options.Keeping,
    computing: dict[str, Any],
) -> Work:
    """Compress pictures into .i2i files.

    INPUT is a file, several, a folder, or - for standard input. photo.jpg gives photo.i2i, a folder photos/ gives
    photos_compressed/ with the same names in it.

    At most one of --quality, --bpp, --psnr and --max-bytes is given; it holds for each file by itself. EXIF, ICC
    profile and alpha come back exactly; grey and colours lose what is hardly seen. 16 bits per channel come back as 16
    bits, but no more exact than 8 bits at best.
    """
    asked: dict[str, Any] = {"quality": quality, "bpp": bpp, "psnr": psnr, "max_bytes": max_bytes}
    target = {name: value for name, value in asked.items() if value is not None} or {"quality": CODEC_QUALITY}
    refuse_files(batch, (".i2i",), "is compressed already; img2img decompress makes a picture of it")

    files: dict[str, Any] = {"effort": effort, "tune": tune, "max_pixels": max_pixels, "keeping": keeping}
    return Work(batch, compressed_naming(), prepared("compress", model, computing, **target, **files))
