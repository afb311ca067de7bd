"""AVIF, by Pillow (libavif)."""

from io import BytesIO
from typing import Any

import numpy as np

from . import exif as exif_block
from .by_pillow import pixels_of, save
from .container import Decoded, check_size, fitting_profile
from .picture import Picture
from .samples import in_8_bits, with_alpha


def decode(data: bytes, max_pixels: int) -> Decoded:
    """What a AVIF file holds; one with more pixels than `max_pixels` is an ImageError before they are decoded."""
    from PIL.AvifImagePlugin import AvifImageFile

    image = AvifImageFile(BytesIO(data))
    check_size(*image.size, max_pixels)
    return Decoded(pixels_of(image, None), image.info.get("exif"), image.info.get("icc_profile"))


def encode(picture: Picture, quality: int) -> bytes:
    """A AVIF file; the quality is 1 to 100."""
    from PIL import AvifImagePlugin  # noqa: F401 - registers the encoder

    grey = picture.channels == 1 and picture.alpha is None  # Pillow has no AVIF of grey and alpha
    samples = picture.samples if grey or picture.channels == 3 else np.repeat(picture.samples, 3, axis=2)
    options: dict[str, Any] = {"quality": quality, "subsampling": "4:0:0" if grey else "4:4:4"}
    if picture.exif:
        # AVIF turns pictures by its own means; given the field, Pillow would rewrite the whole block without it.
        options["exif"] = exif_block.without_orientation(picture.exif)
    pixels = in_8_bits(with_alpha(samples, picture.alpha))
    return save(pixels, "AVIF", fitting_profile(picture.icc, samples.shape[2]), options)
