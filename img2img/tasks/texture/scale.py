"""How large a sample should be seen, so that enough of its structures fit a texture. Imports no torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...images import Picture
from .sheet import resized

STRUCTURES = 16  # correlation lengths that a texture's shorter side should hold; a thing is about two of them wide
CORRELATED = 0.2  # beyond the distance at which pixels' correlation has fallen to that, another thing begins
LARGE = 2  # times the texture's shorter side; a smaller sample is taken as it is
LOOKED_AT = 512  # pixels; the longer side at which structures are measured


def fitting_scale(sample: Picture, size: tuple[int, int]) -> float:
    """The scale at which a sample's structures fit a texture: 1, or less for a sample that is much larger than that.

    A sample is never made smaller than the texture, and sand that is fine enough stays as fine as it is.

    Args:
        sample: any size.
        size: of the texture.
    """
    short, wanted = min(sample.height, sample.width), min(size)
    if short < LARGE * wanted:
        return 1.0
    return min(1.0, max(wanted / short, wanted / (STRUCTURES * correlation_length(sample))))


def correlation_length(sample: Picture) -> float:
    """The distance in pixels, all directions averaged, at which the correlation of lightness falls to CORRELATED."""
    grey = np.ascontiguousarray(sample.to_array().mean(0))
    factor = min(1.0, LOOKED_AT / max(grey.shape))
    small = resized(grey, (max(1, round(grey.shape[0] * factor)), max(1, round(grey.shape[1] * factor))))
    correlations = _by_distance(small - small.mean())
    below = np.flatnonzero(correlations < CORRELATED)
    return float(max(1, below[0] if len(below) else len(correlations))) / factor


def _by_distance(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Correlation of two values at each whole distance, up to half the shorter side; the first is 1."""
    height, width = values.shape
    shape = 2 * height, 2 * width  # zeros beside it, so that no pair reaches around the border
    products, pairs = (
        np.fft.irfft2(np.abs(np.fft.rfft2(plane, shape)) ** 2, shape) for plane in (values, np.ones_like(values))
    )
    reach = max(1, min(height, width) // 2)
    ways = np.arange(-reach, reach + 1)
    near = np.rint(np.hypot(ways[:, None], ways)).astype(int)
    covariance = (products / np.maximum(pairs, 1))[ways[:, None], ways]
    means = np.bincount(near.ravel(), covariance.ravel()) / np.bincount(near.ravel())
    return np.asarray(means[: reach + 1] / max(float(means[0]), 1e-12))


def scaled(sample: Picture, scale: float) -> Picture:
    """A sample at another scale; what is transparent does not bleed into the rest."""
    if scale == 1:
        return sample
    size = max(1, round(sample.height * scale)), max(1, round(sample.width * scale))
    colours = sample.to_array()
    alpha = None
    if sample.alpha is not None:
        low, high = sample.range
        weight = ((sample.alpha.astype(np.float32) - low) / (high - low)).astype(np.float32)
        share = resized(weight, size)
        colours = np.stack([resized(plane * weight, size) / np.maximum(share, 1e-3) for plane in colours])
        alpha = np.clip(np.rint(share * (high - low) + low), low, high).astype(sample.alpha.dtype)
    else:
        colours = np.stack([resized(plane, size) for plane in colours])
    return replace(replace(sample, alpha=None, further=None).with_array(colours), alpha=alpha)
