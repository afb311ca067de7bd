"""Pixels from Pillow and to it.

The decoders' classes are called directly, not through PIL.Image.open: its limit on pixels is global to the process, and
it would try formats outside the allow-list.
"""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

BAND_PIXELS = 2**20


def pixels_of(image: Image.Image, convert: Callable[[Image.Image], Image.Image] | None) -> np.ndarray:
    """A Pillow image of 8 bits as (H, W, N), in bands: numpy's way from Pillow holds all pixels three times."""
    channels = 3 if convert else len(image.getbands())
    pixels = np.empty((image.height, image.width, channels), np.uint8)
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        pixels[top : top + rows] = np.asarray(convert(band) if convert else band).reshape(-1, image.width, channels)
    return pixels


def save(pixels: np.ndarray, codec: str, icc: bytes | None, options: dict[str, Any]) -> bytes:
    """(H, W, 1 to 4) uint8 samples in a format of Pillow's; `options` are its encoder's."""
    stream = BytesIO()
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.save(stream, codec, icc_profile=icc, **options)
    return stream.getvalue()
