"""What other programs do to a noisy picture afterwards: enlarge, sharpen, add grain, compress again, in any order.

The picture without noise goes through what changes geometry and sharpness, never through noise or compression.

References: Zhang et al. 2022, arXiv:2203.13278 (SCUNet); Zhang et al. 2021, arXiv:2103.14006 (BSRGAN): a random order.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from .filters import filtered, gaussian, in_luma_chroma, in_rgb
from .noise import jpeg, to_eight_bits

Pair = tuple[Tensor, Tensor]
"""A picture without noise and with it, (1, 3, H, W) in [0, 1]."""


def worked_over(clean: Tensor, noisy: Tensor, generator: Generator, seeded: Random) -> Pair:
    """One to four of STEPS in random order, some of them perhaps twice; sizes stay.

    Args:
        clean: (1, 3, H, W) in [0, 1].
        noisy: the same with noise.
        generator: on their device; draws the grain.
        seeded: draws everything else.
    """
    for step in seeded.choices(list(STEPS), k=seeded.randint(1, 4)):
        clean, noisy = STEPS[step](clean, noisy, generator, seeded)
    return clean, noisy


def enlarged(clean: Tensor, noisy: Tensor, generator: Generator, seeded: Random) -> Pair:
    """The middle, enlarged; pixels then share their noise, and nothing is finer than before."""
    size = clean.shape[-2:]
    factor = seeded.uniform(1.05, 2)
    height, width = (max(8, round(side / factor)) for side in size)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    kind = seeded.choice(KERNELS)
    middle = (..., slice(top, top + height), slice(left, left + width))
    return _resized(clean[middle], size, kind), _resized(noisy[middle], size, kind)


def made_smaller_and_large_again(clean: Tensor, noisy: Tensor, generator: Generator, seeded: Random) -> Pair:
    """As by a messenger and then somebody who wanted the old size back."""
    size = clean.shape[-2:]
    factor = seeded.uniform(0.5, 0.95)
    small = [max(8, round(side * factor)) for side in size]
    down, up = seeded.choice(KERNELS), seeded.choice(KERNELS)

    def both(picture: Tensor) -> Tensor:
        return _resized(_resized(picture, small, down), size, up)

    return both(clean), both(noisy)


def sharpened(clean: Tensor, noisy: Tensor, generator: Generator, seeded: Random) -> Pair:
    """Unsharp masking, halos included."""
    amount, width = seeded.uniform(0.2, 1.5), torch.tensor(seeded.uniform(0.6, 2.0), device=clean.device)

    def mask(picture: Tensor) -> Tensor:
        return filtered(picture, lambda f: 1 + amount * (1 - gaussian(width, f))).clamp(0, 1)

    return mask(clean), mask(noisy)


def grained(clean: Tensor, noisy: Tensor, generator: Generator, seeded: Random) -> Pair:
    """Grain of 1 to 25 grey levels: fine or coarse, grey or coloured, even or growing with light or shadow."""
    coloured = seeded.random() < 0.5
    width = torch.tensor(seeded.choice((0.0, seeded.uniform(0.4, 1.8))), device=clean.device)
    shape = (1, 3 if coloured else 1, *clean.shape[-2:])
    grain = filtered(torch.randn(shape, generator=generator, device=clean.device), lambda f: gaussian(width, f))
    grain = grain / grain.std() * (25 / 255) * seeded.random() ** 1.5
    light = clean.mean(1, keepdim=True)
    follows = seeded.choice((torch.ones_like(light), 2 * light, 2 * (1 - light)))
    return clean, (noisy + grain * follows).clamp(0, 1)


def compressed(clean: Tensor, noisy: Tensor, generator: Generator, seeded: Random) -> Pair:
    """JPEG or WebP, its blocks anywhere."""
    shifts = seeded.randrange(8), seeded.randrange(8)
    moved = to_eight_bits(noisy.roll(shifts, (2, 3)))
    if seeded.random() < 0.25 and noisy.device.type == "cpu":
        squeezed = through_webp(moved, seeded.randint(50, 95))
    else:
        squeezed = through_jpeg(moved, [seeded.randint(40, 95)], seeded)
    return clean, squeezed.roll((-shifts[0], -shifts[1]), (2, 3))


def colours_at_half_size(clean: Tensor, noisy: Tensor, generator: Generator, seeded: Random) -> Pair:
    """As video has them."""
    y = in_luma_chroma(noisy)
    half = F.avg_pool2d(F.pad(y[:, 1:], (0, y.shape[-1] % 2, 0, y.shape[-2] % 2), mode="replicate"), 2)
    chroma = F.interpolate(half, scale_factor=2, mode="bilinear", align_corners=False)
    chroma = chroma[..., : y.shape[-2], : y.shape[-1]]
    return clean, in_rgb(torch.cat((y[:, :1], chroma), 1)).clamp(0, 1)


KERNELS = ("bicubic", "bilinear")
STEPS: dict[str, Callable[[Tensor, Tensor, Generator, Random], Pair]] = {
    "enlarge": enlarged,
    "smaller and back": made_smaller_and_large_again,
    "sharpen": sharpened,
    "grain": grained,
    "compress": compressed,
    "half colours": colours_at_half_size,
}


def _resized(picture: Tensor, size: list[int] | torch.Size, kind: str) -> Tensor:
    return F.interpolate(picture, size, mode=kind, antialias=True, align_corners=False).clamp(0, 1)


def through_jpeg(pictures: Tensor, qualities: list[int], seeded: Random) -> Tensor:
    """JPEG there and back: by libjpeg on the CPU, 4:2:0 or 4:4:4; on a GPU there, 4:2:0.

    Args:
        pictures: (B, 3, H, W) in [0, 1].
        qualities: one a picture, 1 to 100.
        seeded: draws the subsampling.
    """
    if pictures.device.type != "cpu":
        return to_eight_bits(jpeg(pictures, torch.tensor(qualities, dtype=torch.float32)))
    return _through_files(
        pictures, [{"format": "JPEG", "quality": q, "subsampling": seeded.choice((0, 2))} for q in qualities]
    )


def _through_files(pictures: Tensor, options: list[dict[str, Any]]) -> Tensor:
    """Each picture saved by Pillow with its options, and opened again."""
    from PIL import Image

    decoded = []
    for picture, chosen in zip((pictures * 255).round().byte().permute(0, 2, 3, 1).numpy(), options, strict=True):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, **chosen)
        decoded.append(torch.from_numpy(np.array(Image.open(file).convert("RGB"))))
    return torch.stack(decoded).permute(0, 3, 1, 2).float() / 255


def through_webp(pictures: Tensor, quality: int) -> Tensor:
    """WebP there and back, on the CPU.

    Args:
        pictures: (B, 3, H, W) in [0, 1].
        quality: 1 to 100.
    """
    return _through_files(pictures, [{"format": "WEBP", "quality": quality}] * len(pictures))
