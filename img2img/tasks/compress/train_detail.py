"""Training data, validation and shipping of the network that makes detail up."""

from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ...checkpoints import load_checkpoint, save_checkpoint
from ...core.descriptor import Descriptor
from ...core.patch_gan import PatchDiscriminator
from ...descriptors.by_name import load_descriptor
from ...metrics import psnr8
from ...training.provenance import provenance
from ...training.recipe import Recipe
from .decoded_crops import Decoded, DecodedBatch, DecodedCrops, with_tuples
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
from .shape import DETAIL

JUDGED = (("codec-best", 0.0), ("codec-best", 0.2), ("codec-best", 0.4), ("codec-fast", 0.1))  # codec and rate
HELD_OUT = 12  # crops that are judged, of those held out


def build(recipe: Recipe, data: Path, device: torch.device) -> "DetailTask":
    """The task of a recipe: `[model]` are arguments of DetailNetwork, `[data]` of Decoded, `[objective]` of Worth.

    `teacher` names the file of the VGG-19 that sees the pictures; vgg-slim does without. `loss` names the GAN.

    Raises:
        TrainingError: arguments that do not fit, or no usable pictures to train on or to hold out.
        WeightsError: the codecs or the descriptor cannot be loaded.
    """
    recipe.refuse("repeat")
    with recipe.building():
        detail = DetailNetwork(**recipe.model)
        decoded, worth = Decoded(**with_tuples(recipe.data)), Worth(**with_tuples(recipe.objective))
        discriminator = PatchDiscriminator(6, worth.patch, worth.width, "spectral") if worth.gan else None
        if recipe.init:
            detail.load_state_dict(load_checkpoint(recipe.init).part(DETAIL))
    crops, held_out = DecodedCrops.load(recipe, decoded, data, detail.fades[1] if detail.fades else 1.0, device)
    if recipe.teacher:
        descriptor = load_descriptor("vgg19", Path(recipe.teacher), device, normalised=False)
    else:
        descriptor = load_descriptor("vgg-slim", device=device)
    return DetailTask(detail, discriminator, descriptor, recipe, worth, decoded, crops, held_out)


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
        crops: DecodedCrops,
        held_out: list[Tensor],
    ) -> None:
        self.model: nn.Module = detail
        self.recipe, self.worth, self.decoded, self.crops = recipe, worth, decoded, crops
        self.descriptor = descriptor
        gan = recipe.loss or "hinge"
        first = DetailObjective(detail, descriptor, worth, discriminator, gan)
        self.objectives: dict[str, nn.Module] = {"detail": first}
        if discriminator is not None:
            self.objectives["discriminator"] = DetailDiscriminatorObjective(discriminator, first, gan)
        held_out = held_out[:: -(-len(held_out) // HELD_OUT)]
        judged = [(codec, rate) for codec, rate in JUDGED if codec in decoded.codecs]
        self.held_out = [
            (codec, rate, [_with_noise(batch) for batch in crops.judged(held_out, codec, rate)])
            for codec, rate in judged or [(codec, 0.1) for codec in decoded.codecs]
        ]

    def batch(self, patch: int, n: int, generator: Generator) -> DetailBatch:
        """Crops by one of the codecs, each at a rate of its own, low ones more often."""
        return _with_noise(self.crops.batch(patch, n, generator), generator)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """For each of JUDGED what is seen of it, before and with detail; score: the mean loss saved, without the GAN's.

        PSNR, distance in features, distance in texture (`detail_loss`), tint and lattice.
        """
        scores: dict[str, float] = {}
        saved = []
        for codec, rate, batches in self.held_out:
            rows = []
            for batch in batches:
                detail = self.worth.taken(model(batch.x_hat, batch.rate, batch.noise).float())
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
        vivid = batch.x_hat + self.worth.taken(model(batch.x_hat, batch.rate, batch.noise).float())
        return torch.cat((batch.x, batch.x_hat, vivid), 3)[0].clamp(0, 1)

    def ship(self, tensors: dict[str, Tensor], path: Path, facts: dict[str, Any]) -> None:
        detail = self.model
        assert isinstance(detail, DetailNetwork)
        header = {
            "task": DETAIL,
            "network": DETAIL,
            "config": {"fades": list(detail.fades or ()), **self.recipe.model},
            "codecs": list(self.decoded.codecs),
            "range": "sRGB in [0, 1]",
        } | provenance(self.recipe, facts)
        save_checkpoint(path, {f"{DETAIL}.{k}": v for k, v in tensors.items()}, header)


def _with_noise(batch: DecodedBatch, generator: Generator | None = None) -> DetailBatch:
    """What detail is learnt from; the same noise each time without a generator."""
    x = batch.x
    generator = generator or Generator(x.device).manual_seed(0)
    noise = torch.rand(len(x), 1, *x.shape[-2:], generator=generator, device=x.device)
    return DetailBatch(*batch, noise=(noise * 2 - 1) * 3**0.5)
