"""What becomes of a texture's colours: kept as grown, matched with the sample's, or taken from its luminance."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.luma import LUMA
from .either import either
from .transport import transported

Array = NDArray[Any]

ROUNDS = 8


@either
def luminance(image: Array) -> Array:
    """The luminance (1, H, W) of an image (C, H, W); a grey one is its own."""
    if image.shape[0] == 1:
        return image
    return np.einsum("c,chw->hw", np.array(LUMA, image.dtype), image)[None]


@either
def coloured(grey: Array, sample: Array) -> Array:
    """A grey texture in the sample's colours: what its pixels of that luminance have on average.

    Colour is predicted from luminance by least squares over the sample's pixels, a straight line through its mean
    colour. The luminance of the result is exactly the texture's.

    Gatys 2016 keeps the colours of a content image. A texture has none: this is the line that its sample suggests.

    Args:
        grey: (1, H, W).
        sample: (C, h, w); a grey sample leaves the texture grey.

    Returns:
        (C, H, W).

    References: Gatys et al. 2016, arXiv:1606.05897 (luminance-only transfer).
    """
    if sample.shape[0] == 1:
        return grey
    y = luminance(sample).reshape(-1).astype(np.float64)
    colours = sample.reshape(len(sample), -1).astype(np.float64)
    mean_y, mean = y.mean(), colours.mean(1)
    spread = np.square(y - mean_y).mean()
    covariance = ((colours - mean[:, None]) * (y - mean_y)).mean(1)
    # One luminance says nothing of colours; a slope of 1 for each channel keeps the texture's luminance all the same.
    slope = covariance / spread if spread > 1e-10 else np.ones_like(mean)
    mean, slope = (part.astype(np.float32)[:, None, None] for part in (mean, slope))
    return np.asarray(mean + slope * (grey - np.float32(mean_y)))


@either
def match_colours(image: Array, sample: Array, seed: int = 0) -> Array:
    """An image whose colours are distributed as the sample's are.

    Along ROUNDS triples of axes of colour, red, green and blue last (`transported`). Grey is matched exactly.

    Args:
        image: (C, H, W).
        sample: (C, h, w).
        seed: of the axes.

    Returns:
        (C, H, W), values in the sample's range.
    """
    flat, wanted = (x.reshape(len(x), -1) for x in (image, sample))
    return transported(flat, wanted, ROUNDS, np.random.default_rng(seed)).reshape(image.shape)


@either
def palette(samples: Sequence[Array], shares: Sequence[float]) -> Array:
    """Pixels of all samples, as many of each as its share, at least one, as an image of one row (C, 1, N).

    Where there are more than wanted they are chosen by chance: every third one of stripes could be of one colour.
    """
    total = max(image[0].size for image in samples)
    chance = np.random.default_rng(0)
    parts = []
    for image, share in zip(samples, shares, strict=True):
        pixels = image.reshape(len(image), -1)
        there, count = pixels.shape[1], max(1, round(share * total)) if share else 0
        places = chance.permutation(there)[:count] if count < there else np.arange(count) * there // count
        parts.append(pixels[:, places])
    return np.concatenate(parts, 1)[:, None]
