"""Training data, objective, validation and shipping of the network that moves latents to where they look better."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ...checkpoints import load_checkpoint, save_checkpoint
from ...data.patches import PatchSource
from ...errors import TrainingError
from ...extras import need
from ...runtime import placed
from ...training.photographs import load_photographs
from ...training.provenance import provenance
from ...training.recipe import Recipe
from .decoded_crops import PERIOD, frozen_codec
from .loss import CodecWithPrior, Seen
from .networks import RESTORATION_NETWORK
from .shape import TUNING
from .train import rates, units, whole_blocks
from .tuning import TuningNetwork

RATES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # at which held-out crops are judged


@dataclass(frozen=True)
class Tuned:
    """`[data]` of a recipe: what is tuned.

    Args:
        codec: weights of the codec.
        restoration: weights of what readers restore its pictures by; none if empty.
        power: how much more often low rates are drawn: shares of the range are raised to it.
        weighed: share of the batches whose latents are chosen just as the encoder does it; others are rounded.
    """

    codec: str = "codec-fast"
    restoration: str = "codec-restoration"
    power: float = 1.3
    weighed: float = 0.7


class TunedCodec(nn.Module):
    """A frozen codec, what restores its pictures, and before its quantisation the network that is trained.

    Shape:
        x: (B, 3, H, W) in [0, 1], sides multiples of PERIOD; rate: (B,) in [0, 1].
        returns: what readers see (B, 3, H, W), and bits per pixel (B,).
    """

    def __init__(self, tuning: TuningNetwork, codec: CodecWithPrior, restoration: nn.Module | None) -> None:
        super().__init__()
        self.tuning = tuning
        self._frozen = (codec, restoration)  # in a tuple, so that they are no part of this module

    def forward(self, x: Tensor, rate: Tensor, weighs: bool = True) -> tuple[Tensor, Tensor]:
        codec, restoration = self._frozen
        codec.train(self.training)
        codec.weighs = weighs
        at = rate.view(-1, 1, 1, 1)
        with torch.no_grad():
            y = codec.codec.analysis(x).float()
        y = self.tuning(y, at)
        x_hat, total = codec.code(y, codec.hyper(y), rate)
        seen = x_hat.float().clamp(0, 1)
        if restoration is not None:
            seen = seen + restoration(seen, at).float()
        return seen, total / (x.shape[-1] * x.shape[-2])


class TuningObjective(nn.Module):
    """bpp + lambda * what is seen of the difference, divided by sqrt(lambda) as in RateDistortion.

    Shape:
        batch: x (B, 3, H, W), rate (B,), and whether latents are weighed; returns scalars by name.
    """

    def __init__(self, model: TunedCodec, seen: Seen, lambda_at: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.seen, self.lambda_at = model, seen, lambda_at

    def forward(self, batch: tuple[Tensor, Tensor, bool]) -> dict[str, Tensor]:
        x, rate, weighs = batch
        x_hat, bpp = self.model(x, rate, weighs)
        weight, distortion = self.lambda_at(rate), self.seen(x_hat, x)
        loss = ((bpp + weight * distortion) * (0.01 / weight).sqrt()).mean()
        return {"loss": loss, "bpp": bpp.mean(), "distortion": distortion.mean()}


def build(recipe: Recipe, data: Path, device: torch.device) -> "TuningTask":
    """The task of a recipe: `[model]` are arguments of TuningNetwork, `[data]` of Tuned, `[objective]` of Seen.

    Raises:
        TrainingError: arguments that do not fit, or no usable pictures to train on or to hold out.
        WeightsError: the codec or the restoration cannot be loaded.
        Img2ImgError: a package is missing.
    """
    recipe.refuse("repeat", "loss", "teacher")
    need("training a tuning", "pytorch_msssim")
    with recipe.building():
        tuned, seen = Tuned(**recipe.data), Seen(**recipe.objective)
        codec = frozen_codec(tuned.codec, 0.0, device)
        network = TuningNetwork(latents=codec.codec.latents, **recipe.model)
        if recipe.init:
            network.load_state_dict(load_checkpoint(recipe.init).part(TUNING))
    recipe.require_multiples(PERIOD)
    source, crops = load_photographs(recipe, data, device)
    if not recipe.init:
        sample = source.sample(64, min(128, recipe.phases[0].patch), Generator(device).manual_seed(recipe.seed))
        with torch.no_grad():
            network.unit.copy_(units(codec.codec.analysis(sample)))
    model = TunedCodec(network, codec, _restoration(tuned, device))
    return TuningTask(model, codec, tuned, seen, recipe, source, crops)


def _restoration(tuned: Tuned, device: torch.device) -> nn.Module | None:
    """What readers restore pictures by, if they do.

    Raises:
        TrainingError: the weights do not know this codec: readers would not use them.
        WeightsError: they cannot be loaded.
    """
    if not tuned.restoration:
        return None
    weights, codec = load_checkpoint(tuned.restoration), load_checkpoint(tuned.codec)
    if codec.sha256 not in weights.header.get("codecs", {}).values():
        raise TrainingError(f"{tuned.restoration} was not trained on {tuned.codec}: name another restoration, or none")
    return placed(RESTORATION_NETWORK.build(weights).requires_grad_(False), device)


class TuningTask:
    """What the training loop asks of a task (training.loop.Task), for the network that tunes latents."""

    def __init__(
        self,
        model: TunedCodec,
        codec: CodecWithPrior,
        tuned: Tuned,
        seen: Seen,
        recipe: Recipe,
        source: PatchSource,
        crops: list[Tensor],
    ) -> None:
        self.model: nn.Module = model
        self.tuned, self.seen, self.recipe, self.source = tuned, seen, recipe, source
        self.lambda_at = codec.codec.lambda_at
        self.objectives: dict[str, nn.Module] = {"tuning": TuningObjective(model, seen, self.lambda_at)}
        self.held_out = [whole_blocks(crop, PERIOD) for crop in crops]

    def batch(self, patch: int, n: int, generator: Generator) -> tuple[Tensor, Tensor, bool]:
        """Crops, a rate for each, one from each n-th of the range, and whether their latents are weighed."""
        x = self.source.sample(n, patch, generator)
        weighs = bool(torch.rand((), generator=generator, device=x.device) < self.tuned.weighed)
        return x, rates(n, generator) ** self.tuned.power, weighs

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Bits per pixel and what Seen says at each of RATES; score: minus the mean of log2(bpp + lambda * that).

        Latents are chosen as in use.
        """
        scores: dict[str, float] = {}
        logs = []
        for rate in RATES:
            at = torch.full((1,), rate, device=self.held_out[0].device)
            weight = self.lambda_at(at).item()
            bits, distortions = [], []
            for x in self.held_out:
                x_hat, bpp = model(x, at)
                bits.append(bpp.item())
                distortions.append(self.seen(x_hat, x).item())
                logs.append(math.log2(bits[-1] + weight * distortions[-1]))
            scores |= {f"bpp{rate}": sum(bits) / len(bits), f"seen{rate}": sum(distortions) / len(distortions)}
        return {"score": -sum(logs) / len(logs)} | scores

    def picture(self, model: nn.Module) -> Tensor:
        """A held-out crop, and what is left of it at the lowest and at a middle rate: (3, H, 3 W)."""
        x = self.held_out[-1]
        coded = [model(x, torch.full((1,), rate, device=x.device))[0] for rate in (0.0, 0.4)]
        return torch.cat((x, *coded), 3)[0].clamp(0, 1)

    def ship(self, tensors: dict[str, Tensor], path: Path, facts: dict[str, Any]) -> None:
        network = self.model.tuning
        assert isinstance(network, TuningNetwork)
        header = {
            "task": TUNING,
            "network": TUNING,
            "config": {"latents": network.unit.shape[1], **self.recipe.model},
            "codec": load_checkpoint(self.tuned.codec).sha256,
            "restoration": load_checkpoint(self.tuned.restoration).sha256 if self.tuned.restoration else None,
            "range": "latents of the codec",
        } | provenance(self.recipe, facts)
        save_checkpoint(path, tensors, header)
