"""Textures in one pass: noise gets the sample's distribution of features, layer by layer, and is decoded each time."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from ..colour import palette
from ..decoder import Decoder
from ..descriptor import VGG
from ..pyramid import STRIDE, Level, resample
from ..transport import moved_as_gaussians, transported
from .optimize import enlarged, noise_like, precision, sample_features

PASSES = 2  # through all layers on each level of the pyramid
ROUNDS = 2  # of turned axes along which features are ranked, in layers and levels that are small enough
RANKED = 2**19  # numbers in a layer, at most, that are ranked; larger ones get mean and covariance only
BYTES = 1000  # of memory for a pixel of the canvas; measured


@torch.no_grad()
def instant(
    descriptor: VGG,
    decoder: Decoder,
    samples: Sequence[Tensor],
    weights: Sequence[float],
    pyramid: Sequence[Level],
    seed: int,
    dtype: torch.dtype,
) -> Tensor:
    """Make a texture, coarse to fine, and on each level from the deepest layer to the colours.

    Args:
        descriptor: on a torus.
        decoder: of this descriptor.
        samples: each (1, C, h, w) in [0, 1], of one number of channels, 1 or 3.
        weights: of the samples; they sum to 1.
        pyramid: what `levels` makes of their sizes.
        seed: of the noise, and of the axes along which distributions are compared.
        dtype: of the convolutions.

    Returns:
        (1, C, H, W) in [0, 1], a torus of the finest level's size.

    References: Li et al. 2017, arXiv:1705.08086 (universal style transfer, its textures); Risser 2020,
        arXiv:2010.14702 (optimal transport in features, coarse to fine).
    """
    chance, depth = Generator().manual_seed(seed), len(decoder.channels)
    canvas: Tensor | None = None
    for level in pyramid:
        scaled = [resample(s, size, circular=False).clamp(0, 1) for s, size in zip(samples, level.samples, strict=True)]
        seen = [sample_features(descriptor, each, depth) for each in scaled]
        wanted = [palette([layers[i][0] for layers in seen], weights)[:, 0] for i in range(depth)]
        colours = palette([each[0] for each in scaled], weights)[:, 0]
        if canvas is None:
            canvas = noise_like(scaled, weights, level.canvas, seed)
        else:
            canvas = enlarged(canvas, level.canvas, chance)
        for _ in range(PASSES):
            for layer in range(depth, 0, -1):
                # Turned each time, or the squares that poolings and enlargements see as one would show as a grid.
                canvas = canvas.roll(torch.randint(STRIDE, (2,), generator=chance).tolist(), (2, 3))
                with precision(canvas.device, dtype):
                    features = descriptor(_last(canvas.expand(-1, 3, -1, -1)), layer)[-1]
                features = moved(features.float(), wanted[layer - 1], chance)
                with precision(canvas.device, dtype):
                    image = decoder(_last(features), layer)
                canvas = image.float().clamp_(0, 1)
                if len(colours) == 1:
                    canvas = canvas.mean(1, keepdim=True)
        canvas = transported(canvas[0].flatten(1), colours, ROUNDS, chance).view_as(canvas)
    assert canvas is not None  # a pyramid has at least one level
    return canvas


def moved(features: Tensor, wanted: Tensor, chance: Generator) -> Tensor:
    """Features (1, C, H, W) as they have to be to be distributed as the wanted, (C, M): nonnegative, as these."""
    flat = moved_as_gaussians(features[0].flatten(1), wanted)
    if flat.numel() <= RANKED:
        flat = transported(flat, wanted, ROUNDS, chance)
    return flat.clamp_min_(0).view_as(features)


def _last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
