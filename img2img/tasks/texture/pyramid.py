"""Coarse to fine: the sizes at which a texture is made one after the other, and resampling that knows what lies beyond.

Every canvas is a torus, whether the texture is to be tiled or not: what leaves on the right comes back on the left, in
the descriptor as in resampling, so no layer ever sees a border, and nothing is learnt from zeros around a picture. A
texture that need not tile is grown MARGIN pixels larger and cut out. The sample is no torus: it is mirrored at its
borders, which are looked at once, and what the mirrors show is cut off again (`with_mirrors`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .either import either

STRIDE = 16  # pixels of an image for one of the deepest layer's: a torus of any other size would lose its last rows
MARGIN = 16  # pixels by which a texture that need not tile is grown larger
# No pixel further away than this has a part in a feature: VGG-19's relu5_1 looks 70 pixels far. A multiple of STRIDE.
REACH = 80
COARSEST = 32  # pixels: neither a canvas nor a sample is made smaller than that by the pyramid

Size = tuple[int, int]  # height, width
Array = NDArray[Any]


@dataclass(frozen=True)
class Level:
    """One step of the pyramid.

    Attributes:
        canvas: height and width of what is computed, multiples of STRIDE.
        samples: height and width of each sample, scaled as the canvas is.
    """

    canvas: Size
    samples: tuple[Size, ...]


def levels(
    size: Size, samples: Sequence[Size], tileable: bool | tuple[bool, bool], smallest: int = STRIDE
) -> list[Level]:
    """The pyramid for a texture, coarsest level first.

    Each level is twice as large as the one before, but for rounding: a canvas is a multiple of STRIDE, and the samples
    follow it, so that a level's texture and sample are stretched alike. Only if a texture is to be tiled, and its size
    is no multiple of STRIDE, is the finest canvas larger than the texture, and has to be resampled.

    Args:
        size: height and width of the texture.
        samples: heights and widths of the samples.
        tileable: whether the texture has to wrap around; from top to bottom, and from left to right.
        smallest: the least side of a canvas.

    Example:
        >>> [level.canvas for level in levels((100, 64), [(90, 90)], tileable=True)]
        [(64, 32), (112, 64)]
    """
    wraps = (tileable, tileable) if isinstance(tileable, bool) else tileable
    finest = rounded_up((size[0] + MARGIN * (not wraps[0]), size[1] + MARGIN * (not wraps[1])), 1, smallest)
    # A texture that is cut out keeps the sample's scale exactly; one that tiles is made to fit its canvas.
    unit = [size[i] if wraps[i] else finest[i] for i in (0, 1)]
    factor, made = 1, []
    while True:
        canvas = rounded_up(finest, factor, smallest)
        scales = [canvas[i] / unit[i] for i in (0, 1)]
        scaled = tuple(tuple(max(1, round(sample[i] * scales[i])) for i in (0, 1)) for sample in samples)
        made.append(Level(canvas, scaled))  # type: ignore[arg-type]
        factor *= 2
        sides = [side for level_size in (finest, *samples) for side in level_size]
        if min(sides) < COARSEST * factor:
            return made[::-1]


def rounded_up(size: Size, factor: int, smallest: int) -> Size:
    """A canvas for 1/factor of a size: the next multiples of STRIDE that are not below `smallest`."""
    height, width = (-(-max(-(-side // factor), smallest) // STRIDE) * STRIDE for side in size)
    return height, width


@either
def resample(x: Array, size: Size, circular: bool, smooth: bool = False) -> Array:
    """An image at another size, by a cubic kernel that is wide enough not to alias.

    Args:
        x: (B, C, H, W), any H, W >= 1.
        size: height and width, each at least 1.
        circular: whether the image wraps around; otherwise it is mirrored at its borders.
        smooth: blur it a little, by a B-spline. The other kernel keeps details, but when it enlarges an image that has
            them in every pixel, the steps between the old pixels are twice as large as those within one.

    Returns:
        (B, C, *size), float32. Unless it is smooth it may reach beyond the range of x.

    References: Keys 1981, doi:10.1109/TASSP.1981.1163711 (a = -1/2).
    """
    kernel = _b_spline if smooth else _keys
    y = x.astype(np.float32, copy=False)
    for axis, length in zip((2, 3), size, strict=True):
        if y.shape[axis] != length:
            y = _resample_axis(y, axis, length, circular, kernel)
    return y


def _resample_axis(x: Array, axis: int, length: int, circular: bool, kernel: Callable[[Array], Array]) -> Array:
    before = x.shape[axis]
    step = before / length
    width = max(step, 1.0)
    centres = (np.arange(length) + 0.5) * step - 0.5
    first = np.floor(centres - 2 * width).astype(np.int64) + 1
    taps = int(4 * width) + 1
    positions = first[:, None] + np.arange(taps)
    weights = kernel((positions - centres[:, None]) / width)
    weights /= weights.sum(1, keepdims=True)
    indices = positions % before if circular else mirrored(positions, before)
    factors = weights.astype(np.float32).reshape(*(length if i == axis else 1 for i in range(x.ndim)), taps)
    result = np.zeros([length if i == axis else side for i, side in enumerate(x.shape)], np.float32)
    for k in range(taps):
        result += x.take(indices[:, k], axis) * factors[..., k]
    return result


def _keys(distance: Array) -> Array:
    d = np.abs(distance)
    near = (1.5 * d - 2.5) * d**2 + 1
    far = ((-0.5 * d + 2.5) * d - 4) * d + 2
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _b_spline(distance: Array) -> Array:
    d = np.abs(distance)
    near = (0.5 * d - 1) * d**2 + 2 / 3
    far = (2 - d) ** 3 / 6
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


@either
def mirrored(positions: Array, length: int) -> Array:
    """Indices into an axis that goes on as if mirrors stood at both ends, however far out the positions lie.

    Example:
        >>> mirrored(np.arange(-3, 5), 2).tolist()
        [1, 1, 0, 0, 1, 1, 0, 0]
    """
    folded = positions % (2 * length)
    return np.minimum(folded, 2 * length - 1 - folded)


def with_mirrors(side: int) -> Array:
    """Indices of a sample's rows, or columns, with mirrors at both ends, REACH far; as many as a multiple of STRIDE.

    So a descriptor sees a sample without a border. Zeros around it, as VGG-19 was trained with, would be part of the
    statistics: of a sample of 64 pixels every feature of relu5_1 sees them. What the mirrors show is cut off again
    (`without_mirrors`).
    """
    indices: Array = mirrored(np.arange(-REACH, side + REACH + -side % STRIDE), side)
    return indices


def without_mirrors(layer: Any, size: Size) -> Any:
    """The features of a sample of a size itself, of (..., H_l, W_l) of one with its mirrors; at least one feature."""
    stride = len(with_mirrors(size[0])) // layer.shape[-2]
    begin = REACH // stride
    rows, columns = (slice(begin, begin + -(-side // stride)) for side in size)
    return layer[..., rows, columns]
