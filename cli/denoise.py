"""`img2img denoise`."""

from typing import TYPE_CHECKING, Any

import click

from . import options
from .batch import BatchOptions, run
from .pictures import picture_naming, picture_task
from .pipeline import Task

if TYPE_CHECKING:
    import numpy as np

    from img2img.images import Picture

GREY_LEVELS = 255


@click.command()
@click.option(
    "--sigma",
    type=options.AutoOr(click.FloatRange(0, GREY_LEVELS), "a number from 0 to 255"),
    default="auto",
    show_default=True,
    help="Standard deviation of the noise in grey levels, 0 to 255; auto estimates it.",
)
@options.weights("denoise", default="denoise-fast")
@click.option(
    "--strength",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="0 leaves the picture as it is, 1 takes all noise away.",
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
    model: str,
    strength: float,
    tta: bool,
    format: str | None,
    quality: int | None,
    max_pixels: int,
    computing: dict[str, Any],
) -> None:
    """Remove noise from pictures.

    INPUT is a file, several, a folder, or - for standard input. photo.jpg gives photo_denoised.png, a folder photos/
    gives photos_denoised/ with the same names in it.
    """

    def prepare(pictures: int) -> "Task[Picture, Picture]":
        from img2img.tasks.denoise import Denoiser

        denoiser = Denoiser.from_pretrained(model, **computing, pictures=pictures)
        if sigma is None:
            _ = denoiser.estimator  # read now: if it is damaged, that is no fault of a picture

        def clean(image: "np.ndarray") -> "tuple[np.ndarray, dict[str, Any]]":
            level = denoiser.estimate_sigma(image) if sigma is None else sigma / GREY_LEVELS
            return denoiser(image, level, strength, tta), {"sigma": round(level * GREY_LEVELS, 2)}

        return picture_task(clean, max_pixels, quality)

    run(batch, picture_naming("_denoised", format), prepare)
