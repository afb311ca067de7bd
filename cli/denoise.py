"""`img2img denoise`."""

from typing import Any, Literal

import click

from . import options
from .batch import BatchCommand, BatchOptions
from .pictures import picture_naming, prepared
from .work import Work

GREY_LEVELS = 255


@click.command(cls=BatchCommand)
@click.option(
    "--sigma",
    type=options.AutoOr(click.FloatRange(0, GREY_LEVELS), "a number from 0 to 255"),
    default="auto",
    show_default=True,
    help="Standard deviation of white noise in grey levels, 0 to 255; auto: whatever noise a photograph has.",
)
@click.option(
    "--model",
    type=options.WeightsName("denoise"),
    help="See img2img weights list.  [default: denoise-photo while --sigma is auto, else denoise-fast]",
)
@click.option(
    "--strength",
    type=click.FloatRange(0, 2),
    default=1.0,
    show_default=True,
    help="0 leaves the picture as it is, 1 takes all noise away; up to 2 takes more than was found, fine detail too.",
)
@click.option(
    "--luma",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="0 keeps the grain of lightness, 1 takes it away.",
)
@click.option(
    "--chroma",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="0 keeps the blotches of colours, 1 takes them away.",
)
@click.option(
    "--channels",
    type=click.Choice(("colours", "all")),
    default="colours",
    show_default=True,
    help="all: denoise further channels of a TIFF (infrared, fluorescence), too; otherwise they are kept as they are.",
)
@click.option(
    "--tta", is_flag=True, help="Denoise all eight flips and turns, take their mean: slightly better, 8 times slower."
)
@options.pictures
@options.computing_in_tiles
@options.batch
def denoise(
    batch: BatchOptions,
    sigma: float | None,
    model: str | None,
    strength: float,
    luma: float,
    chroma: float,
    tta: bool,
    format: str | None,
    quality: int | None,
    max_pixels: int,
    keeping: options.Keeping,
    channels: Literal["colours", "all"],
    computing: dict[str, Any],
) -> Work:
    """Remove noise from pictures.

    INPUT is a file, several, a folder, or - for standard input. photo.jpg gives photo_denoised.png, a folder photos/
    gives photos_denoised/ with the same names in it.
    """
    how: dict[str, Any] = {"strength": strength, "tta": tta, "luma": luma, "chroma": chroma, "channels": channels}
    how |= {"max_pixels": max_pixels, "quality": quality, "keeping": keeping}
    task = prepared("denoise", model, computing, sigma="auto" if sigma is None else sigma, **how)
    return Work(batch, picture_naming("_denoised", format), task)
