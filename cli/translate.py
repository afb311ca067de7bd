"""`img2img translate`."""

from typing import Any

import click

from . import options
from .batch import BatchOptions, run
from .pictures import picture_naming, prepared


@click.command()
@options.weights("translate")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    metavar="N",
    default=0,
    show_default=True,
    help="Of the noise: the same seed gives the same picture, another one another.",
)
@click.option("--noise/--no-noise", default=True, show_default=True, help="Whether there is any.")
@options.pictures
@options.computing_in_tiles
@options.batch
def translate(
    batch: BatchOptions,
    model: str,
    seed: int,
    noise: bool,
    format: str | None,
    quality: int | None,
    max_pixels: int,
    keeping: options.Keeping,
    computing: dict[str, Any],
) -> None:
    """Turn pictures into what a model was trained to make of them: colours of grey, photographs of drawings.

    INPUT is a file, several, a folder, or - for standard input. photo.jpg gives photo_translated.png, a folder photos/
    gives photos_translated/ with the same names in it.
    """
    files: dict[str, Any] = {"max_pixels": max_pixels, "quality": quality, "keeping": keeping}
    work = prepared("translate", model, computing, seed=seed, noise=noise, **files)
    run(batch, picture_naming("_translated", format), work)
