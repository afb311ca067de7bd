"""Textures by patches, without a network: quilted where it is coarse, then patches' nearest neighbours, coarse to fine.

Every pixel is known by its place in the sample, at every level: colours are compared, never averaged. On the second
coarsest level of a pyramid blocks of the sample are laid over one another (quilting.py). From there on, on each level,
patches all over the canvas are replaced by their nearest ones of the sample (neighbours.py), and each pixel takes its
place from one of the patches that cover it, the one whose colour is nearest to the mean of all.

References: Efros & Freeman 2001, doi:10.1145/383259.383296 (quilting); Kwatra et al. 2005, doi:10.1145/1073204.1073263
    (patches' neighbours in turns with votes); Lefebvre & Hoppe 2005, doi:10.1145/1073204.1073261 (places instead of
    colours); Granot et al. 2022, arXiv:2103.15545 (all of the sample used).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ....runtime import threads
from ..neighbours import FEATURES, TABLE, Patches
from ..quilting import NOTHING, quilted
from ..sheet import PATCH, Indices, Part, Sheet, finer, origins, placed

STRIDE = PATCH // 2  # pixels between patches: every pixel lies in four
COARSEST = 32  # pixels; no level's sample is smaller, but for small samples
BAND = 2**14  # patches that are looked for at once; so many too have one random generator
ALL = 4400  # patches of a sheet, up to which all are compared
ALL_GIVEN = 0.999  # of a coarse pixel, rounding allowed for
PER_PIXEL, PER_SAMPLE = 16, 24  # bytes for each pixel of a texture, and for each value of its samples
LIKELY = 2  # every second pixel of a patch proposes where it could come from

Size = tuple[int, int]


@dataclass(frozen=True)
class Settings:
    """Numbers that decide how a texture comes out.

    Attributes:
        block: side of the quilted blocks, as a share of the sample's shorter side.
        rounds: on each level, from the second coarsest on; the last one counts for all further.
        alpha: see `Patches.among_all`.
        search: rounds of random search.
    """

    block: float = 0.3
    rounds: tuple[int, ...] = (6, 4, 3, 2, 2)
    alpha: float = 0.01
    search: int = 6


DEFAULT = Settings()


def synthesised(
    parts: Sequence[Part],
    size: Size,
    seed: int = 0,
    settings: Settings = DEFAULT,
    given: Indices | None = None,
) -> Indices:
    """A torus of pixels of the samples.

    Args:
        parts: what may be used of the samples; see `parts_of`.
        size: height and width.
        seed: the same gives the same texture.
        settings: see there.
        given: (height, width), pixels that stay as they are, by their numbers; NOTHING elsewhere.

    Returns:
        (height, width): the number of each pixel among those of all samples.

    Raises:
        ValueError: no patch of the samples is usable as a whole.
    """
    count = levels_of(parts)
    canvas: Indices | None = None
    sheet: Sheet | None = None
    for level in range(min(1, count - 1), count):
        factor = 2 ** (count - 1 - level)
        coarse, sheet = sheet, Sheet(parts, factor)
        if not len(sheet.places):
            continue  # what may be used is cut up too finely for this level
        smaller = size if factor == 1 else (-(-size[0] // factor), -(-size[1] // factor))
        fixed = None if given is None else _fixed(given, smaller, parts, sheet)
        if canvas is None or coarse is None:
            block = max(PATCH, round(settings.block * min(min(shape) for shape in sheet.sizes)))
            canvas = quilted(sheet, smaller, block, np.random.default_rng((seed, level)), fixed)
        else:
            canvas = finer(canvas, coarse, sheet, smaller)
        patches = Patches(sheet)
        for turn in range(settings.rounds[min(max(0, level - 1), len(settings.rounds) - 1)]):
            if fixed is not None:
                np.copyto(canvas, fixed, where=fixed != NOTHING)
            canvas = _round(canvas, patches, settings, (seed, level, turn))
    if canvas is None or sheet is None:
        raise ValueError(f"no {PATCH}x{PATCH} pixels of the sample may be used together")
    found = origins(parts, sheet)[canvas]
    return found if given is None else np.where(given == NOTHING, found, given)


def bytes_needed(size: Size, pixels: int, channels: int) -> int:
    """About how much memory a texture of a size takes, made of samples of so many pixels: measured, rounded up."""
    keys = 4 * FEATURES * pixels if pixels <= TABLE else 0
    return size[0] * size[1] * (PER_PIXEL + channels) + pixels * PER_SAMPLE * channels + keys


def levels_of(parts: Sequence[Part]) -> int:
    """How many levels the pyramid of some parts has; of each twice as many pixels a side as of the one before."""
    short = min(min(part.usable.shape) for part in parts)
    return max(1, round(math.log2(max(1, short / COARSEST))) + 1)


def _fixed(given: Indices, size: Size, parts: Sequence[Part], sheet: Sheet) -> Indices:
    """What is given, on a smaller canvas: places on its sheet where all pixels are given that a pixel stands for."""
    there = (given != NOTHING).astype(np.float32)
    if given.shape != size:
        there = np.asarray(Image.fromarray(there).resize(size[::-1], Image.Resampling.BOX))
        y, x = ((2 * np.arange(n) + 1) * m // (2 * n) for n, m in zip(size, given.shape, strict=True))
        given = given[y][:, x]
    places = placed(np.maximum(given, 0), parts, sheet)
    return np.where((there > ALL_GIVEN) & (given != NOTHING), places, NOTHING).astype(np.int32)


@dataclass(frozen=True)
class _Axis:
    """How patches lie along one side of a torus: at most STRIDE apart, so that two of them cover each pixel.

    Attributes:
        side: pixels.
        starts: the first pixel of each patch.
        first: for each pixel the number of the last patch that begins at it or before.
    """

    side: int
    starts: NDArray[np.int64]
    first: NDArray[np.int64]

    @classmethod
    def shifted(cls, side: int, by: int) -> _Axis:
        starts = np.arange(by % STRIDE, side, STRIDE) if side > STRIDE else np.zeros(1, np.int64)
        if starts[0] + side - starts[-1] > STRIDE:
            starts = np.append(starts, side - 1) if starts[-1] < side - 1 else starts
        return cls(side, starts, np.searchsorted(starts, np.arange(side), "right") - 1)

    def pixels(self, patches: slice) -> NDArray[np.int64]:
        """The pixels of some patches, (n, PATCH)."""
        return (self.starts[patches, None] + np.arange(PATCH)) % self.side

    def covering(self, back: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each pixel a patch that covers it, the last one or `back` before that, and its place within."""
        number = (self.first - back) % len(self.starts)
        return number, (np.arange(self.side) - self.starts[number]) % self.side


def _round(canvas: Indices, patches: Patches, settings: Settings, seed: tuple[int, ...]) -> Indices:
    """Every patch replaced by its nearest neighbour, and every pixel by a vote."""
    down, right = np.random.default_rng(seed).integers(STRIDE, size=2).tolist()
    rows, columns = _Axis.shifted(canvas.shape[0], down), _Axis.shifted(canvas.shape[1], right)
    per_band = max(1, BAND // len(columns.starts))
    bands = [slice(i, min(i + per_band, len(rows.starts))) for i in range(0, len(rows.starts), per_band)]
    places = np.empty((len(rows.starts), len(columns.starts)), np.int32)
    if len(patches) <= ALL:
        windows = _windows(canvas, rows, columns, slice(0, len(rows.starts)))
        found = patches.among_all(patches.of(windows), settings.alpha)
        places[:] = patches.sheet.places[found].reshape(places.shape)
    else:

        def search(number: int) -> None:
            chance = np.random.default_rng((*seed, number))
            windows = _windows(canvas, rows, columns, bands[number])
            places[bands[number]] = _improved(windows, patches, settings, chance).reshape(-1, len(columns.starts))

        _each(search, range(len(bands)))
    voted = np.empty_like(canvas)
    height = max(1, BAND * STRIDE**2 // canvas.shape[1])

    def vote(top: int) -> None:
        voted[top : top + height] = _voted(places, patches.sheet, rows, columns, slice(top, top + height))

    _each(vote, range(0, canvas.shape[0], height))
    return voted


def _each(work: Callable[[int], None], numbers: Sequence[int]) -> None:
    """Do what does not depend on one another, on all processors."""
    if len(numbers) < 2:
        for number in numbers:
            work(number)
        return
    with ThreadPoolExecutor(min(len(numbers), threads())) as pool:
        for _ in pool.map(work, numbers):
            pass


def _windows(canvas: Indices, rows: _Axis, columns: _Axis, band: slice) -> Indices:
    """The places of the pixels of patches, (n, PATCH^2)."""
    y, x = rows.pixels(band), columns.pixels(slice(None))
    strips = canvas.take(y.reshape(-1), 0).reshape(len(y), PATCH, -1)
    windows = strips.take(x.reshape(-1), 2).reshape(len(y), PATCH, len(x), PATCH)
    return windows.transpose(0, 2, 1, 3).reshape(-1, PATCH**2)


def _improved(windows: Indices, patches: Patches, settings: Settings, chance: np.random.Generator) -> Indices:
    """Where the patches' neighbours lie; one that lies together in the sample is its own."""
    sheet = patches.sheet
    sources = windows - patches.offsets  # where the patch would begin of which this pixel is
    found = sources[:, 0].copy()
    torn = np.flatnonzero((sources != sources[:, :1]).any(1))
    if len(torn):
        proposing = np.arange(PATCH**2).reshape(PATCH, PATCH)[::LIKELY, ::LIKELY].reshape(-1)
        candidates = sheet.nearest[sources[torn][:, proposing]]
        best, _ = patches.among_likely(patches.of(windows[torn]), candidates, settings.search, chance)
        found[torn] = sheet.places[best]
    return found


def _voted(places: Indices, sheet: Sheet, rows: _Axis, columns: _Axis, band: slice) -> Indices:
    """The place of each pixel of some rows: of the patches that cover it the one nearest in colour to their mean."""
    options = []
    for down in range(2):
        patch, y = (part[band] for part in rows.covering(down))
        strips = places.take(patch, 0) + (y * sheet.width)[:, None]
        for right in range(2):
            patch, x = columns.covering(right)
            options.append((strips.take(patch, 1) + x).astype(np.int32))
    proposed = np.stack(options, -1)
    voted = proposed[..., 0].copy()
    open_ = (proposed != proposed[..., :1]).any(-1)
    some = proposed[open_]
    colours = sheet.colours[some].astype(np.int32)
    apart = ((4 * colours - colours.sum(1, keepdims=True)) ** 2).sum(2)
    voted[open_] = np.take_along_axis(some, apart.argmin(1)[:, None], 1)[:, 0]
    return voted
