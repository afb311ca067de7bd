"""Colours for a lightness, found at the size of things that the network knows, and laid under it at the full size.

A network that was trained on small photographs finds no face and no meadow in a large one: it sees too near. Chroma
needs few pixels, the eye sees little of its detail; so the network is shown the lightness at a few small sizes, as it
is and mirrored, and what it says is averaged, enlarged, and joined to the lightness of every pixel, which stays.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .coding import AB, BAND, into_gamut
from .hints import Hints, with_hints
from .sizes import Enlarged, resized

Map = NDArray[np.float32]

SIZES = (
    128,
    192,
    256,
)  # shorter sides that the network is shown; chosen on held-out training pictures
GRID = 256  # shorter side at which colours are put together
LONGEST = 2048  # longer side of these, for strips


def coloured(run: Callable[[Map], Map], source: Map, hints: Hints) -> Map:
    """A picture with colours.

    Args:
        run: the network, from lightness (1, 1, h, w) to a and b (1, 2, h, w), all in [-1, 1].
        source: lightness in [-1, 1], (1, 1, H, W).
        hints: what is known of the colours.

    Returns:
        (3, H, W) in [0, 1], of the very lightness.

    Raises:
        ImageError: hints that do not belong to a picture of that size.
    """
    height, width = source.shape[-2:]
    grid = smaller(height, width, min(GRID, height, width))
    ab = guessed(run, source, grid)
    if hints:
        ab = with_hints(ab, 50 * (resized(source[0, 0], grid) + 1), hints, height, width)
    large = Enlarged(ab, height, width)
    result = np.empty((3, height, width), np.float32)
    rows = max(1, BAND // width)
    for top in range(0, height, rows):
        lightness = 50 * (source[0, :, top : top + rows] + 1)
        lab = np.concatenate((lightness, large.rows(top, min(height, top + rows))))
        result[:, top : top + rows] = into_gamut(lab[None])[0]
    return result


def guessed(run: Callable[[Map], Map], source: Map, grid: tuple[int, int]) -> Map:
    """The mean of what a network says of a lightness at SIZES, as it is and mirrored: a and b of Lab, (2, *grid)."""
    height, width = source.shape[-2:]
    total = np.zeros((2, *grid), np.float32)
    for shorter in SIZES:
        small = resized(source[0, 0], smaller(height, width, shorter))[None, None]
        mirrored = run(np.ascontiguousarray(small[..., ::-1]))[..., ::-1]
        total += [resized(plane, grid) for plane in (run(small) + mirrored)[0]]
    return total * np.float32(AB / (2 * len(SIZES)))


def smaller(height: int, width: int, shorter: int) -> tuple[int, int]:
    """Height and width of the same proportions with so long a shorter side, and none longer than LONGEST."""
    factor = min(shorter / min(height, width), LONGEST / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))
