"""Blocks of a sample laid over one another on a torus, cut along the line where they differ least (image quilting)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .sheet import Indices, Sheet

OVERLAP = 4  # a block overlaps the one before by a quarter
TOLERANCE = 0.1  # by which a block may be worse than the best one, to be chosen by chance
WEAR = 0.05
NOTHING = -1  # a place of the canvas where nothing lies yet


def quilted(
    sheet: Sheet,
    size: tuple[int, int],
    block: int,
    chance: np.random.Generator,
    given: Indices | None = None,
    wear: float = WEAR,
) -> Indices:
    """A torus of places on a sheet, covered row by row with the blocks that fit best what lies there already.

    Of the blocks whose overlaps differ least, within TOLERANCE, one is taken by chance; used places are dearer, so that
    the whole sample is seen.

    Args:
        sheet: of the sample.
        size: rows and columns of the torus.
        block: side of the blocks; smaller if none of them fits the sheet or the torus.
        chance: chooses among blocks.
        given: (rows, columns), what lies there from the beginning and stays; NOTHING elsewhere.
        wear: what it costs to use a block once more, in the variance of the sample.

    Returns:
        (rows, columns), places.

    References: Efros & Freeman 2001, doi:10.1145/383259.383296.
    """
    block, fits = _largest(sheet, min(block, *size))
    overlap = min(max(3, block // OVERLAP), block // 2)
    rows, columns = (_starts(side, block - overlap) for side in size)
    canvas = np.full(size, NOTHING, np.int32) if given is None else given.copy()
    fixed = canvas != NOTHING
    matcher = _Matcher(sheet, fits, block, wear)
    shift = (np.arange(block)[:, None] * sheet.width + np.arange(block)).astype(np.int32)
    for a, top in enumerate(rows):
        for b, left in enumerate(columns):
            y, x = (top + np.arange(block)) % size[0], (left + np.arange(block)) % size[1]
            here = canvas[y[:, None], x]
            if (here != NOTHING).all():
                continue
            place = matcher.chosen(here, chance)
            new = place + shift
            keep = np.zeros(here.shape, bool)
            if (here != NOTHING).any():
                error = matcher.differences(here, new)
                # Widths of what lies there already on the four sides; only neighbours on the torus count.
                sides = (
                    _lap(rows, a, block, size[0]) if a else 0,
                    _lap(rows, a + 1, block, size[0]) if a == len(rows) - 1 and a else 0,
                    _lap(columns, b, block, size[1]) if b else 0,
                    _lap(columns, b + 1, block, size[1]) if b == len(columns) - 1 and b else 0,
                )
                keep = _kept(error, here != NOTHING, sides) | fixed[y[:, None], x]
            canvas[y[:, None], x] = np.where(keep, here, new)
    return canvas


def _largest(sheet: Sheet, block: int) -> tuple[int, NDArray[np.bool_]]:
    """The largest side, not above `block`, of which a block fits the sheet, and where."""
    while True:
        fits = sheet.fits(block, block)
        if fits.any() or block == 1:
            return block, fits
        block = max(1, block * 4 // 5)


def _starts(side: int, step: int) -> NDArray[np.int64]:
    """Where blocks begin on a circle, at most `step` apart."""
    count = -(-side // step)
    return np.arange(count) * side // count


def _lap(starts: NDArray[np.int64], number: int, block: int, side: int) -> int:
    """By how many pixels the block before `number` reaches over it; both on a circle."""
    before = int(starts[number - 1])
    here = int(starts[number]) if number < len(starts) else int(starts[0]) + side
    return max(0, before + block - here)


class _Matcher:
    """Finds the blocks of a sheet that fit what lies on the canvas."""

    def __init__(self, sheet: Sheet, fits: NDArray[np.bool_], block: int, wear: float) -> None:
        rows, columns = np.flatnonzero(fits.any(1)), np.flatnonzero(fits.any(0))
        self.top, self.left = int(rows[0]), int(columns[0])
        # From the first block's first pixel to the last one's last.
        area = slice(self.top, int(rows[-1]) + block), slice(self.left, int(columns[-1]) + block)
        self.width, self.block, self.wear = sheet.width, block, wear
        colours = sheet.colours.reshape(*sheet.shape, -1)[area].astype(np.float64)
        self.fits = fits[area][: len(colours) - block + 1, : colours.shape[1] - block + 1]
        self.values = sheet.colours.astype(np.int32)
        usable = sheet.usable[area]
        count = max(1, usable.sum())
        self.variance = float((colours**2).sum() / count - ((colours.sum((0, 1)) / count) ** 2).sum()) + 1e-9
        self.shape = tuple(_fast_length(side) for side in colours.shape[:2])
        self.spectra = [np.fft.rfft2(plane, self.shape) for plane in np.moveaxis(colours, 2, 0)]
        self.energy = np.fft.rfft2((colours**2).sum(2), self.shape)
        self.used: NDArray[np.float64] = np.zeros(colours.shape[:2])

    def chosen(self, here: Indices, chance: np.random.Generator) -> int:
        """The place of a block that fits a part of the canvas, (block, block)."""
        there = here != NOTHING
        costs = self._wear()
        if there.any():
            costs += self._misfit(here, there)
        else:
            costs += chance.random(costs.shape)
        costs[~self.fits] = np.inf
        good = np.flatnonzero(costs <= (1 + TOLERANCE) * costs.min() + 1e-9)
        row, column = divmod(int(good[chance.integers(len(good))]), costs.shape[1])
        self.used[row : row + self.block, column : column + self.block] += 1
        return (self.top + row) * self.width + self.left + column

    def _misfit(self, here: Indices, there: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Mean squared difference of every block from what lies there, in variances of the sample."""
        colours = np.where(there[..., None], self.values[np.where(there, here, 0)], 0)
        cross = self.energy * np.conj(np.fft.rfft2(there.astype(float), self.shape))
        for spectrum, plane in zip(self.spectra, np.moveaxis(colours, 2, 0), strict=True):
            cross -= 2 * spectrum * np.conj(np.fft.rfft2(plane, self.shape))
        found = np.fft.irfft2(cross, self.shape)[: self.fits.shape[0], : self.fits.shape[1]]
        return np.maximum(found + (colours**2).sum(), 0) / (there.sum() * self.variance)

    def _wear(self) -> NDArray[np.float64]:
        """How often the pixels of every block have been used, on average, and what that costs."""
        sums = np.zeros((self.used.shape[0] + 1, self.used.shape[1] + 1))
        np.cumsum(np.cumsum(self.used, 0), 1, out=sums[1:, 1:])
        b = self.block
        return (sums[b:, b:] - sums[:-b, b:] - sums[b:, :-b] + sums[:-b, :-b]) * (self.wear / b**2)

    def differences(self, here: Indices, new: Indices) -> NDArray[np.int64]:
        """Squared difference of two parts of the canvas, pixel by pixel."""
        return ((self.values[np.maximum(here, 0)] - self.values[new]) ** 2).sum(2)


def _fast_length(n: int) -> int:
    """The next length without prime factors above 5."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


def _kept(error: NDArray[np.int64], there: NDArray[np.bool_], sides: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """What stays of the old pixels: beyond the cuts through the overlaps at the top, bottom, left and right."""
    keep = np.zeros(error.shape, bool)
    above, below, before, after = sides
    if before:
        keep[:, :before] |= cut(error[:, :before])
    if above:
        keep[:above] |= cut(error[:above].T).T
    if after:
        keep[:, -after:] |= cut(error[:, -after:][:, ::-1])[:, ::-1]
    if below:
        keep[-below:] |= cut(error[-below:].T[:, ::-1])[:, ::-1].T
    return keep & there


def cut(error: NDArray[np.int64]) -> NDArray[np.bool_]:
    """What lies left of the path of least error from the first row to the last, (rows, columns) as `error`.

    Example:
        >>> cut(np.array([[5, 0, 5], [5, 5, 0], [5, 0, 5]])).astype(int).tolist()
        [[1, 0, 0], [1, 1, 0], [1, 0, 0]]
    """
    rows, columns = error.shape
    costs = np.full((rows, columns + 2), np.iinfo(np.int64).max // 2)
    costs[:, 1:-1] = error
    for row in range(1, rows):
        before = costs[row - 1]
        costs[row, 1:-1] += np.minimum(np.minimum(before[:-2], before[1:-1]), before[2:])
    kept = np.zeros((rows, columns), bool)
    at = int(costs[-1].argmin())
    kept[-1, : at - 1] = True
    for row in range(rows - 2, -1, -1):
        at += int(costs[row, at - 1 : at + 2].argmin()) - 1
        kept[row, : at - 1] = True
    return kept
