"""Training data, validation and shipping of the denoisers."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ...checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from ...data.camera import MARGIN, photograph
from ...data.noise import NoiseMixture, degrade, to_eight_bits
from ...data.patches import PatchSource
from ...data.photographs import PhotoMixture, draw
from ...errors import TrainingError
from ...metrics import psnr
from ...training.photographs import load_photographs
from ...training.provenance import provenance
from ...training.recipe import Recipe
from .loss import BlindObjective, DenoisingObjective
from .model import BlindDenoiser, DenoisingUNet

NETWORKS = {"unet": DenoisingUNet, "blind": BlindDenoiser}
SIGMAS = (15, 25, 50)


def build(recipe: Recipe, data: Path, device: torch.device) -> "DenoiseTask":
    """The task of a recipe: `[model] network` is `unet` or `blind`, the rest are arguments of that network.

    Raises:
        TrainingError: no usable pictures to train on or to hold out, a network that does not exist, or an entry that
            nothing is made of.
    """
    recipe.refuse("teacher", "objective")
    arguments = dict(recipe.model)
    network = arguments.pop("network", "unet")
    if network not in NETWORKS:
        raise TrainingError(f"network must be one of {', '.join(NETWORKS)}, not {network!r}")
    model = NETWORKS[network](**arguments)
    if network == "blind":
        assert isinstance(model, BlindDenoiser)
        if recipe.init:
            begin_blind(model, load_checkpoint(recipe.init))
        margins = 2 * MARGIN + max(phase.patch for phase in recipe.phases)
        source, crops = load_photographs(recipe, data, device, margins, smaller=recipe.data.get("smaller", {}))
        return BlindTask(model, network, recipe, source, crops)
    if recipe.init:
        grow_from(model, load_checkpoint(recipe.init).part(network))
    source, crops = load_photographs(recipe, data, device)
    return DenoiseTask(model, network, recipe, source, crops)


def begin_blind(model: BlindDenoiser, checkpoint: Checkpoint) -> None:
    """Start a blind denoiser from one, or its U-Net from a denoiser's that is told one level for all colours.

    Raises:
        TrainingError: the checkpoint's tensors do not fit.
    """
    if checkpoint.header["network"] == "blind":
        grow_from(model, checkpoint.part("blind"))
        return
    tensors = checkpoint.part("unet")
    deeper(model.unet, tensors)
    first = "noise.encoder.down.0.conv.weight"
    image, level = tensors[first].split((3 * 4, 4), 1)  # unshuffled by 2: four inputs a channel
    tensors[first] = torch.cat((image, level / 3, level / 3, level / 3), 1)
    grow_from(model.unet, tensors)


def deeper(unet: DenoisingUNet, tensors: dict[str, Tensor]) -> None:
    """Rename a smaller U-Net's tensors, if this one has one scale more: what it adds begins as nothing.

    The decoder counts its scales from the coarsest, so each moves on by one; what was the coarsest scale is passed
    twice now, and its last blocks are those on the way up.
    """
    scales = len(unet.noise.encoder.stages)
    had = 1 + max(int(k.split(".")[3]) for k in tensors if k.startswith("noise.encoder.stages"))
    if scales == had:
        return
    for key in sorted((k for k in tensors if k.startswith("noise.decoder.")), reverse=True):
        _, _, part, i, *rest = key.split(".")
        tensors[".".join(("noise.decoder", part, str(int(i) + 1), *rest))] = tensors.pop(key)
    kept = len(list(unet.noise.encoder.stages[had - 1].children()))
    for key in [k for k in tensors if k.startswith(f"noise.encoder.stages.{had - 1}.")]:
        *_, i, branch, place, weight = key.split(".")
        if int(i) >= kept:
            tensors[f"noise.decoder.stages.0.{int(i) - kept}.{branch}.{place}.{weight}"] = tensors.pop(key)
    added = unet.noise.decoder.up[0]
    for name, tensor in added.state_dict().items():
        tensors[f"noise.decoder.up.0.{name}"] = torch.zeros_like(tensor)


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
        }
        header |= self.seen() | provenance(self.recipe, facts)
        save_checkpoint(path, {f"{self.network}.{k}": v for k, v in tensors.items()}, header)

    def seen(self) -> dict[str, Any]:
        """What a header says of the pictures that the network has seen."""
        return {
            "range": "sRGB in [0, 1], not normalised; sigma in the same units",
            "mixture": asdict(self.mixture),
        }


def photographed_set(crops: list[Tensor], mixture: PhotoMixture) -> list[tuple[str, Tensor, Tensor]]:
    """Held-out crops with fixed noise: by two cameras each, white in 8 bits at each of SIGMAS, and none.

    Returns:
        kind, clean, noisy; the images (1, 3, h, w) of one size a kind and crop.
    """
    rows = []
    for number, crop in enumerate(crops):
        inner = to_eight_bits(crop[..., MARGIN:-MARGIN, MARGIN:-MARGIN])
        rows.append(("clean", inner, inner))
        for seed in (0, 1):
            generator = Generator(crop.device).manual_seed(2 * number + seed)
            rows.append(("camera", *photograph(crop, mixture.cameras, generator)))
        for sigma in SIGMAS:
            noise = torch.randn(inner.shape, generator=Generator().manual_seed(number)).to(crop.device)
            rows.append((f"white{sigma}", inner, to_eight_bits(inner + noise * (sigma / 255))))
    return rows


def cleaned(model: nn.Module, noisy: Tensor) -> Tensor:
    """What a blind denoiser makes of images (B, 3, H, W), all noise that it finds taken away."""
    denoised: Tensor = model(noisy, noisy.new_ones(len(noisy), 1, 1, 1)).float()
    return denoised


class BlindTask(DenoiseTask):
    """The same for the network that is told nothing, on photographs by imitated cameras."""

    def __init__(
        self, model: nn.Module, network: str, recipe: Recipe, source: PatchSource, crops: list[Tensor]
    ) -> None:
        self.model, self.network, self.recipe, self.source = model, network, recipe, source
        try:
            self.photographs = PhotoMixture.from_recipe({k: v for k, v in recipe.data.items() if k != "smaller"})
        except TypeError as error:
            raise TrainingError(f"recipe {recipe.name}: [data] has an entry that there is not: {error}") from error
        assert isinstance(model, BlindDenoiser)
        self.objectives: dict[str, nn.Module] = {"main": BlindObjective(model, recipe.loss or "l1")}
        self.kinds = photographed_set(crops, self.photographs)

    def batch(self, patch: int, n: int, generator: Generator) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return draw(self.source, self.photographs, patch, n, generator)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean PSNR of each kind; score: 0.6 times that of cameras, 0.4 times the mean of white noise."""
        values: dict[str, list[float]] = {}
        for kind, clean, noisy in self.kinds:
            values.setdefault(kind, []).append(min(psnr(to_eight_bits(cleaned(model, noisy)), clean), 60.0))
        scores = {kind: sum(v) / len(v) for kind, v in values.items()}
        white = [scores[f"white{sigma}"] for sigma in SIGMAS]
        worst = {"worst": min(values["clean"])}
        return {"score": 0.6 * scores["camera"] + 0.4 * sum(white) / len(white)} | scores | worst

    def picture(self, model: nn.Module) -> Tensor:
        """Noisy, denoised and clean side by side: (3, H, 3 W)."""
        _, clean, noisy = next(row for row in self.kinds if row[0] == "camera")
        return torch.cat((noisy, cleaned(model, noisy), clean), 3)[0]

    def seen(self) -> dict[str, Any]:
        return {"range": "sRGB in [0, 1], not normalised; no noise level", "mixture": asdict(self.photographs)}
