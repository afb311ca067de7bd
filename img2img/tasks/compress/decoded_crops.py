"""What networks behind a codec are trained on: crops, and what a codec leaves of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Generator, Tensor, nn

from ...checkpoints import load_checkpoint
from ...choices import TUNES
from ...data.patches import PatchSource
from ...errors import TrainingError
from ...runtime import placed
from ...training.photographs import load_photographs
from ...training.recipe import Recipe
from .hyperprior import KINDS, HyperpriorCodec
from .loss import CodecWithPrior
from .model_file import tuning_of
from .networks import TUNING_NETWORK
from .prior import FactorizedPrior
from .train import go_on_from, rates, whole_blocks

PERIOD = 32  # of which sides of crops are multiples


class DecodedBatch(NamedTuple):
    """Pictures, and what a codec left of them.

    Args:
        x: (B, 3, H, W), pictures in [0, 1].
        x_hat: what a codec decoded, in [0, 1].
        rate: (B, 1, 1, 1), at which it coded.
    """

    x: Tensor
    x_hat: Tensor
    rate: Tensor


@dataclass(frozen=True)
class Decoded:
    """`[data]` of a recipe: what pictures are decoded from.

    Args:
        codecs: weights of codecs, each drawn as often.
        power: how much more often low rates are drawn: shares of the range are raised to it.
        dead: dead zone of the rounding, see CodecWithPrior.
        weighed: share of the batches whose latents are chosen just as the encoder does it; others are rounded.
        tuned: share of the batches whose latents are tuned, as `compress --tune ms-ssim` does it.
        smaller: half of the crops are of pictures made smaller by this factor, so that what JPEG did to them is gone; 1
            takes all as they are.
    """

    codecs: tuple[str, ...] = ("codec-best", "codec-fast")
    power: float = 1.7
    dead: float = 0.1
    weighed: float = 0.0
    tuned: float = 0.0
    smaller: float = 1.0


class DecodedCrops:
    """Crops of photographs, coded and decoded as they are drawn.

    Args:
        source: of the crops.
        decoded: by which codecs, at which rates.
        highest: rate that is drawn, in [0, 1].
        device: where codecs compute.
        smaller: of half of the crops, if there are such.

    Raises:
        TrainingError: weights that are not those of a codec.
        WeightsError: they cannot be loaded.
    """

    def __init__(
        self,
        source: PatchSource,
        decoded: Decoded,
        highest: float,
        device: torch.device,
        smaller: PatchSource | None = None,
    ) -> None:
        self.source, self.smaller, self.power, self.highest = source, smaller, decoded.power, highest
        self.weighed, self.tuned = decoded.weighed, decoded.tuned
        dead = 0.0 if decoded.weighed else decoded.dead
        self.codecs = {name: frozen_codec(name, dead, device) for name in decoded.codecs}
        self.tunings = {name: _frozen_tuning(name, device) for name in decoded.codecs} if decoded.tuned else {}

    @torch.no_grad()
    def coded(self, codec: str, x: Tensor, rate: Tensor, weighs: bool = True, tuned: bool = False) -> DecodedBatch:
        """Pictures (B, 3, H, W), and what a codec leaves of them at rates (B,); if it may not weigh, by rounding."""
        model, at = self.codecs[codec], rate.view(-1, 1, 1, 1)
        model.weighs = weighs and self.weighed > 0
        y = model.codec.analysis(x).float()
        if tuned:
            y = self.tunings[codec](y, at)
        x_hat, _ = model.code(y, model.hyper(y), rate)
        return DecodedBatch(x, x_hat.float().clamp(0, 1), at)

    def batch(self, patch: int, n: int, generator: Generator) -> DecodedBatch:
        """Crops by one of the codecs, each at a rate of its own, one from each n-th of the range."""
        names = list(self.codecs)
        name = names[int(torch.randint(len(names), (1,), generator=generator, device=generator.device))]
        source = self.source
        if self.smaller is not None and torch.rand((), generator=generator, device=generator.device) < 0.5:
            source = self.smaller
        x = source.sample(n, patch, generator)
        rate = self.highest * rates(n, generator) ** self.power

        def drawn(wanted: float) -> bool:
            return wanted > 0 and bool(torch.rand((), generator=generator, device=x.device) < wanted)

        return self.coded(name, x, rate, drawn(self.weighed), drawn(self.tuned))

    @classmethod
    def load(
        cls, recipe: Recipe, decoded: Decoded, data: Path, highest: float, device: torch.device
    ) -> tuple[Self, list[Tensor]]:
        """Those of a recipe's photographs, and the held-out ones: (1, 3, h, w) in [0, 1].

        Raises:
            TrainingError: crops that do not fit, no usable pictures, or weights that are not those of a codec.
            WeightsError: a codec cannot be loaded.
        """
        recipe.require_multiples(PERIOD)
        source, held_out = load_photographs(recipe, data, device)
        smaller = None
        if decoded.smaller != 1:
            folders = {path.name: decoded.smaller for path in data.iterdir()}
            smaller, more = load_photographs(recipe, data, device, smaller=folders)
            held_out += more
        return cls(source, decoded, highest, device, smaller), held_out

    def judged(self, crops: Sequence[Tensor], codec: str, rate: float) -> list[DecodedBatch]:
        """Held-out crops (1, 3, H, W), cut to whole blocks, by one codec at one rate; never tuned."""
        whole = (whole_blocks(crop, PERIOD) for crop in crops)
        return [self.coded(codec, crop, torch.tensor([rate], device=crop.device)) for crop in whole]


def _frozen_tuning(codec: str, device: torch.device) -> nn.Module:
    """What tunes a codec's latents.

    Raises:
        TrainingError: nothing does.
        WeightsError: some weights cannot be loaded.
    """
    weights = tuning_of(load_checkpoint(codec), TUNES[1])
    if weights is None:
        raise TrainingError(f"no weights are here that tune the codec {codec}")
    return placed(TUNING_NETWORK.build(weights).requires_grad_(False), device)


def with_tuples(entries: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's entries as dataclasses have them: tuples for lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in entries.items()}


def frozen_codec(name: str, dead: float, device: torch.device) -> CodecWithPrior:
    """A codec as it is used.

    Raises:
        TrainingError: its weights are not those of a codec.
        WeightsError: they cannot be loaded.
    """
    checkpoint = load_checkpoint(name)
    kind = KINDS.get(str(checkpoint.header.get("network")))
    if kind is None:
        raise TrainingError(f"weights {name} are not those of a codec")
    codec = kind(**(checkpoint.header.get("config") or {}))
    densities = codec.log_hyper_step.shape[1] if isinstance(codec, HyperpriorCodec) else codec.latents
    model = CodecWithPrior(codec, FactorizedPrior(torch.ones(densities)), dead)
    if not go_on_from(model, checkpoint):
        raise TrainingError(f"weights {name} do not fit the model that their header describes")
    return placed(model.eval().requires_grad_(False), device)
