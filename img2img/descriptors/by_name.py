"""Descriptors by name or file, ready to use."""

from pathlib import Path

import torch

from ..checkpoints import build, load_checkpoint
from ..core.descriptor import VGG, Descriptor, RandomFilters
from ..core.vgg_shape import DISTILLED
from ..runtime import placed
from .vgg19 import load_vgg19


def load_descriptor(
    name: str | Path = "vgg-slim",
    weights: Path | None = None,
    device: torch.device | str = "cpu",
    circular: bool = False,
    normalised: bool = True,
) -> Descriptor:
    """A descriptor by name, ready to use.

    Args:
        name: `random`, `vgg19`, a name of the index, or a file that `img2img train descriptor` wrote.
        weights: vgg19's file, instead of torchvision's by download: safetensors with torchvision's names, floats or
            the 8-bit form of `vgg19.read_weights`.
        device: where to.
        circular: see images as tori.
        normalised: scale vgg19's channels to mean activations of 1; without, its features are as its authors have
            them. The other descriptors are what they are.

    Raises:
        WeightsError: weights are missing, damaged or for something else, or may not be fetched.
    """
    descriptor: Descriptor
    if name == "random":
        descriptor = RandomFilters(circular=circular)
    elif name == "vgg19":
        descriptor = load_vgg19(weights, normalised)
    else:
        descriptor = build(load_checkpoint(name), "vgg", VGG)
        descriptor.trust = DISTILLED[: len(descriptor.layers)]
    descriptor.circular = circular
    return placed(descriptor, device)
