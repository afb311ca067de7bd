"""Training data, validation and shipping of the denoiser and of the noise-level estimator."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ...checkpoints import load_checkpoint, save_checkpoint
from ...data.noise import NoiseMixture, degrade
from ...data.patches import PatchSource
from ...errors import TrainingError
from ...metrics import psnr
from ...training.photographs import load_photographs
from ...training.provenance import provenance
from ...training.recipe import Recipe
from .loss import DenoisingObjective, EstimatorObjective
from .model import DenoisingUNet, NoiseEstimator

NETWORKS = {"unet": DenoisingUNet, "estimator": NoiseEstimator}
SIGMAS = (15, 25, 50)


def build(recipe: Recipe, data: Path, device: torch.device) -> "DenoiseTask":
    """The task of a recipe: `[model] network` is `unet` or `estimator`, the rest are arguments of that network.

    Raises:
        TrainingError: no usable pictures to train on or to hold out, a network that does not exist, or an entry that
            nothing is made of.
    """
    recipe.refuse("teacher", "objective")
    arguments = dict(recipe.model)
    network = arguments.pop("network", "unet")
    if network not in NETWORKS:
        raise TrainingError(f"network must be one of {', '.join(NETWORKS)}, not {network!r}")
    if network == "estimator":
        recipe.refuse("loss")
    model = NETWORKS[network](**arguments)
    if recipe.init:
        grow_from(model, load_checkpoint(recipe.init).part(network))
    source, crops = load_photographs(recipe, data, device)
    kind = DenoiseTask if network == "unet" else EstimatorTask
    return kind(model, network, recipe, source, crops)


def grow_from(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Start a network from a smaller one's weights: blocks that the smaller one lacks begin as the identity.

    Raises:
        TrainingError: the smaller network's tensors do not fit.
    """
    own = model.state_dict()
    misfits = [k for k, v in tensors.items() if k not in own or own[k].shape != v.shape]
    if misfits:
        raise TrainingError(f"the weights to start from do not fit this network: {misfits[0]}")
    for name, tensor in own.items():
        if name in tensors:
            tensor.copy_(tensors[name])
        elif name.endswith("branch.2.weight"):  # a residual branch's last convolution
            tensor.zero_()


def noisy_set(crops: list[Tensor]) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Each held-out crop with fixed Gaussian noise at each of SIGMAS: clean, noisy, sigma (1,)."""
    generator = Generator().manual_seed(0)
    rows = []
    for clean in crops:
        noise = torch.randn(clean.shape, generator=generator).to(clean.device)
        rows += [(clean, clean + noise * (s / 255), torch.tensor([s / 255], device=clean.device)) for s in SIGMAS]
    return rows


class DenoiseTask:
    """What the training loop asks of a task (training.loop.Task), for the denoiser."""

    def __init__(
        self, model: nn.Module, network: str, recipe: Recipe, source: PatchSource, crops: list[Tensor]
    ) -> None:
        self.model, self.network, self.recipe, self.source = model, network, recipe, source
        self.mixture = NoiseMixture(**recipe.data)
        self.objectives: dict[str, nn.Module] = {"main": self.objective()}
        self.held_out = noisy_set(crops)

    def objective(self) -> nn.Module:
        assert isinstance(self.model, DenoisingUNet)
        return DenoisingObjective(self.model, self.recipe.loss or "l1")

    def batch(self, patch: int, n: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        return degrade(self.source.sample(n, patch, generator), self.mixture, generator)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean PSNR at each of SIGMAS, and of the clean crops sent through at level 0; score: mean over SIGMAS."""
        values: dict[str, list[float]] = {}
        for clean, noisy, sigma in self.held_out:
            level = f"psnr{sigma.item() * 255:.0f}"
            values.setdefault(level, []).append(psnr(model(noisy, sigma).float(), clean))
        scores = {level: sum(v) / len(v) for level, v in values.items()}
        return {"score": sum(scores.values()) / len(scores)} | scores

    def picture(self, model: nn.Module) -> Tensor:
        """Noisy, denoised and clean side by side: (3, H, 3 W)."""
        clean, noisy, sigma = self.held_out[len(SIGMAS) - 1]
        return torch.cat((noisy, model(noisy, sigma).float(), clean), 3)[0]

    def ship(self, tensors: dict[str, Tensor], path: Path, facts: dict[str, Any]) -> None:
        header = {
            "task": "denoise",
            "network": self.network,
            "config": {k: v for k, v in self.recipe.model.items() if k != "network"},
            "range": "sRGB in [0, 1], not normalised; sigma in the same units",
            "mixture": asdict(self.mixture),
        } | provenance(self.recipe, facts)
        save_checkpoint(path, {f"{self.network}.{k}": v for k, v in tensors.items()}, header)


class EstimatorTask(DenoiseTask):
    """The same data, for the noise-level estimator."""

    def objective(self) -> nn.Module:
        return EstimatorObjective(self.model)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean error of the level in per cent at each of SIGMAS; score: minus their mean."""
        values: dict[str, list[float]] = {}
        for _, noisy, sigma in self.held_out:
            estimate = model(noisy).float().exp().square().mean().sqrt()
            values.setdefault(f"error{sigma.item() * 255:.0f}", []).append(
                100 * abs(estimate.item() / sigma.item() - 1)
            )
        scores = {level: sum(v) / len(v) for level, v in values.items()}
        return {"score": -sum(scores.values()) / len(scores)} | scores

    def picture(self, model: nn.Module) -> Tensor:
        """The noisy crop beside the estimated level (white is sigma_max): (3, H, 2 W)."""
        _, noisy, _ = self.held_out[len(SIGMAS) - 1]
        level = model(noisy).float().exp() * 255 / self.mixture.sigma_max
        shown = nn.functional.interpolate(level, size=noisy.shape[-2:], mode="nearest").expand_as(noisy)
        return torch.cat((noisy, shown), 3)[0]
