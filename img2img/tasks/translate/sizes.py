"""Maps of numbers at another size: smaller by Pillow, larger row by row, so that 24 megapixels need no room twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]


def resized(plane: Map, size: tuple[int, int], averaging: bool = False) -> Map:
    """One channel (H, W) at another size (height, width), antialiased.

    Args:
        plane: of any size.
        size: wanted.
        averaging: the mean of what a pixel covers, which is never beyond the values that were there; else bicubic.
    """
    from PIL import Image

    how = Image.Resampling.BOX if averaging else Image.Resampling.BICUBIC
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.array(image.resize(size[::-1], how))  # Pillow's own cannot be written to


class Enlarged:
    """Maps (N, h, w) enlarged to height x width by a bicubic kernel (Keys 1981, a = -1/2), some rows at a time.

    Args:
        maps: small ones.
        height: wanted, at least h.
        width: wanted, at least w.

    Example:
        >>> Enlarged(np.ones((2, 3, 4), np.float32), 30, 40).rows(10, 15).shape
        (2, 5, 40)
    """

    def __init__(self, maps: Map, height: int, width: int) -> None:
        places, weights = _taps(maps.shape[2], width)
        self.wide = _gathered(maps, places, weights)
        self.places, self.weights = _taps(maps.shape[1], height)

    def rows(self, top: int, bottom: int) -> Map:
        """Rows from top to before bottom, (N, bottom - top, width)."""
        places, weights = self.places[:, top:bottom], self.weights[:, top:bottom, None]
        result = weights[0] * self.wide[:, places[0]]
        for place, weight in zip(places[1:], weights[1:], strict=True):
            result += weight * self.wide[:, place]
        return result


def _gathered(maps: Map, places: NDArray[np.intp], weights: Map) -> Map:
    return np.sum([weight * maps[:, :, place] for place, weight in zip(places, weights, strict=True)], 0)


def _taps(before: int, after: int) -> tuple[NDArray[np.intp], Map]:
    """Of each of `after` pixels in a row the four of `before` that it is made of, (4, after), and their weights."""
    middle = (np.arange(after) + 0.5) * before / after - 0.5
    first = np.floor(middle).astype(np.intp) - 1
    places = first + np.arange(4)[:, None]
    far = np.abs(middle - places)
    near = 1.5 * far**3 - 2.5 * far**2 + 1
    weights = np.where(far <= 1, near, -0.5 * far**3 + 2.5 * far**2 - 4 * far + 2)
    return places.clip(0, before - 1), weights.astype(np.float32)
