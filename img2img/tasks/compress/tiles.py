"""Pixels to latents and back, tile by tile, as if there were no tiles: each is computed with what surrounds it."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...images import Picture
from .model import Codec

MARGIN = 2  # latents around a tile that its pixels depend on, and strides of pixels that its latents depend on


class Box(NamedTuple):
    """Part of a picture, or of its latents: rows and columns from ... to before ..."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left


def latent_boxes(width: int, height: int, tile: int, stride: int) -> list[list[Box]]:
    """The tiles of a picture in latents, row by row; those at the right and at the bottom are what is left."""
    rows, columns = (
        [
            (begin, min(begin + tile // stride, -(-side // stride)))
            for begin in range(0, -(-side // stride), tile // stride)
        ]
        for side in (height, width)
    )
    return [[Box(*row, *column) for column in columns] for row in rows]


class Transforms:
    """A codec's g_a and g_s, applied to tiles of pictures.

    Args:
        codec: on its device.
        dtype: bf16 or float32, of the convolutions.
    """

    def __init__(self, codec: Codec, dtype: torch.dtype) -> None:
        self.codec, self.dtype = codec, dtype
        self.device = codec.log_step.device

    def analyse(self, picture: Picture, box: Box) -> Tensor:
        """y (M, h, w) float32 on the CPU, of a box of latents."""
        stride = self.codec.stride
        rows, columns = (
            _reflected(side, max(0, low - MARGIN) * stride, min(high + MARGIN, -(-side // stride)) * stride)
            for side, low, high in ((picture.height, box.top, box.bottom), (picture.width, box.left, box.right))
        )
        crop = torch.from_numpy(picture.samples[rows[:, None], columns].astype(np.float32))
        x = (crop / (2**picture.bits - 1)).permute(2, 0, 1)[None].to(self.device).expand(-1, 3, -1, -1)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            y = self.codec.analysis(x.contiguous(memory_format=torch.channels_last)).float().cpu()[0]
        top, left = min(MARGIN, box.top), min(MARGIN, box.left)
        return y[:, top : top + box.height, left : left + box.width]

    def synthesise(self, bands: Iterable[Tensor], columns: list[Box]) -> Iterator[list[Tensor]]:
        """Pixels of the tiles of each band, from bands of latents one below the other.

        Args:
            bands: y_hat (M, h, W / stride) of each row of tiles.
            columns: the tiles' boxes in the first row.

        Yields:
            x_hat (C, h * stride, w * stride) of each tile of a row, float32 on the CPU, not clamped.
        """
        above: Tensor | None = None
        waiting: Tensor | None = None
        for below in [*bands, None]:
            if waiting is not None:
                around = [above, waiting, None if below is None else below[:, :MARGIN]]
                plane = torch.cat([part for part in around if part is not None], 1)
                top = 0 if above is None else above.shape[1]
                yield [self._synthesise(plane, top, waiting.shape[1], box) for box in columns]
                above = waiting[:, -MARGIN:]
            waiting = below

    def _synthesise(self, plane: Tensor, top: int, height: int, box: Box) -> Tensor:
        stride, margin = self.codec.stride, min(MARGIN, box.left)
        part = plane[None, :, :, box.left - margin : box.right + MARGIN].to(self.device)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            x_hat = self.codec.synthesis(part.contiguous(memory_format=torch.channels_last)).float().cpu()[0]
        return x_hat[:, top * stride : (top + height) * stride, margin * stride : (margin + box.width) * stride]


def _reflected(side: int, begin: int, end: int) -> np.ndarray:
    """Positions begin ... end - 1 along a side; beyond its end it goes on reflected."""
    positions = np.pad(np.arange(side), (0, max(0, end - side)), mode="reflect" if side > 1 else "edge")
    return positions[begin:end]
