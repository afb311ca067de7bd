"""One picture as its file has it: integer samples, alpha, and what the file says of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ImageError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Picture:
    """An image as it is in its file: integers, so that 24 megapixels cost 72 MB until they are computed on.

    Args:
        samples: (H, W, 1) grey or (H, W, 3) RGB, uint8 or uint16, upright.
        alpha: (H, W) of the same type, 0 is transparent, or None; colours are not multiplied by it.
        exif: EXIF block without JPEG's marker, its orientation 1 if it has one.
        icc: ICC profile.
        format: what the file was: `png`, `jpg`, `webp`, `avif` or `tiff`.

    Raises:
        ValueError: the arrays are not of these shapes and types.
    """

    samples: np.ndarray
    alpha: np.ndarray | None = None
    exif: bytes | None = None
    icc: bytes | None = None
    format: str = "png"

    def __post_init__(self) -> None:
        samples, alpha = self.samples, self.alpha
        if samples.ndim != 3 or samples.shape[2] not in (1, 3) or not samples.size:
            raise ValueError(f"samples must be (H, W, 1 or 3), not {samples.shape}")
        if samples.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"samples must be uint8 or uint16, not {samples.dtype}")
        if alpha is not None and (alpha.shape != samples.shape[:2] or alpha.dtype != samples.dtype):
            raise ValueError(f"alpha must be {samples.dtype} {samples.shape[:2]}, not {alpha.dtype} {alpha.shape}")

    @property
    def bits(self) -> int:
        """Bits per sample, 8 or 16."""
        return int(self.samples.dtype.itemsize) * 8

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return int(self.samples.shape[1])

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return int(self.samples.shape[0])

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB; alpha is not counted."""
        return int(self.samples.shape[2])

    def to_array(self) -> np.ndarray:
        """The samples as float32 (C, H, W) in [0, 1]."""
        scaled = np.empty((self.channels, self.height, self.width), np.float32)
        for channel, plane in enumerate(scaled):
            np.divide(self.samples[..., channel], 2**self.bits - 1, out=plane, dtype=np.float32)
        return scaled

    def with_array(self, image: np.ndarray) -> Picture:
        """The same picture with new pixels, clipped to [0, 1] and rounded to this picture's bits.

        Alpha is dropped if the size differs, the ICC profile if grey became colour or the reverse.

        Args:
            image: (C, H, W), C 1 or 3, floating point.

        Raises:
            ValueError: the image has another shape.
            ImageError: the image holds values that are not numbers.
        """
        if image.ndim != 3 or image.shape[0] not in (1, 3):
            raise ValueError(f"image must be (1 or 3, H, W), not {image.shape}")
        channels, height, width = image.shape
        samples = np.empty((height, width, channels), self.samples.dtype)
        for channel, plane in enumerate(image):  # one plane at a time: floats take four times the room
            if np.isnan(plane).any():
                raise ImageError("the result holds values that are not numbers (NaN)")
            values = np.clip(plane, 0, 1, dtype=np.float32)
            values *= 2**self.bits - 1
            samples[..., channel] = np.rint(values, out=values)
        alpha = self.alpha if samples.shape[:2] == self.samples.shape[:2] else None
        icc = self.icc if channels == self.channels else None
        return replace(self, samples=samples, alpha=alpha, icc=icc)

    def to_tensor(self) -> Tensor:
        """`to_array` as a tensor."""
        import torch

        return torch.from_numpy(self.to_array())

    def with_tensor(self, image: Tensor) -> Picture:
        """`with_array` of a tensor on any device."""
        return self.with_array(image.detach().cpu().float().numpy())
