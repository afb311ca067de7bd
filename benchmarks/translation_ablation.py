"""The pix2pix paper's ablations on one's own pairs, each trained from nothing: `img2img bench translate-ablation`.

Objective (L1, cGAN, both), generator (U-Net or a plain encoder-decoder) and discriminator (patches of 1, 16, 70 and 286
pixels), as in sections 4.1, 4.2 and 4.4 of the paper. All are trained alike, for fewer steps and with slimmer networks
than the paper's, so they compare with one another only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from img2img.errors import TrainingError
from img2img.register import find_recipe
from img2img.training.recipe import Phase, Recipe
from img2img.training.run import finish

from . import translation


@dataclass(frozen=True)
class Variant:
    """One row of the ablation: what differs from L1 + cGAN with a U-Net and a PatchGAN of 70 pixels."""

    name: str
    skip: str = "concat"
    l1: float = 100.0
    gan: float = 1.0
    patch: int = 70


VARIANTS = (
    Variant("L1+cGAN"),
    Variant("L1", gan=0.0),
    Variant("cGAN", l1=0.0),
    Variant("encoder-decoder, L1", skip="none", gan=0.0),
    Variant("encoder-decoder, L1+cGAN", skip="none"),
    Variant("PatchGAN 1", patch=1),
    Variant("PatchGAN 16", patch=16),
    Variant("PatchGAN 286", patch=286),
)


@dataclass(frozen=True)
class Settings:
    """What to train and measure.

    Attributes:
        data: folder of `train`, `val` and perhaps `test`, as of the recipe `facades`.
        steps: of each variant, one pair a step.
        width: feature maps of the finest scale, of generators and discriminators.
        only: names of variants; all if empty.
        limit: only the first so many pairs are measured, by name.
        judge, segmenter, device, precision: as for benchmarks.translation.
        out: folder of the runs, which are kept and gone on with, of `ablation.json` and of the pictures.
    """

    data: Path
    out: Path
    steps: int = 4000
    width: int = 16
    only: tuple[str, ...] = ()
    limit: int | None = None
    judge: Path | None = None
    segmenter: Path | None = None
    device: str = "auto"
    precision: str = "auto"


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Train what is not trained yet, then measure all as `img2img bench translate` does, on `test` or `val`.

    Raises:
        TrainingError: there are no pairs to train on, or a run in the folder is of other settings.
        as benchmarks.translation.run.
    """
    base = find_recipe("translate", Path("facades"))
    chosen = [variant for variant in VARIANTS if variant.name in settings.only or not settings.only]
    files = []
    for variant in chosen:
        files.append(trained(recipe_of(base, variant, settings), settings))
        echo(f"{variant.name}: {files[-1]}")
    measured = translation.Settings(
        models=tuple(map(str, files)),
        data=settings.data,
        limit=settings.limit,
        judge=settings.judge,
        segmenter=settings.segmenter,
        device=settings.device,
        precision=settings.precision,
        out=settings.out,
        name="ablation",
    )
    return translation.run(measured, echo)


def recipe_of(base: Recipe, variant: Variant, settings: Settings) -> Recipe:
    """The facades' recipe, slimmer, shorter, and with what the variant changes."""
    slim = {"width": settings.width}
    return replace(
        base,
        name=variant.name,
        steps=settings.steps,
        every=settings.steps,
        phases=(Phase(1.0, 256, 1),),
        model=base.model | slim | {"skip": variant.skip},
        objective=base.objective | slim | {"l1": variant.l1, "gan": variant.gan, "patch": variant.patch},
    )


def trained(recipe: Recipe, settings: Settings) -> Path:
    """The weights of a recipe, trained (or gone on with) in a folder of its name."""
    from img2img.checkpoints import read_header
    from img2img.tasks.translate.train import build

    folder = settings.out / recipe.name.replace(", ", "-").replace(" ", "-")
    best = folder / f"{folder.name}.safetensors"
    if best.is_file():
        header = read_header(best)
        same = recipe.model.items() <= header["config"].items() and header["training"]["steps"] == recipe.steps
        if not same:
            raise TrainingError(f"{folder} holds a training of other settings: choose another --out")
        return best
    # Under its own name, which the tables print.
    return finish(lambda where: build(recipe, settings.data, where), recipe, folder, settings.device).replace(best)
