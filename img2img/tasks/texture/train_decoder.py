"""Training of the decoder: stage by stage it learns to undo the descriptor on photographs and textures."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn

from ...checkpoints import save_checkpoint
from ...data.patches import PatchSource
from ...errors import TrainingError
from ...metrics import psnr8
from ...training.provenance import provenance
from ...training.recipe import Recipe
from .decoder import Decoder
from .descriptor import LAYERS, VGG, fingerprint
from .descriptor_file import load_descriptor
from .train_descriptor import load_crops


def build(recipe: Recipe, data: Path, device: torch.device) -> "DecoderTask":
    """The task of a recipe: `[model]` is for Decoder; its `teacher` names the descriptor that is to be undone.

    Raises:
        TrainingError: no descriptor is named, it has other layers, or there are no usable pictures.
        WeightsError: the descriptor cannot be read.
    """
    recipe.refuse("loss", "init", "data", "objective")
    if not recipe.teacher:
        raise TrainingError("a decoder undoes a descriptor: name it by --teacher, a file of img2img train descriptor")
    descriptor = load_descriptor(recipe.teacher, device=device, circular=True)
    decoder = Decoder(**recipe.model)
    if not isinstance(descriptor, VGG) or tuple(descriptor.channels[: len(decoder.channels)]) != decoder.channels:
        raise TrainingError(f"recipe {recipe.name}: the decoder is not made for the layers of {recipe.teacher}")
    stride = 2 ** (len(decoder.channels) - 1)
    if any(phase.patch % stride or phase.patch < descriptor.smallest for phase in recipe.phases):
        raise TrainingError(
            f"recipe {recipe.name}: crops must be multiples of {stride} of at least {descriptor.smallest}"
        )
    source, crops = load_crops(recipe, data, device, descriptor.smallest)
    return DecoderTask(decoder, descriptor, recipe, source, crops)


class Layers(NamedTuple):
    """Images and their layers, of which the one before is to be made.

    Attributes:
        wanted: the images (B, 3, H, W), then for each layer its features, (B, C_l, H_l, W_l).
        chained: whether each stage gets what the one before has made of it, or the features as they are.
    """

    wanted: list[Tensor]
    chained: bool


class Inversion(nn.Module):
    """Squared error of each stage in shares of its target's variance, averaged over stages.

    Args:
        decoder: what is trained.

    Shape:
        batch: images and their layers; returns scalars by name.
    """

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, batch: Layers) -> dict[str, Tensor]:
        x, errors = batch.wanted[-1], {}
        for layer in range(len(batch.wanted) - 1, 0, -1):
            wanted = batch.wanted[layer - 1]
            y = self.decoder.stage(x, layer)
            spread = wanted.float().var((0, 2, 3), correction=0).mean().clamp_min(1e-6)
            errors[f"to_{layer - 1}"] = (y - wanted).square().mean(dtype=torch.float32) / spread
            x = y if batch.chained else wanted
        return {"loss": torch.stack(list(errors.values())).mean()} | errors


class DecoderTask:
    """What the training loop asks of a task (training.loop.Task), for the decoder."""

    def __init__(
        self, decoder: Decoder, descriptor: VGG, recipe: Recipe, source: PatchSource, crops: list[Tensor]
    ) -> None:
        self.recipe, self.source, self.descriptor = recipe, source, descriptor
        self.depth = len(decoder.channels)
        self.decoder = decoder
        self.model: nn.Module = decoder
        self.objectives: dict[str, nn.Module] = {"main": Inversion(decoder)}
        self.held_out = [(crop, self._seen(crop)) for crop in crops]

    @torch.no_grad()
    def _seen(self, images: Tensor) -> list[Tensor]:
        return self.descriptor(images.contiguous(memory_format=torch.channels_last), self.depth)

    def batch(self, patch: int, n: int, generator: Generator) -> Layers:
        images = self.source.sample(n, patch, generator)
        chained = torch.rand((), generator=generator, device=generator.device).item() < 0.5
        return Layers([images, *self._seen(images)], chained)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """PSNR of held-out pictures decoded from each layer; score: their mean."""
        scores = {}
        for layer in range(1, self.depth + 1):
            found = [psnr8(model(layers[layer - 1], layer).float(), crop) for crop, layers in self.held_out]
            scores[f"psnr_{LAYERS[layer - 1]}"] = sum(found) / len(found)
        return {"score": sum(scores.values()) / len(scores)} | scores

    def picture(self, model: nn.Module) -> Tensor:
        """A held-out crop, and what is decoded of each layer, side by side: (3, H, (1 + depth) W)."""
        crop, layers = self.held_out[-1]
        decoded = [model(layer, i).float() for i, layer in enumerate(layers, 1)]
        return torch.cat((crop, *decoded), 3)[0].clamp(0, 1)

    def ship(self, tensors: dict[str, Tensor], path: Path, facts: dict[str, Any]) -> None:
        header = {
            "task": "texture",
            "network": "decoder",
            "config": self.decoder.config,
            "descriptor": fingerprint(self.descriptor),
            "range": "features of the descriptor to sRGB in [0, 1]",
        } | provenance(self.recipe, facts)
        save_checkpoint(path, {f"decoder.{k}": v for k, v in tensors.items()}, header)
