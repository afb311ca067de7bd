"""Photographs to train on, and those held out: for every task that learns from pictures alone."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.padding import center_crop
from ..data.folder import find_images
from ..data.patches import PatchSource, load_all
from ..errors import TrainingError
from ..images import FORMATS
from .recipe import Recipe

CROP = 256  # side of the validation crops


def load_photographs(
    recipe: Recipe,
    data: Path,
    device: torch.device,
    smallest_side: int | None = None,
    smaller: Mapping[str, float] | None = None,
) -> tuple[PatchSource, list[Tensor]]:
    """Crops of the training pictures, and the middle of each held-out one: (1, 3, h, w) in [0, 1].

    Pictures that cannot be read or are smaller than `smallest_side` (the recipe's crops) are named on stderr. Those of
    a folder that `smaller` names are made smaller by its factor first, so that what noise they have goes.

    Raises:
        TrainingError: no usable pictures to train on or to hold out, or no folder that `repeat` names.
    """
    training, held_out = split(data, recipe.validation)
    folders = [path.relative_to(data).parts[0] for path in training]
    if missing := recipe.repeat.keys() - set(folders):
        raise TrainingError(
            f"{data} has no folder {', '.join(sorted(missing))} whose pictures could be drawn more often"
        )
    often = [path for path, folder in zip(training, folders, strict=True) for _ in range(recipe.repeat.get(folder, 1))]

    def factor(path: Path) -> float:
        return (smaller or {}).get(path.relative_to(data).parts[0], 1.0)

    images, problems = load_all(often, smallest_side or max(phase.patch for phase in recipe.phases), factor)
    crops, more = load_all(held_out, factor=factor)
    tell_left_out(list(dict.fromkeys(problems + more)))
    if not crops:
        raise TrainingError(
            "none of the pictures held out for validation can be used: they cannot be read, or are too small"
        )
    return PatchSource(images, device), [center(crop, device) for crop in crops]


def tell_left_out(problems: Sequence[str]) -> None:
    """Name what a training cannot use on stderr, once, however many processes train."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        for line in problems:
            print(f"img2img: left out: {line}", file=sys.stderr)


def split(data: Path, named: tuple[str, ...]) -> tuple[list[Path], list[Path]]:
    """Pictures to train on and pictures held out: those the recipe names, or every 32nd where it names none of them.

    Raises:
        TrainingError: the folder holds too few pictures.
    """
    found = find_images(data, recursive=True, suffixes=FORMATS)
    if len(found) < 2:
        raise TrainingError(f"{data} holds {len(found)} pictures; training needs at least one, and one held out")
    held_out = [path for path in found if path.relative_to(data).as_posix() in named] or found[::32]
    excluded = set(held_out)
    return [path for path in found if path not in excluded], held_out


def center(samples: Any, device: torch.device) -> Tensor:
    """The middle of an (H, W, 3) uint8 image, at most CROP x CROP: (1, 3, h, w) in [0, 1]."""
    image = torch.from_numpy(samples.copy()).permute(2, 0, 1)[None]
    middle = center_crop(image, *(min(CROP, side) for side in image.shape[-2:]))
    return middle.to(device).float() / 255
