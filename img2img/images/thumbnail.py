"""The small JPEG within an EXIF block, made anew of the pixels that it stands for."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np

from .by_pillow import as_image
from .picture import Picture, in_sixteen_bits
from .samples import in_8_bits

_QUALITIES = (85, 70, 50, 30)


def thumbnail_of(picture: Picture) -> Callable[[bytes, int], bytes | None]:
    """What makes a thumbnail: from the old one and the most bytes to a new one of its size, or None if none fits."""

    def make(old: bytes, most: int) -> bytes | None:
        from PIL import Image
        from PIL.JpegImagePlugin import JpegImageFile

        try:
            side = max(JpegImageFile(BytesIO(old)).size)
        except Exception:  # whatever a damaged thumbnail makes Pillow raise
            return None
        small = _thinned(picture, 4 * side)
        image = as_image(small)
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        for quality in _QUALITIES:
            stream = BytesIO()
            image.save(stream, "JPEG", quality=quality)
            if stream.tell() <= most:
                return stream.getvalue()
        return None

    return make


def _thinned(picture: Picture, side: int) -> np.ndarray:
    """Every n-th pixel in 8 bits, so that a thumbnail of 24 megapixels costs little."""
    step = max(1, max(picture.width, picture.height) // max(1, side))
    about = picture if picture.scale is None else in_sixteen_bits(picture)
    return in_8_bits(np.ascontiguousarray(about.samples[::step, ::step]))
