"""Pixels to latents and back, tile by tile, as if there were no tiles: each is computed with what surrounds it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from ...core.box import Box
from ...images import Picture
from .bitstream import TILE_UNIT
from .look import REACH, Look, large_parts
from .model_file import LoadedCodec

MARGIN = 2  # latents around a tile that its pixels depend on, and strides of pixels that its latents depend on


def tile_shape(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height of a picture's tiles: squares of this side, or in a strip what has as many pixels as one."""
    whole = -(-width // TILE_UNIT) * TILE_UNIT, -(-height // TILE_UNIT) * TILE_UNIT
    w, h = min(whole[0], side), min(whole[1], side)
    if h < side:
        w = min(whole[0], side * side // h // TILE_UNIT * TILE_UNIT)
    elif w < side:
        h = min(whole[1], side * side // w // TILE_UNIT * TILE_UNIT)
    return w, h


def latent_boxes(width: int, height: int, tile: tuple[int, int], stride: int) -> list[list[Box]]:
    """The tiles of a picture in latents, row by row; those at the right and at the bottom are what is left.

    Args:
        width: of the picture in pixels.
        height: likewise.
        tile: width and height in pixels.
        stride: pixels of a latent.
    """
    columns, rows = (
        [
            (begin, min(begin + step // stride, -(-side // stride)))
            for begin in range(0, -(-side // stride), step // stride)
        ]
        for side, step in ((width, tile[0]), (height, tile[1]))
    )
    return [[Box(*row, *column) for column in columns] for row in rows]


def needed(boxes: list[list[Box]], area: Box, margin: int = MARGIN) -> list[list[Box]]:
    """The tiles that pixels of an area, in latents, depend on, if they depend on so many latents around them."""
    wide = area.widened(margin)
    rows = ([box for box in row if box.common(wide)] for row in boxes)
    return [row for row in rows if row]


def surrounded(box: Box, margin: int, width: int, height: int, stride: int) -> Box:
    """A box of a picture's latents with so many around it, as far as the picture of width x height pixels reaches."""
    return box.widened(margin).common(Box(0, -(-height // stride), 0, -(-width // stride))) or box


def within(box: Box, wide: Box) -> Box:
    """Where a box lies in one around it."""
    return Box(box.top - wide.top, box.bottom - wide.top, box.left - wide.left, box.right - wide.left)


def analyse(codec: LoadedCodec, picture: Picture, box: Box) -> np.ndarray:
    """y (M, h, w) float32, of a box of a picture's latents: g_a, with what surrounds it."""
    wide = surrounded(box, MARGIN, picture.width, picture.height, codec.stride)
    y: np.ndarray = codec.analysis(pixels_of(picture, wide, codec.stride)[None])[0]
    return within(box, wide).of(y)


class Synthesis:
    """A codec's g_s and what is added behind it, applied to tiles of pictures.

    Args:
        codec: whose synthesis.
        look: what is added to what g_s makes, if anything is.

    Attributes:
        margin: latents around a tile that its pixels depend on.
    """

    def __init__(self, codec: LoadedCodec, look: Look | None = None) -> None:
        self.codec, self.look = codec, look
        self.margin = MARGIN if look is None else MARGIN + REACH

    def __call__(
        self, bands: Iterable[np.ndarray], boxes: list[list[Box]], area: Box, reduce: int = 1
    ) -> Iterator[tuple[Box, np.ndarray]]:
        """Pixels of an area, tile by tile, from bands of latents one below the other.

        Args:
            bands: y_hat (M, h, w) of each row of tiles.
            boxes: these tiles, all that `needed` names.
            area: in latents.
            reduce: 1, or a divisor of the stride by which the picture is made smaller: means of squares of pixels.

        Yields:
            the part of a tile (with a look of one of `large_parts`) that lies in the area, and its x_hat
            (C, h * stride / reduce, w * stride / reduce), float32, not clamped.
        """
        above: np.ndarray | None = None
        waiting: np.ndarray | None = None
        if self.look is not None:
            boxes, bands = large_parts(boxes, bands)
        rows = iter(boxes)
        for below in chain(bands, [None]):
            if waiting is not None:
                row = next(rows)
                around = [above, waiting, None if below is None else below[:, : self.margin]]
                plane = np.concatenate([part for part in around if part is not None], 1)
                top = row[0].top - (0 if above is None else above.shape[1])
                for box in row:
                    if part := box.common(area):
                        yield part, self._synthesise(plane, top, row[0].left, part, reduce)
                above = waiting[:, -self.margin :]
            waiting = below

    def _synthesise(self, plane: np.ndarray, top: int, left: int, box: Box, reduce: int) -> np.ndarray:
        """Of a box, from a plane of latents that begins at row `top` and column `left` of the picture's."""
        size = self.codec.stride // reduce
        wide = box.widened(self.margin).common(Box(top, top + plane.shape[1], left, left + plane.shape[2]))
        assert wide is not None
        part = plane[None, :, wide.top - top : wide.bottom - top, wide.left - left : wide.right - left]
        x_hat: np.ndarray = self.codec.synthesis(np.ascontiguousarray(part))[0]
        if self.look is not None:
            x_hat = self.look(x_hat, wide.top * size, wide.left * size)
        if reduce > 1:
            channels, height, width = x_hat.shape
            x_hat = x_hat.reshape(channels, height // reduce, reduce, width // reduce, reduce).mean((2, 4))
        rows = slice((box.top - wide.top) * size, (box.bottom - wide.top) * size)
        return x_hat[:, rows, (box.left - wide.left) * size : (box.right - wide.left) * size]


def pixels_of(picture: Picture, box: Box, stride: int) -> np.ndarray:
    """What a box of latents is of: (3, h * stride, w * stride), in [0, 1]; beyond its end a picture is reflected."""
    rows, columns = (
        _reflected(side, low * stride, high * stride)
        for side, low, high in ((picture.height, box.top, box.bottom), (picture.width, box.left, box.right))
    )
    crop = picture.samples[rows[:, None], columns].astype(np.float32) / np.float32(2**picture.bits - 1)
    return np.ascontiguousarray(np.broadcast_to(crop.transpose(2, 0, 1), (3, *crop.shape[:2])))


def _reflected(side: int, begin: int, end: int) -> np.ndarray:
    """Positions begin ... end - 1 along a side; beyond its end it goes on reflected."""
    positions = np.pad(np.arange(side), (0, max(0, end - side)), mode="reflect" if side > 1 else "edge")
    return positions[begin:end]
