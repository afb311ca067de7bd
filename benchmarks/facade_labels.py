"""The pix2pix paper's FCN score, for facades: can a network that knows real photographs read the generated ones?

A segmenter learns to find the 12 classes of the CMP labels in real photographs. It then reads photographs that were
generated from label maps: the more of these labels it finds again, the more realistic they are. What it reads in the
real photographs of the same label maps stands beside it, as the most that can be expected.

References: Isola et al. 2017, arXiv:1611.07004, section 4; Tylecek & Sara 2013 (CMP Facade Database).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from img2img.checkpoints import build, load_checkpoint, save_checkpoint
from img2img.core.encoder_decoder import EncoderDecoder, Layout
from img2img.data.pairs import find_pairs, read_pair
from img2img.data.patches import PatchSource
from img2img.errors import TrainingError
from img2img.metrics.segmentation import Confusion
from img2img.tasks.translate.facade_colours import FACADE_COLOURS
from img2img.training.photographs import center
from img2img.training.recipe import Phase, Recipe

CLASSES, COLOURS = tuple(FACADE_COLOURS), tuple(FACADE_COLOURS.values())
RECIPE = Recipe(
    name="facade-segmenter",
    task="segment",
    steps=2000,
    phases=(Phase(1.0, 256, 2),),
    lr=2e-3,
    warmup=100,
    every=500,
    model={"widths": [16, 32, 64, 128, 128], "blocks": [1, 1, 1, 2, 2]},
    source="CMP Facade Database, the 400 training pairs of the pix2pix release",
)


def classes_of(labels: Tensor) -> Tensor:
    """The class of each pixel by the nearest colour: (B, 3, H, W) in [0, 1] to (B, H, W), 0 to 11."""
    colours = torch.tensor(COLOURS, device=labels.device) / 255
    distances = torch.stack([(labels - colour.view(1, 3, 1, 1)).square().sum(1) for colour in colours], 1)
    return distances.argmin(1)


class Segmenter(nn.Module):
    """A U-Net from photographs to scores of the classes.

    Args:
        widths: as of core.encoder_decoder.Layout.
        blocks: as of core.encoder_decoder.Layout.

    Shape:
        x: (B, 3, H, W) in [0, 1], any size.
        returns: (B, 12, H, W), logits.
    """

    def __init__(self, widths: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        layout = Layout(widths=tuple(widths), blocks=tuple(blocks), norm="batch", down="max", skip="concat")
        self.net = EncoderDecoder(3, len(CLASSES), layout)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x * 2 - 1)


class CrossEntropy(nn.Module):
    """Cross entropy of the segmenter's scores; a batch is photographs and classes."""

    def __init__(self, segmenter: nn.Module) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        photos, classes = batch
        return {"loss": F.cross_entropy(self.segmenter(photos).float(), classes)}


class SegmentTask:
    """What the training loop asks of a task (training.loop.Task), for the segmenter.

    Args:
        recipe: see RECIPE.
        data: folder of `train` and `val`, pairs with the photograph on the left.
        device: where to train.

    Raises:
        TrainingError: no pairs.
    """

    def __init__(self, recipe: Recipe, data: Path, device: torch.device) -> None:
        self.recipe = recipe
        self.model: nn.Module = Segmenter(**recipe.model)
        self.objectives: dict[str, nn.Module] = {"segmenter": CrossEntropy(self.model)}
        self.source = PatchSource(_both(data / "train"), device, upright=True)
        self.held_out = [center(both, device).chunk(2, 1) for both in _both(data / "val")]

    def batch(self, patch: int, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
        photos, labels = self.source.sample(n, patch, generator).chunk(2, 1)
        # Lighter and darker, more and less contrast, so that what counts is the form.
        gain, offset = torch.rand(2, n, 3, 1, 1, generator=generator, device=photos.device)
        varied = (photos * (0.8 + 0.4 * gain) + 0.2 * (offset - 0.5)).clamp(0, 1)
        return varied, classes_of(labels)

    def validate(self, model: nn.Module) -> dict[str, float]:
        score = Confusion(len(CLASSES))
        for photo, labels in self.held_out:
            score.add(model(photo).float().argmax(1), classes_of(labels))
        return {"score": score.pixel} | score.figures()

    def picture(self, model: nn.Module) -> Tensor:
        photo, labels = self.held_out[0]
        found = torch.tensor(COLOURS, device=photo.device)[model(photo).argmax(1)].permute(0, 3, 1, 2) / 255
        return torch.cat((photo, found, labels), 3)[0]

    def ship(self, tensors: dict[str, Tensor], path: Path, facts: dict[str, Any]) -> None:
        header = {"task": "segment", "network": "segmenter", "config": self.recipe.model, "training": facts}
        save_checkpoint(path, {f"segmenter.{k}": v for k, v in tensors.items()}, header)


def _both(folder: Path) -> list[np.ndarray]:
    pairs, _ = find_pairs(folder)
    if not pairs:
        raise TrainingError(f"{folder}: no pairs; the FCN score needs real photographs and labels to learn from")
    return [np.concatenate(read_pair(pair), 2) for pair in pairs]


def trained_segmenter(folder: Path, data: Path, device: str = "auto", steps: int | None = None) -> Segmenter:
    """The segmenter of a run, trained there first (or to its end) if need be.

    Raises:
        TrainingError: no pairs to learn from, or the folder holds another training.
        WeightsError: what it holds is damaged.
    """
    from img2img.training.run import finish

    best, plan = folder / "best.safetensors", replace(RECIPE, steps=steps or RECIPE.steps)
    if not (best.is_file() and load_checkpoint(best).header["training"]["steps"] == plan.steps):
        finish(lambda where: SegmentTask(plan, data, where), plan, folder, device)
    return build(load_checkpoint(best), "segmenter", Segmenter).eval()
