"""Training data, validation and shipping of the denoiser and of the noise-level estimator."""

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ... import __version__
from ...checkpoints import load_checkpoint, save_checkpoint
from ...data.folder import find_images
from ...data.io import FORMATS
from ...data.noise import NoiseMixture, degrade
from ...data.patches import PatchSource, load_all
from ...errors import TrainingError
from ...metrics import psnr
from ...training.recipe import Recipe
from .loss import DenoisingObjective, EstimatorObjective
from .model import DenoisingUNet, NoiseEstimator

NETWORKS = {"unet": DenoisingUNet, "estimator": NoiseEstimator}
CROP = 256  # side of the validation crops
SIGMAS = (15, 25, 50)


def build(recipe: Recipe, data: Path, device: torch.device) -> "DenoiseTask":
    """The task of a recipe: `[model] network` is `unet` or `estimator`, the rest are arguments of that network.

    Raises:
        TrainingError: no usable pictures to train on or to hold out, or a network that does not exist.
    """
    arguments = dict(recipe.model)
    network = arguments.pop("network", "unet")
    if network not in NETWORKS:
        raise TrainingError(f"network must be one of {', '.join(NETWORKS)}, not {network!r}")
    training, held_out = split(data, recipe.validation)
    model = NETWORKS[network](**arguments)
    if recipe.init:
        grow_from(model, load_checkpoint(recipe.init).part(network))
    largest = max(phase.patch for phase in recipe.phases)
    images, problems = load_all(training, smallest_side=largest)
    crops, more = load_all(held_out)
    for line in problems + more:
        print(f"left out: {line}", file=sys.stderr)
    if not crops:
        raise TrainingError("none of the pictures held out for validation can be read; remove or replace them")
    source = PatchSource(images, device)
    kind = DenoiseTask if network == "unet" else EstimatorTask
    return kind(model, network, recipe, source, [center(crop, device) for crop in crops])


def split(data: Path, named: tuple[str, ...]) -> tuple[list[Path], list[Path]]:
    """Pictures to train on and pictures held out: those the recipe names, or every 32nd where it names none of them.

    Raises:
        TrainingError: the folder holds too few pictures.
    """
    found = find_images(data, recursive=True, suffixes=FORMATS)
    if len(found) < 2:
        raise TrainingError(f"{data} holds {len(found)} pictures; training needs at least one, and one held out")
    held_out = [path for path in found if path.relative_to(data).as_posix() in named] or found[::32]
    return [path for path in found if path not in set(held_out)], held_out


def center(samples: Any, device: torch.device) -> Tensor:
    """The middle of an (H, W, 3) uint8 image, at most CROP x CROP: (1, 3, h, w) in [0, 1]."""
    height, width = (min(CROP, side) for side in samples.shape[:2])
    top, left = (samples.shape[0] - height) // 2, (samples.shape[1] - width) // 2
    middle = torch.from_numpy(samples[top : top + height, left : left + width].copy())
    return middle.permute(2, 0, 1)[None].to(device).float() / 255


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
            "name": self.recipe.name,
            "network": self.network,
            "config": {k: v for k, v in self.recipe.model.items() if k != "network"},
            "range": "sRGB in [0, 1], not normalised; sigma in the same units",
            "mixture": asdict(self.mixture),
            "data": self.recipe.source,
            "version": __version__,
            "commit": commit(),
            "training": facts,
        }
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


def commit() -> str:
    """The git commit of the code, or "unknown" outside a checkout."""
    result = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout.strip() or "unknown"
