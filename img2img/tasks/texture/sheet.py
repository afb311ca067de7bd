"""What a texture by patches is made of: the samples' pixels on one sheet, of which patches may be taken where they fit.

A texture is a map of places on the sheet, never of colours. So whatever else is known of the sample's pixels, normals
or transparency, can be looked up at the same places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PATCH = 8  # pixels; side of the patches that are compared
LEAST = PATCH + 4  # pixels; a smaller sample is mirrored at its borders until it has that many
OPAQUE = 0.99  # of a pixel of a coarser level has to be usable, that it may be used
BAND = 2**20  # pixels of a map that are enlarged at once
LEVELS = 127  # steps on either side of the mean that colours are rounded to for comparisons

Indices = NDArray[np.int32]


@dataclass(frozen=True)
class Part:
    """One look at a sample: upright, or turned, or in the mirror.

    Attributes:
        pixels: (H, W, C) float32.
        usable: (H, W).
        origin: (H, W), the number of each pixel among all pixels of all samples.
    """

    pixels: NDArray[np.float32]
    usable: NDArray[np.bool_]
    origin: Indices


def parts_of(
    samples: Sequence[NDArray[np.float32]],
    usable: Sequence[NDArray[np.bool_]],
    rotate: bool = False,
    mirror: bool = False,
) -> list[Part]:
    """The samples as they are, and as they may be looked at.

    Args:
        samples: each (H, W, C), any H, W >= 1.
        usable: for each, (H, W): which of its pixels may be used.
        rotate: also by quarters of a turn.
        mirror: also left to right.
    """
    parts, first = [], 0
    for sample, mask in zip(samples, usable, strict=True):
        origin = np.arange(first, first + mask.size, dtype=np.int32).reshape(mask.shape)
        first += mask.size
        whole = Part(sample, mask, origin)
        for turns in range(4 if rotate else 1):
            for flipped in (False, True) if mirror else (False,):
                parts.append(_seen(whole, turns, flipped))
    return parts


def _seen(part: Part, turns: int, flipped: bool) -> Part:
    def look(x: NDArray) -> NDArray:
        turned = np.rot90(x, turns)
        turned = turned[:, ::-1] if flipped else turned
        rows, columns = (_mirrored(side) for side in turned.shape[:2])
        return np.ascontiguousarray(turned[rows][:, columns])

    return Part(look(part.pixels), look(part.usable), look(part.origin))


def _mirrored(side: int) -> NDArray[np.int64]:
    """The rows of a side, mirrored at the ends until there are LEAST."""
    folded = np.arange(max(side, LEAST)) % (2 * side)
    return np.where(folded < side, folded, 2 * side - 1 - folded)


class Sheet:
    """Parts under one another, PATCH unusable pixels around each, at one level of a pyramid.

    A place on it is one number, row * width + column, and may be up to PATCH - 1 rows and columns before a part.

    Args:
        parts: of one number of channels.
        factor: by which they are made smaller; no side becomes less than LEAST.

    Attributes:
        shape: rows and columns of the sheet.
        tops: the row in which each part begins; the column is PATCH.
        sizes: rows and columns of each part.
        colours: (rows * columns, C) int8, what patches are compared by: the samples' colours less their mean in axes
            that are independent for most pictures, so scaled that none exceeds LEVELS.
        usable: (rows, columns).
    """

    def __init__(self, parts: Sequence[Part], factor: int = 1) -> None:
        small = [_smaller(part, factor) for part in parts]
        self.sizes = [mask.shape for _, mask in small]
        self.tops = PATCH + np.cumsum([0, *(height + PATCH for height, _ in self.sizes)])[:-1]
        self.shape = (int(self.tops[-1]) + self.sizes[-1][0] + PATCH, 2 * PATCH + max(w for _, w in self.sizes))
        self.usable = np.zeros(self.shape, bool)
        pixels = np.zeros((*self.shape, small[0][0].shape[2]), np.float32)
        for top, (colours, mask) in zip(self.tops, small, strict=True):
            place = slice(top, top + mask.shape[0]), slice(PATCH, PATCH + mask.shape[1])
            self.usable[place], pixels[place] = mask, colours
        self.colours = _compared(pixels.reshape(-1, pixels.shape[2]), self.usable.reshape(-1))

    @property
    def width(self) -> int:
        """Columns."""
        return self.shape[1]

    def fits(self, height: int, width: int) -> NDArray[np.bool_]:
        """(rows, columns): whether a patch of that size with this pixel as its first lies on usable pixels only."""
        sums = np.zeros((self.shape[0] + 1, self.shape[1] + 1), np.int32)
        np.cumsum(np.cumsum(~self.usable, 0, dtype=np.int32), 1, out=sums[1:, 1:])
        bad = np.ones(self.shape, bool)
        if height <= self.shape[0] and width <= self.shape[1]:
            missing = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
            bad[: missing.shape[0], : missing.shape[1]] = missing > 0
        return ~bad

    @cached_property
    def places(self) -> Indices:
        """Where patches of PATCH x PATCH fit, in rising order."""
        return np.flatnonzero(self.fits(PATCH, PATCH)).astype(np.int32)

    @cached_property
    def nearest(self) -> Indices:
        """For any place the number, in `places`, of the nearest one where a patch fits (rows plus columns away)."""
        rows, columns = self.shape
        number = np.zeros(rows * columns, np.int32)
        number[self.places] = np.arange(len(self.places), dtype=np.int32)
        number = number.reshape(self.shape)
        far = rows + columns
        fits = np.zeros(rows * columns, bool)
        fits[self.places] = True
        fits = fits.reshape(self.shape)
        column = np.arange(columns, dtype=np.int32)
        left = np.maximum.accumulate(np.where(fits, column, -far), 1)
        right = np.minimum.accumulate(np.where(fits, column, 2 * far)[:, ::-1], 1)[:, ::-1]
        at = np.where(column - left <= right - column, left, right)
        distance = np.abs(at - column)
        number = np.take_along_axis(number, at.clip(0, columns - 1), 1)
        for order in (range(1, rows), range(rows - 2, -1, -1)):
            for row in order:
                before = row - 1 if order.step > 0 else row + 1
                closer = distance[before] + 1 < distance[row]
                np.copyto(distance[row], distance[before] + 1, where=closer)
                np.copyto(number[row], number[before], where=closer)
        return number.reshape(-1)


def origins(parts: Sequence[Part], sheet: Sheet) -> Indices:
    """For each place on the sheet of factor 1 the number of its pixel among those of all samples, (rows * columns,)."""
    found = np.zeros(sheet.shape, np.int32)
    for top, part in zip(sheet.tops, parts, strict=True):
        found[top : top + part.origin.shape[0], PATCH : PATCH + part.origin.shape[1]] = part.origin
    return found.reshape(-1)


def placed(numbers: Indices, parts: Sequence[Part], sheet: Sheet) -> Indices:
    """Where pixels of the samples lie on a sheet, in the first part that shows them.

    Args:
        numbers: of pixels among those of all samples, any shape.
        parts: of these samples.
        sheet: of the parts, at any level.
    """
    found = np.zeros(1 + max(int(part.origin.max()) for part in parts), np.int32)
    for top, size, part in reversed(list(zip(sheet.tops, sheet.sizes, parts, strict=True))):
        height, width = part.origin.shape
        rows = top + np.arange(height) * size[0] // height
        columns = PATCH + np.arange(width) * size[1] // width
        # A sample that had to be mirrored holds its pixels several times: the first of them counts.
        found[part.origin[::-1, ::-1]] = (rows[:, None] * sheet.width + columns)[::-1, ::-1]
    return found[numbers]


def finer(places: Indices, coarse: Sheet, fine: Sheet, size: tuple[int, int]) -> Indices:
    """A map of places on a coarse sheet, enlarged to another size, as places on a finer sheet.

    Args:
        places: (h, w).
        coarse: which `places` lie on.
        fine: of the same parts.
        size: of the map that is wanted.
    """
    sides = [(np.arange(n) + 0.5) * (m / n) for n, m in zip(size, places.shape, strict=True)]
    (y, x), (down, right) = [side.astype(np.int64) for side in sides], [side - np.floor(side) for side in sides]
    was: NDArray[np.int64] = np.array(coarse.sizes)
    now: NDArray[np.int64] = np.array(fine.sizes)
    larger = np.empty(size, np.int32)
    height = max(1, BAND // size[1])
    for top in range(0, size[0], height):
        band = slice(top, top + height)
        row, column = np.divmod(places[y[band]][:, x], coarse.width)
        part = np.searchsorted(coarse.tops, row, "right") - 1
        row = ((row - coarse.tops[part] + down[band, None]) * (now / was)[part, 0]).astype(np.int32)
        column = ((column - PATCH + right) * (now / was)[part, 1]).astype(np.int32)
        row = np.minimum(row, now[part, 0] - 1) + fine.tops[part]
        larger[band] = row * fine.width + np.minimum(column, now[part, 1] - 1) + PATCH
    return larger


def _smaller(part: Part, factor: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The colours and the mask of a part, made smaller; what is not usable does not bleed into what is."""
    height, width = part.usable.shape
    size = max(LEAST, round(height / factor)), max(LEAST, round(width / factor))
    if size == (height, width):
        return part.pixels, part.usable
    planes = np.moveaxis(part.pixels, 2, 0)
    if part.usable.all():
        return np.stack([resized(plane, size) for plane in planes], 2), np.ones(size, bool)
    weight = resized(part.usable.astype(np.float32), size)
    shrunk = [resized(plane * part.usable, size) / np.maximum(weight, 1e-3) for plane in planes]
    return np.stack(shrunk, 2), weight >= OPAQUE


def resized(plane: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """One channel (H, W) at another size, by a cubic kernel wide enough not to alias."""
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(image.resize(size[::-1], Image.Resampling.BICUBIC))


# Sum, red against blue, green against both: orthonormal, and so near the principal axes of most pictures' colours.
OPPONENT = np.array([[1, 1, 1], [1, 0, -1], [-1, 2, -1]], np.float32) / np.sqrt(np.array([[3], [2], [6]], np.float32))


def _compared(pixels: NDArray[np.float32], usable: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Colours (N, C) as int8: so rounded, sums of products of patches are exact in float32, in whatever order."""
    if not usable.any():
        return np.zeros(pixels.shape, np.int8)
    kept = pixels[usable] if not usable.all() else pixels
    centred = pixels - kept.mean(0, dtype=np.float64).astype(np.float32)
    if pixels.shape[1] == 3:
        red, green, blue = centred.T
        centred = np.stack([axis[0] * red + axis[1] * green + axis[2] * blue for axis in OPPONENT], 1)
    centred[~usable] = 0
    largest = max(float(np.abs(centred).max()), 1 / 255)
    return np.rint(centred * np.float32(LEVELS / largest)).astype(np.int8)
