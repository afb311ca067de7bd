"""Training data, objective, validation and shipping of the network that brings back what a codec lost."""

from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ...checkpoints import load_checkpoint, save_checkpoint
from ...metrics import psnr8
from ...training.provenance import provenance
from ...training.recipe import Recipe
from .decoded_crops import Decoded, DecodedBatch, DecodedCrops, with_tuples
from .detail import RestorationNetwork
from .detail_loss import error_ratio
from .shape import RESTORATION

RATES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # at which held-out crops are judged


class RestorationObjective(nn.Module):
    """The mean squared error that is left, as a share of what there was: low and high rates count alike.

    Args:
        network: that is trained.

    Shape:
        batch: DecodedBatch; returns the loss by its name.
    """

    def __init__(self, network: RestorationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: DecodedBatch) -> dict[str, Tensor]:
        restored = batch.x_hat + self.network(batch.x_hat, batch.rate).float()
        return {"loss": error_ratio(restored, batch.x_hat, batch.x)}


def build(recipe: Recipe, data: Path, device: torch.device) -> "RestorationTask":
    """The task of a recipe: `[model]` are arguments of RestorationNetwork, `[data]` of Decoded.

    Raises:
        TrainingError: arguments that do not fit, or no usable pictures to train on or to hold out.
        WeightsError: the codecs cannot be loaded.
    """
    recipe.refuse("repeat", "loss", "teacher", "objective")
    with recipe.building():
        network = RestorationNetwork(**recipe.model)
        decoded = Decoded(**with_tuples(recipe.data))
        if recipe.init:
            network.load_state_dict(load_checkpoint(recipe.init).part(RESTORATION))
    crops, held_out = DecodedCrops.load(recipe, decoded, data, 1.0, device)
    return RestorationTask(network, recipe, decoded, crops, held_out)


class RestorationTask:
    """What the training loop asks of a task (training.loop.Task), for the network that brings back what was lost."""

    def __init__(
        self,
        network: RestorationNetwork,
        recipe: Recipe,
        decoded: Decoded,
        crops: DecodedCrops,
        held_out: list[Tensor],
    ) -> None:
        self.model: nn.Module = network
        self.recipe, self.decoded, self.crops = recipe, decoded, crops
        self.objectives: dict[str, nn.Module] = {"restoration": RestorationObjective(network)}
        self.held_out = [
            (codec, rate, crops.judged(held_out, codec, rate)) for codec in decoded.codecs for rate in RATES
        ]

    def batch(self, patch: int, n: int, generator: Generator) -> DecodedBatch:
        return self.crops.batch(patch, n, generator)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Decibels that held-out crops gain by each codec at each rate; score: their mean."""
        gains = {f"{codec}{rate}": _gain(model, batches) for codec, rate, batches in self.held_out}
        return {"score": sum(gains.values()) / len(gains)} | gains

    def picture(self, model: nn.Module) -> Tensor:
        """A held-out crop, what was decoded of it at the lowest rate, and that restored: (3, H, 3 W)."""
        batch = self.held_out[0][2][-1]
        restored = batch.x_hat + model(batch.x_hat, batch.rate).float()
        return torch.cat((batch.x, batch.x_hat, restored), 3)[0].clamp(0, 1)

    def ship(self, tensors: dict[str, Tensor], path: Path, facts: dict[str, Any]) -> None:
        header = {
            "task": RESTORATION,
            "network": RESTORATION,
            "config": dict(self.recipe.model),
            "codecs": {name: load_checkpoint(name).sha256 for name in self.decoded.codecs},
            "range": "sRGB in [0, 1]",
        } | provenance(self.recipe, facts)
        save_checkpoint(path, {f"{RESTORATION}.{k}": v for k, v in tensors.items()}, header)


def _gain(model: nn.Module, batches: list[DecodedBatch]) -> float:
    gains = [
        psnr8(batch.x_hat + model(batch.x_hat, batch.rate).float(), batch.x) - psnr8(batch.x_hat, batch.x)
        for batch in batches
    ]
    return sum(gains) / len(gains)
