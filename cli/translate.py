"""`img2img translate`."""

from typing import Any

import click

from img2img.errors import Img2ImgError

from . import options
from .batch import BatchCommand, BatchOptions
from .pictures import picture_naming, prepared
from .report import describe
from .work import Work


class HintAt(click.ParamType):
    """`X,Y,COLOUR`."""

    name = "hint"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show what it consists of."""
        return "X,Y,COLOUR"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what is no hint."""
        from img2img.tasks.translate.hints import Point

        try:
            Point.read(value)
        except Img2ImgError as error:
            self.fail(describe(error), param, ctx)
        return value


@click.command(cls=BatchCommand)
@options.weights("translate")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    metavar="N",
    default=0,
    show_default=True,
    help="Seed of the noise (dropout) in the network: the same seed gives the same picture, another seed another one.",
)
@click.option(
    "--noise/--no-noise",
    default=True,
    show_default=True,
    help="Whether the network draws noise; without it the seed has no effect.",
)
@click.option(
    "--hint",
    type=HintAt(),
    multiple=True,
    help="For colorize: the colour at a pixel, counted from the left and the top, as #rrggbb or a CSS name; its "
    "lightness does not matter. May be given several times.",
)
@click.option(
    "--hints",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="For colorize: a picture of the same proportions with strokes of colour, transparent or grey elsewhere.",
)
@options.pictures
@options.computing_in_tiles
@options.batch
def translate(
    batch: BatchOptions,
    model: str,
    seed: int,
    noise: bool,
    hint: tuple[str, ...],
    hints: str | None,
    format: str | None,
    quality: int | None,
    max_pixels: int,
    keeping: options.Keeping,
    computing: dict[str, Any],
) -> Work:
    """Turn pictures into what a model was trained to make of them: colours of grey, photographs of drawings.

    INPUT is a file, several, a folder, or - for standard input. photo.jpg gives photo_translated.png, a folder photos/
    gives photos_translated/ with the same names in it.

    colorize takes photographs, grey or not, and leaves the lightness of every pixel as it is. edges takes drawings in
    ink, black on white, with dark areas filled. facades takes labels in the colours that img2img info facades lists.
    """
    files: dict[str, Any] = {"max_pixels": max_pixels, "quality": quality, "keeping": keeping}
    task = prepared("translate", model, computing, seed=seed, noise=noise, hint=hint, hints=hints, **files)
    return Work(batch, picture_naming("_translated", format), task)
