"""Peak signal-to-noise ratio, of the values as they are and of the 8-bit picture made of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Image: TypeAlias = "NDArray[Any] | Tensor"


def as_float64(image: Image) -> NDArray[np.float64]:
    """The values of an array, or of a tensor on any device, as a float64 array."""
    # Duck typing, so that computing a PSNR of two arrays need not wait for torch; float() as numpy has no bfloat16.
    values = image if isinstance(image, np.ndarray) else image.detach().float().cpu().numpy()
    return values.astype(np.float64)


def to_8bit(image: Image, data_range: float = 1.0) -> NDArray[np.uint8]:
    """What a PNG of ``image`` holds: scaled from ``data_range`` to 255, rounded and clipped."""
    levels = np.rint(as_float64(image) * (255.0 / data_range))
    return np.asarray(np.clip(levels, 0, 255), dtype=np.uint8)


def psnr(x: Image, y: Image, data_range: float = 1.0) -> float:
    """Peak signal-to-noise ratio of the values as they are: neither clipped nor rounded.

    Args:
        x: image or batch, array or tensor of any shape; PSNR comes from one mean over all its values.
        y: the other image, of the same shape.
        data_range: the value of white, 1 by default, 255 for grey levels.

    Returns:
        Decibels; ``inf`` for equal images.

    Raises:
        ValueError: the shapes differ (broadcasting would give a number that means nothing), or there are no pixels.
    """
    a, b = as_float64(x), as_float64(y)
    if a.shape != b.shape:
        raise ValueError(f"PSNR needs two images of one shape, not {a.shape} and {b.shape}")
    if a.size == 0:
        raise ValueError("PSNR of an image without pixels")
    mse = float(np.mean(np.square(a - b)))
    return 10.0 * math.log10(data_range**2 / mse) if mse else math.inf


def psnr8(x: Image, y: Image, data_range: float = 1.0) -> float:
    """PSNR of the two 8-bit pictures that `to_8bit` makes: what a user's files show. Else as `psnr`."""
    return psnr(to_8bit(x, data_range), to_8bit(y, data_range), data_range=255.0)
