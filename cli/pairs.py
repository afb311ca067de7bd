"""`img2img pairs`."""

from typing import TYPE_CHECKING, Any

import click

from . import options
from .batch import BatchCommand, BatchOptions
from .debug import debug
from .pictures import picture_naming, picture_task
from .pipeline import Task
from .shard import WHOLE
from .work import Work

if TYPE_CHECKING:
    import numpy as np

    from img2img.images import Frames

KINDS = ("gray", "edges", "blank", "down", "jpeg")


@click.command(cls=BatchCommand)
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False))
@click.argument("out", metavar="OUT", type=click.Path(file_okay=False))
@click.option(
    "--make",
    "kind",
    type=click.Choice(KINDS),
    required=True,
    help="gray: without colours; edges: lines only; blank: with a hole; down: four times smaller and enlarged; "
    "jpeg: saved badly.",
)
@click.option(
    "--lines",
    type=click.Choice(("canny", "dog", "xdog")),
    default="canny",
    show_default=True,
    help="How edges are found: Canny; difference of Gaussians, softer; or xdog, like ink, with dark areas filled.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    metavar="N",
    default=0,
    show_default=True,
    help="Seed of what is random (holes).",
)
@click.option("-r", "--recursive", is_flag=True, help="Also read the folders in folders.")
@click.option("--skip-existing", is_flag=True, help="Leave pairs that exist as they are; goes on after Ctrl-C.")
@click.option("--overwrite", is_flag=True, help="Replace pairs that exist (otherwise an error).")
@options.max_pixels
@debug
def pairs(
    folder: str,
    out: str,
    kind: Any,
    lines: Any,
    seed: int,
    recursive: bool,
    skip_existing: bool,
    overwrite: bool,
    max_pixels: int,
) -> Work:
    """Make pairs of the photographs in DIR, to train a translator with: OUT gets PNGs, A left and B right.

    B is the photograph, A what is made of it.
    """
    if kind != "edges" and options.given("lines"):
        raise click.UsageError(f"--lines is for --make edges, not {kind}")

    def prepare(_inputs: int) -> "Task[Frames, Frames]":
        from zlib import crc32

        import torch
        from torch import Generator

        from img2img.data.pairs import make_pair

        def make(image: "np.ndarray") -> "tuple[np.ndarray, dict[str, Any]]":
            # A hole depends on the picture and the seed alone, whatever else is in the folder.
            generator = Generator().manual_seed(crc32(image.tobytes(), seed))
            a, b = make_pair(kind, torch.from_numpy(image)[None].expand(-1, 3, -1, -1), generator, lines)
            return torch.cat((a.expand_as(b), b), 3)[0].numpy(), {}

        return picture_task(max_pixels, None, options.Keeping(frame=1, metadata="none"), apply=make)

    batch = BatchOptions(
        inputs=(folder,),
        output=out,
        recursive=recursive,
        skip_existing=skip_existing,
        overwrite=overwrite,
        shard=WHOLE,
        jobs=4,
        errors=None,
        fail_fast=False,
        json=False,
    )
    return Work(batch, picture_naming("", "png"), prepare)
