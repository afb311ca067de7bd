"""A picture in, a texture of its own pixels out: the method of methods/patches.py on pictures. Imports no torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...errors import ImageError
from ...images import Picture
from .methods.patches import DEFAULT, Settings, synthesised
from .sheet import Indices, parts_of

Size = tuple[int, int]


def usable_pixels(sample: Picture) -> NDArray[np.bool_]:
    """(H, W): where a sample is more opaque than transparent.

    Raises:
        ImageError: nowhere.
    """
    if sample.alpha is None:
        return np.ones(sample.samples.shape[:2], bool)
    usable = sample.alpha > np.iinfo(sample.alpha.dtype).max // 2
    if not usable.any():
        raise ImageError("all of it is transparent: there is nothing to make a texture of")
    return np.asarray(usable)


def grown(sample: Picture, size: Size, seed: int = 0, settings: Settings = DEFAULT) -> Indices:
    """A texture of a sample as the number of each pixel in the sample, (height, width); it wraps around.

    Args:
        sample: of any size; of its pixels the transparent ones are not used.
        size: height and width of the texture.
        seed: the same gives the same texture, on any number of threads.
        settings: of the method.

    Raises:
        ValueError: a size below 1x1.
        ImageError: too little of the sample may be used.
    """
    if min(size) < 1:
        raise ValueError(f"a texture has at least 1x1 pixels, not {size[1]}x{size[0]}")
    colours = sample.samples.astype(np.float32)
    try:
        return synthesised(parts_of([colours], [usable_pixels(sample)]), size, seed, settings)
    except ValueError as error:
        raise ImageError(str(error)) from error


def looked_up(picture: Picture, pixels: Indices) -> Picture:
    """A picture of pixels of another one, exactly as they are there; EXIF is left out.

    Args:
        picture: of which the colours, alpha if it has any, and the profile are taken.
        pixels: (H, W), numbers of its pixels.
    """
    samples = picture.samples.reshape(-1, picture.channels).take(pixels, 0)
    alpha = None if picture.alpha is None else picture.alpha.reshape(-1).take(pixels)
    return replace(picture, samples=samples, alpha=alpha, exif=None, further=None)
