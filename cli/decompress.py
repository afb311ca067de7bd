"""`img2img decompress`."""

from typing import Any

import click

from img2img.choices import LOOKS

from . import options
from .batch import BatchCommand, BatchOptions
from .pictures import decompressed_naming, prepared, refuse_files
from .work import Work


class Region(click.ParamType):
    """Four whole numbers: left, top, width and height."""

    name = "region"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show what the numbers are."""
        return "X,Y,W,H"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int, int, int]:
        """Refuse what lies outside of every picture."""
        numbers = [int(part) if part.isascii() and part.isdigit() else -1 for part in str(value).split(",")]
        if len(numbers) != 4 or min(numbers[:2]) < 0 or min(numbers[2:]) < 1:
            self.fail(f"{value!r} is not X,Y,W,H: left and top from 0, width and height from 1", param, ctx)
        return numbers[0], numbers[1], numbers[2], numbers[3]


class Look(click.ParamType):
    """One of LOOKS, or a number from 0 to 1."""

    name = "look"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show the names."""
        return "|".join((*LOOKS, "0...1"))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | float:
        """Refuse other words; other numbers `img2img.decompress` refuses."""
        if value in LOOKS:
            return str(value)
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is none of {', '.join(LOOKS)} and no number from 0 to 1", param, ctx)


@click.command(cls=BatchCommand)
@click.option(
    "--model",
    "models",
    type=options.WeightsName("compress"),
    multiple=True,
    help="Weights that files need and that are not shipped; may be given several times.",
)
@click.option(
    "--region",
    type=Region(),
    help="Decode this part only: left, top, width and height in pixels. Other tiles are not decoded.",
)
@click.option(
    "--look",
    type=Look(),
    default="faithful",
    show_default=True,
    help="faithful: as near to the original as there is; vivid: with detail made up where a small file has lost it; "
    "plain: by the codec's synthesis alone.",
)
@click.option("--preview", is_flag=True, help="Decode a quarter of the width and height, from a file's first part.")
@click.option("--partial", is_flag=True, help="Decode a truncated file as far as it goes, with a note.")
@options.written
@options.kept
@options.computing
@options.batch
def decompress(
    batch: BatchOptions,
    models: tuple[str, ...],
    region: tuple[int, int, int, int] | None,
    look: str | float,
    preview: bool,
    partial: bool,
    format: str | None,
    quality: int | None,
    max_pixels: int,
    keeping: options.Keeping,
    computing: dict[str, Any],
) -> Work:
    """Make pictures of .i2i files.

    INPUT is a file, several, a folder, or - for standard input. photo.i2i gives photo.png, a folder photos/ gives
    photos_decompressed/ with the same names in it. Each file names the weights that it needs.

    A truncated file is an error; with --partial it shows what came: the whole picture, but softer, or its upper part.
    """
    from img2img.images import FORMATS

    refuse_files(batch, FORMATS, "is no .i2i file; img2img compress makes one of it")

    files: dict[str, Any] = {"max_pixels": max_pixels, "quality": quality, "keeping": keeping}
    shown: dict[str, Any] = {"region": region, "look": look, "preview": preview, "partial": partial}
    task = prepared("decompress", None, {**computing, "models": models}, **shown, **files)
    return Work(batch, decompressed_naming(format), task)
