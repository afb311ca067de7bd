"""What a texture is made of: samples that are made alike, cut to pieces that can be looked at, and weighted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .colour import coloured, luminance, match_colours, palette
from .either import either
from .job import TextureJob
from .pyramid import Array, Level, Size, levels, resample

SAMPLE_PIXELS = 2**20  # that are looked at at once; a larger sample is looked at in pieces
PIECES = 16  # of a sample at most, evenly spread


@dataclass(frozen=True, eq=False)
class Material:
    """The samples of one texture, and the sizes at which it is made.

    Args:
        colours: the samples, each (C, h, w) float32, of one number of channels.
        whole: what is grown of them: the same, or their luminance.
        images: these in pieces.
        portions: the share of each piece in the mixture; they sum to 1.
        shares: of each sample; they sum to 1.
        stretch: how much higher and wider a sample has to be for the canvas than for the texture that is made of that.
        pyramid: of the canvas and of the pieces, coarsest level first.
    """

    colours: list[Array]
    whole: list[Array]
    images: list[Array]
    portions: list[float]
    shares: list[float]
    stretch: tuple[float, float]
    pyramid: list[Level]

    @classmethod
    def of(
        cls, samples: Array | Sequence[Array], job: TextureJob, smallest: int, sample_pixels: int = SAMPLE_PIXELS
    ) -> Material:
        """The material of a job.

        Args:
            samples: one (C, h, w) or several, C 1 or 3, values in [0, 1].
            job: what is wanted.
            smallest: least side of a canvas.
            sample_pixels: that are looked at at once: swd looks at the middle of a larger sample, the others at pieces.

        Raises:
            ValueError: the samples have another shape, or the shares do not fit them.
        """
        shares, colours = normalised(samples, job.mix), alike(samples)
        whole = [luminance(image) for image in colours] if job.colour == "luminance" else colours
        stretch = _stretch(job.size, job.wraps, levels(job.size, [], job.wraps, smallest)[-1].canvas)
        pixels = sample_pixels / (stretch[0] * stretch[1])
        if job.chosen_loss == "swd":
            images, portions = [crop_middle(image, int(pixels)) for image in whole], shares
        else:
            images, portions = in_pieces(whole, shares, pixels)
        sizes = [(image.shape[-2], image.shape[-1]) for image in images]
        return cls(colours, whole, images, portions, shares, stretch, levels(job.size, sizes, job.wraps, smallest))

    def finished(self, canvas: Array, job: TextureJob) -> Array:
        """The texture (C, *size): a torus (1, C, H, W) made to fit or cut out, and coloured as wanted."""
        height, width = (job.size[i] if job.wraps[i] else canvas.shape[i + 2] for i in (0, 1))
        texture: Array = center_crop(resample(canvas, (height, width), circular=True)[0], *job.size)
        if job.colour == "keep":
            return texture
        colours = palette(self.colours, self.shares)
        found: Array = match_colours(texture, colours) if job.colour == "match" else coloured(texture, colours)
        return found


def listed(samples: Any) -> list[Any]:
    """One sample or several, as a list."""
    return list(samples) if isinstance(samples, list | tuple) else [samples]


def normalised(samples: Any, mix: Sequence[float] | None) -> list[float]:
    """The shares of samples in a mixture, which sum to 1.

    Raises:
        ValueError: not one for each sample, negative, or none above 0.
    """
    count = len(listed(samples))
    shares = [1.0] * count if mix is None else [float(share) for share in mix]
    if len(shares) != count or not count:
        raise ValueError(f"there are {count} samples and {len(shares)} shares in their mixture")
    total = sum(shares)
    if min(shares) < 0 or not 0 < total < float("inf"):
        raise ValueError(f"shares in a mixture are 0 or more, and not all 0, unlike {shares}")
    return [share / total for share in shares]


@either
def alike(samples: Array | Sequence[Array]) -> list[Array]:
    """The samples as float32; grey ones become RGB beside coloured ones.

    Raises:
        ValueError: a sample is neither grey nor RGB.
    """
    images = listed(samples)
    for image in images:
        if image.ndim != 3 or image.shape[0] not in (1, 3) or not image.size:
            raise ValueError(f"a sample is (1 or 3, H, W), not {image.shape}")
    channels = max(image.shape[0] for image in images)
    return [np.broadcast_to(image.astype(np.float32, copy=False), (channels, *image.shape[1:])) for image in images]


def in_pieces(images: Sequence[Array], shares: Sequence[float], pixels: float) -> tuple[list[Array], list[float]]:
    """The `pieces` of all samples, and the share of each in the mixture."""
    parts: list[Array] = []
    portions: list[float] = []
    for image, share in zip(images, shares, strict=True):
        own = pieces(image, pixels)
        parts += own
        portions += [share / len(own)] * len(own)
    return parts, portions


def pieces(sample: Array, pixels: float) -> list[Array]:
    """A sample (C, H, W) in a grid of pieces that have at most so many pixels; of more than PIECES as many of them."""
    height, width = sample.shape[1:]
    count = math.ceil(height * width / max(1.0, pixels))
    rows = min(height, max(1, round((count * height / width) ** 0.5)))
    columns = min(width, math.ceil(count / rows))
    rows = min(height, math.ceil(count / columns))
    tops, lefts = ([side * i // n for i in range(n + 1)] for side, n in ((height, rows), (width, columns)))
    step = max(1.0, rows * columns / PIECES)
    chosen = [int((i + 0.5) * step) for i in range(min(PIECES, rows * columns))]
    places = [divmod(number, columns) for number in chosen]
    return [sample[:, tops[row] : tops[row + 1], lefts[column] : lefts[column + 1]] for row, column in places]


def _stretch(size: Size, wraps: tuple[bool, bool], canvas: Size) -> tuple[float, float]:
    """How much higher and wider a sample has to be for a canvas than for the texture that it is resampled to."""
    down, right = (whole / side if wrap else 1.0 for whole, side, wrap in zip(canvas, size, wraps, strict=True))
    return down, right


def center_crop(x: Array, height: int, width: int) -> Array:
    """The middle height x width of x, (C, H, W)."""
    top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
    return x[..., top : top + height, left : left + width]


def crop_middle(sample: Array, pixels: int) -> Array:
    """The middle of a sample (C, H, W) that has more pixels, of the same shape; any other as it is."""
    height, width = sample.shape[1:]
    if height * width <= pixels:
        return sample
    shrink = (pixels / (height * width)) ** 0.5
    h, w = max(1, int(height * shrink)), max(1, int(width * shrink))
    return center_crop(sample, min(h, pixels), min(w, pixels))  # a picture of one row is still one
