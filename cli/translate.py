"""`img2img translate`."""

from typing import TYPE_CHECKING, Any

import click

from . import options
from .batch import BatchOptions, run
from .pictures import picture_naming, picture_task
from .pipeline import Task

if TYPE_CHECKING:
    import numpy as np

    from img2img.images import Frames


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

    def prepare(pictures: int) -> "Task[Frames, Frames]":
        from img2img.errors import WeightsError
        from img2img.tasks.translate import Translator

        translator = Translator.from_pretrained(model, **computing, pictures=pictures)

        if translator.coding.channels not in (1, 3):
            made = translator.coding.channels
            raise WeightsError(f"weights {model} make {made} channels, and a picture file has 1 or 3")

        def turn(image: "np.ndarray") -> "tuple[np.ndarray, dict[str, Any]]":
            return translator(image, seed, noise), {"seed": seed if noise else None}

        return picture_task(max_pixels, quality, keeping, apply=turn)

    run(batch, picture_naming("_translated", format), prepare)
