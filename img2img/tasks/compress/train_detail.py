"""Training data, validation and shipping of the network that makes detail up."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ...checkpoints import load_checkpoint, save_checkpoint
from ...core.descriptor import Descriptor
from ...core.patch_gan import PatchDiscriminator
from ...data.patches import PatchSource
from ...descriptors.by_name import load_descriptor
from ...errors import TrainingError
from ...metrics import psnr8
from ...runtime import placed
from ...training.photographs import load_photographs
from ...training.provenance import provenance
from ...training.recipe import Recipe
from .detail import DetailNetwork
from .detail_loss import (
    DetailBatch,
    DetailDiscriminatorObjective,
    DetailObjective,
    Worth,
    by_layers,
    feature_errors,
    lattice,
    texture_errors,
    tint,
)
from .hyperprior import KINDS, HyperpriorCodec
from .loss import CodecWithPrior
from .prior import FactorizedPrior
from .shape import DETAIL
from .train import go_on_from, whole_blocks

JUDGED = (("codec-best", 0.0), ("codec-best", 0.2), ("codec-best", 0.4), ("codec-fast", 0.1))  # codec and rate
HELD_OUT = 12  # crops that are judged, of those held out
PERIOD = 32  # of which sides of judged crops are multiples


@dataclass(frozen=True)
class Decoded:
    """`[data]` of a recipe: what pictures are decoded from.

    Args:
        codecs: weights of codecs, each drawn as often.
        power: how much more often low rates are drawn: shares of the range are raised to it.
        dead: dead zone of the rounding, see CodecWithPrior.
    """

    codecs: tuple[str, ...] = ("codec-best", "codec-fast")
    power: float = 1.7
    dead: float = 0.1


def build(recipe: Recipe, data: Path, device: torch.device) -> "DetailTask":
    """The task of a recipe: `[model]` are arguments of DetailNetwork, `[data]` of Decoded, `[objective]` of Worth.

    `teacher` names the file of the VGG-19 that sees the pictures; vgg-slim does without. `loss` names the GAN.

    Raises:
        TrainingError: arguments that do not fit, or no usable pictures to train on or to hold out.
        WeightsError: the codecs or the descriptor cannot be loaded.
    """
    recipe.refuse("repeat")
    try:
        detail = DetailNetwork(**recipe.model)
        decoded, worth = Decoded(**_with_tuples(recipe.data)), Worth(**_with_tuples(recipe.objective))
        discriminator = PatchDiscriminator(6, worth.patch, worth.width, "spectral") if worth.gan else None
        if recipe.init:
            detail.load_state_dict(load_checkpoint(recipe.init).part(DETAIL))
    except (TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(f"recipe {recipe.name}: {' '.join(str(error).split())}") from error
    if any(phase.patch % PERIOD for phase in recipe.phases):
        raise TrainingError(f"recipe {recipe.name}: crops must be multiples of {PERIOD} pixels")
    source, crops = load_photographs(recipe, data, device)
    codecs = {name: frozen_codec(name, decoded.dead, device) for name in decoded.codecs}
    if recipe.teacher:
        descriptor = load_descriptor("vgg19", Path(recipe.teacher), device, normalised=False)
    else:
        descriptor = load_descriptor("vgg-slim", device=device)
    return DetailTask(detail, discriminator, descriptor, recipe, worth, decoded, codecs, source, crops)


def _with_tuples(entries: dict[str, Any]) -> dict[str, Any]:
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


class DetailTask:
    """What the training loop asks of a task (training.loop.Task), for the network that makes detail up."""

    def __init__(
        self,
        detail: DetailNetwork,
        discriminator: PatchDiscriminator | None,
        descriptor: Descriptor,
        recipe: Recipe,
        worth: Worth,
        decoded: Decoded,
        codecs: dict[str, CodecWithPrior],
        source: PatchSource,
        crops: list[Tensor],
    ) -> None:
        self.model: nn.Module = detail
        self.recipe, self.worth, self.decoded, self.codecs = recipe, worth, decoded, codecs
        self.source, self.descriptor = source, descriptor
        self.highest = detail.fades[1]
        gan = recipe.loss or "hinge"
        first = DetailObjective(detail, descriptor, worth, discriminator, gan)
        self.objectives: dict[str, nn.Module] = {"detail": first}
        if discriminator is not None:
            self.objectives["discriminator"] = DetailDiscriminatorObjective(discriminator, first, gan)
        crops = [whole_blocks(crop, PERIOD) for crop in crops[:: -(-len(crops) // HELD_OUT)]]
        self.held_out = [
            (codec, rate, [self.coded(codec, crop, torch.tensor([rate], device=crop.device)) for crop in crops])
            for codec, rate in JUDGED
            if codec in codecs
        ] or [
            (codec, 0.1, [self.coded(codec, crop, torch.tensor([0.1], device=crop.device)) for crop in crops])
            for codec in codecs
        ]

    @torch.no_grad()
    def coded(self, codec: str, x: Tensor, rate: Tensor, generator: Generator | None = None) -> DetailBatch:
        """Pictures (B, 3, H, W), and what a codec leaves of them at rates (B,)."""
        generator = generator or Generator(x.device).manual_seed(0)
        x_hat = self.codecs[codec](x, rate)[0].float().clamp(0, 1)
        noise = torch.rand(len(x), 1, *x.shape[-2:], generator=generator, device=x.device)
        return DetailBatch(x, x_hat, rate.view(-1, 1, 1, 1), (noise * 2 - 1) * 3**0.5)

    def batch(self, patch: int, n: int, generator: Generator) -> DetailBatch:
        """Crops by one of the codecs, each at a rate of its own, low ones more often."""
        names = list(self.codecs)
        name = names[int(torch.randint(len(names), (1,), generator=generator, device=generator.device))]
        x = self.source.sample(n, patch, generator)
        order = torch.randperm(n, generator=generator, device=x.device)
        share = (order + torch.rand(n, generator=generator, device=x.device)) / n
        return self.coded(name, x, self.highest * share**self.decoded.power, generator)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """For each of JUDGED what is seen of it, before and with detail; score: the mean loss saved, without the GAN's.

        PSNR, distance in features, distance in texture (`detail_loss`), tint and lattice.
        """
        scores: dict[str, float] = {}
        saved = []
        for codec, rate, batches in self.held_out:
            rows = []
            for batch in batches:
                detail = model(batch.x_hat, batch.rate, batch.noise).float()
                wanted = self.descriptor(batch.x)
                row = []
                for picture in (batch.x_hat, batch.x_hat + detail):
                    found = self.descriptor(picture)
                    row += [
                        psnr8(picture, batch.x),
                        by_layers(self.worth.layers, feature_errors(found, wanted)).item(),
                        by_layers(self.worth.layers, texture_errors(found, wanted)).item(),
                    ]
                rows.append([*row, tint(detail).item(), lattice(detail).item()])
            means = torch.tensor(rows).mean(0).tolist()
            names = ("psnr0", "features0", "texture0", "psnr", "features", "texture", "tint", "lattice")
            scores |= {f"{codec}{rate}/{name}": mean for name, mean in zip(names, means, strict=True)}
            saved.append(self.worth.features * (means[1] - means[4]) + self.worth.texture * (means[2] - means[5]))
        return {"score": sum(saved) / len(saved)} | scores

    def picture(self, model: nn.Module) -> Tensor:
        """Held-out crops, what was decoded of them at the lowest rate, and that with detail: (3, H, 3 W)."""
        batch = self.held_out[0][2][-1]
        vivid = batch.x_hat + model(batch.x_hat, batch.rate, batch.noise).float()
        return torch.cat((batch.x, batch.x_hat, vivid), 3)[0].clamp(0, 1)

    def ship(self, tensors: dict[str, Tensor], path: Path, facts: dict[str, Any]) -> None:
        detail = self.model
        assert isinstance(detail, DetailNetwork)
        header = {
            "task": DETAIL,
            "network": DETAIL,
            "config": {"fades": list(detail.fades), **self.recipe.model},
            "codecs": list(self.decoded.codecs),
            "range": "sRGB in [0, 1]",
        } | provenance(self.recipe, facts)
        save_checkpoint(path, {f"{DETAIL}.{k}": v for k, v in tensors.items()}, header)
