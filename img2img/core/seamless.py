"""A U-Net over an image larger than memory allows, without seams: the fine scales in tiles, the coarse ones whole.

Tiles that are computed alone differ in two ways from the whole: the statistics of instance norms, and what the coarse
scales see. Here neither does. The encoder runs tile by tile down to 1/16 of the size, where the features of the whole
image take less room than the image itself; from there the coarse scales are computed at once; and the decoder goes tile
by tile up again. A norm's statistics are first measured over all tiles, norm after norm. What is left is the few pixels
that fine convolutions miss at the border of a tile: it is computed with them, and they are cut off.

NumPy alone: the parts of the network (core.parts) are run by whoever runs networks.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .. import progress

COARSE = 3  # the scale at which the image is put together: 1/16 of the size
HALO = 4  # pixels of the coarse scale around a tile; the convolutions above it look no further, up and down together

Run = Callable[..., np.ndarray]


class Parts(Protocol):
    """A network in parts.

    Attributes:
        coarse: the scale at which the whole image is put together.
        stride: pixels of the image per pixel of the coarsest scale.
        down_norms: the scales before `coarse` whose features the encoder normalises by instance, from fine to coarse.
        up_norms: those whose features the decoder normalises, from coarse to fine.
    """

    coarse: int
    stride: int
    down_norms: tuple[int, ...]
    up_norms: tuple[int, ...]

    def part(self, name: str) -> Run:
        """`whole`, `down0` ... (to `coarse`), `middle`, `up0` ... (below `coarse`), `out`: as in core.parts."""
        ...


@dataclass(frozen=True)
class Tile:
    """A tile of an image: what is computed, and what is kept of it. In pixels of the image; the ends are exclusive."""

    top: int
    bottom: int
    left: int
    right: int
    kept: tuple[int, int, int, int]

    def of(self, x: np.ndarray, stride: int) -> np.ndarray:
        """What is computed, of a map that has one pixel for `stride` pixels of the image."""
        s = stride
        return np.ascontiguousarray(x[..., self.top // s : self.bottom // s, self.left // s : self.right // s])

    def trim(self, x: np.ndarray, stride: int) -> np.ndarray:
        """What is kept, of a map of this tile."""
        top, bottom, left, right = (side // stride for side in self.kept)
        return x[..., top - self.top // stride : bottom - self.top // stride, left - self.left // stride :][
            ..., : right - left
        ]

    def put(self, x: np.ndarray, into: np.ndarray, stride: int) -> None:
        """Write what is kept, of a map of this tile, into the map of the whole image."""
        top, bottom, left, right = (side // stride for side in self.kept)
        into[..., top:bottom, left:right] = self.trim(x, stride)


def tiles(height: int, width: int, side: int, halo: int) -> list[Tile]:
    """Tiles that are kept side x side, next to one another, and computed with `halo` pixels more all around."""
    return [
        Tile(
            max(0, top - halo),
            min(height, top + side + halo),
            max(0, left - halo),
            min(width, left + side + halo),
            (top, min(height, top + side), left, min(width, left + side)),
        )
        for top in range(0, height, side)
        for left in range(0, width, side)
    ]


def in_tiles(net: Parts, image: np.ndarray, tile: int, masks: Sequence[np.ndarray] = ()) -> np.ndarray:
    """What a network makes of an image, with the memory of a tile and of features at 1/16 of the size.

    Equals the whole at once up to float rounding. Each instance norm of the fine scales costs a pass over the tiles
    through part of the network, so that all takes about three times as long as the whole image at once.

    Args:
        net: a U-Net of strided scales without blocks.
        image: (1, C, H, W) float32, any H, W >= 1; an image of at most tile x tile is computed at once.
        tile: side of what is kept of a tile, in pixels; rounded down to a multiple of 32, at least 32.
        masks: what the features behind each dropout are multiplied by, the innermost first, for the size that H and W
            are padded to.

    Returns:
        (1, C', H, W) float32.
    """
    height, width = image.shape[-2:]
    if max(height, width) <= tile:
        return net.part("whole")(image, *masks)
    padded = reflected(image, net.stride)
    return _Pass(net, padded, max(32, tile // 32 * 32), masks).run()[..., :height, :width]


def reflected(image: np.ndarray, multiple: int) -> np.ndarray:
    """An image whose right and bottom are padded as core.padding does within networks."""
    bottom, right = (-side % multiple for side in image.shape[-2:])
    fits = bottom < image.shape[-2] and right < image.shape[-1]
    return np.pad(image, ((0, 0), (0, 0), (0, bottom), (0, right)), mode="reflect" if fits else "edge")


class _Pass:
    """One computation of `in_tiles`: the network, the padded image, its tiles, and the statistics measured so far."""

    def __init__(self, net: Parts, image: np.ndarray, side: int, masks: Sequence[np.ndarray]) -> None:
        self.net, self.image, self.masks = net, image, masks
        height, width = image.shape[-2:]
        self.tiles = tiles(height, width, side, HALO * self.stride(net.coarse))
        self.statistics: list[np.ndarray] = []

    @staticmethod
    def stride(scale: int) -> int:
        """Pixels of the image per pixel of a scale; -1 is the image's own."""
        return 2 ** (scale + 1)

    def run(self) -> np.ndarray:
        coarse = self.net.coarse
        for scale in self.net.down_norms:
            self.measure(f"down{scale}", scale)
        before = self.assemble(coarse, lambda tile: self.down(f"down{coarse}", tile))
        whole = self.net.part("middle")(before, *self.masks)
        for scale in self.net.up_norms:
            self.measure(f"up{scale}", scale, whole)
        return self.assemble(-1, lambda tile: self.up("out", tile, whole))

    def down(self, part: str, tile: Tile) -> np.ndarray:
        return self.net.part(part)(tile.of(self.image, 1), *self.statistics)

    def up(self, part: str, tile: Tile, whole: np.ndarray) -> np.ndarray:
        stride = self.stride(self.net.coarse)
        return self.net.part(part)(tile.of(whole, stride), tile.of(self.image, 1), *self.statistics)

    def measure(self, part: str, scale: int, whole: np.ndarray | None = None) -> None:
        """Measure what an instance norm is given over the whole image; every tile is normalised by that."""
        results = (self.down(part, tile) if whole is None else self.up(part, tile, whole) for tile in self.tiles)
        kept = (tile.trim(x, self.stride(scale)) for tile, x in zip(self.tiles, results, strict=True))
        self.statistics += [moment.astype(self.image.dtype) for moment in moments(kept)]

    def assemble(self, scale: int, of: Callable[[Tile], np.ndarray]) -> np.ndarray:
        """The map of the whole image at a scale, from that of each tile."""
        stride = self.stride(scale)
        whole: np.ndarray | None = None
        for number, tile in enumerate(self.tiles, 1):
            x = of(tile)
            if whole is None:
                whole = np.empty((1, x.shape[1], *(side // stride for side in self.image.shape[-2:])), x.dtype)
            tile.put(x, whole, stride)
            progress.report(number, len(self.tiles))
        assert whole is not None  # an image has at least one tile
        return whole


def moments(parts: Iterator[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each channel over the parts of a map, (1, C, h, w) each; returns (C,) twice, float64.

    References: Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances".
    """
    count = 0
    mean = scatter = np.zeros(())
    for part in parts:
        x = part[0].reshape(len(part[0]), -1)
        n = x.shape[1]
        own_mean = x.mean(1, dtype=np.float64)
        variance = np.square(x - own_mean[:, None]).mean(1)
        count += n
        step = own_mean - mean
        mean = mean + step * (n / count)
        scatter = scatter + n * variance + np.square(step) * (n * (count - n) / count)
    return mean, scatter / count
