"""SSIMULACRA2: how alike two pictures look, as makers of codecs measure it."""

from __future__ import annotations

from io import BytesIO

import numpy as np

from img2img.metrics.psnr import Image, to_8bit

SMALLEST = 8
"""Pixels of the shorter side that it needs at least."""


def ssimulacra2(x: Image, y: Image, data_range: float = 1.0) -> float:
    """SSIMULACRA2 of two pictures, by the package of that name.

    100 for equal ones; about 90 where no difference is seen, 70 high quality, 50 medium, 30 low; below 0 there is none.

    Args:
        x: the original (C, H, W), C 1 or 3, H and W at least `SMALLEST`; rounded and clipped to 8 bits here.
        y: the other, of the same shape.
        data_range: the value of white, 1 by default, 255 for grey levels.

    Raises:
        ValueError: the shapes differ, are not those of one image, or a side is too short.
        ImportError: the package `ssimulacra2` is missing.

    References: Sneyers et al. 2023, github.com/cloudinary/ssimulacra2.
    """
    from ssimulacra2 import compute_ssimulacra2

    a, b = to_8bit(x, data_range), to_8bit(y, data_range)
    if a.shape != b.shape or a.ndim != 3 or a.shape[0] not in (1, 3) or min(a.shape[1:]) < SMALLEST:
        raise ValueError(f"SSIMULACRA2 needs two images of one shape (C, H, W), not {a.shape} and {b.shape}")
    return float(compute_ssimulacra2(_file(a), _file(b)))


def _file(levels: np.ndarray) -> BytesIO:
    from PIL import Image as Pillow

    stream = BytesIO()
    pixels = np.broadcast_to(np.asarray(levels), (3, *levels.shape[1:])).transpose(1, 2, 0)
    Pillow.fromarray(np.ascontiguousarray(pixels).astype(np.uint8)).save(stream, "PPM")
    stream.seek(0)
    return stream
