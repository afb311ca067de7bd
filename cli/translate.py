"""`img2img translate`."""

from pathlib import Path
from typing import Any

import click

from img2img.errors import Img2ImgError

from . import options
from .batch import BatchOptions, run
from .pictures import picture_naming, prepared
from .report import describe


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


def colours(model: str) -> bool:
    """Whether weights give colours to a lightness, by their header."""
    from img2img.checkpoints import names, read_header, weights_file

    return read_header(weights_file(model) if model in names() else Path(model)).get("space") == "lab"


def refuse_empty(hints: str) -> None:
    """Refuse a picture of hints that cannot be read, or says nothing."""
    from img2img.front import hints_of

    try:
        hints_of((), hints)
    except Img2ImgError as error:
        raise click.UsageError(describe(error)) from error


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
) -> None:
    """Turn pictures into what a model was trained to make of them: colours of grey, photographs of drawings.

    INPUT is a file, several, a folder, or - for standard input. photo.jpg gives photo_translated.png, a folder photos/
    gives photos_translated/ with the same names in it.

    colorize takes photographs, grey or not, and leaves the lightness of every pixel as it is. edges takes drawings in
    ink, black on white, with dark areas filled. facades takes labels in the colours that img2img info facades lists.
    """
    if (hint or hints) and not colours(model):
        raise click.UsageError(f"--hint and --hints are for models that colour grey pictures, not {model}")
    if hints:
        refuse_empty(hints)
    files: dict[str, Any] = {"max_pixels": max_pixels, "quality": quality, "keeping": keeping}
    work = prepared("translate", model, computing, seed=seed, noise=noise, hint=hint, hints=hints, **files)
    run(batch, picture_naming("_translated", format), work)
