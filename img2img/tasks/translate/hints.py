"""What a user knows of a picture's colours, points or strokes, spread over it together with the network's guess.

The hints correct the guess. The correction is what differs least between neighbours of like lightness and like guessed
colour, is as the hints say where they are, and goes to nothing far from them: a least-squares problem with a sparse
matrix, solved at a reduced size by conjugate gradients. NumPy alone.

References: Levin, Lischinski & Weiss 2004, "Colorization using optimization" (the weights of neighbours; here the
differences themselves are squared, which can overshoot nowhere, and the network's guess stands in for no colour).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import ImageError, InputError
from .coding import ab_of
from .sizes import resized

Map = NDArray[np.float32]

TOLD_ENOUGH = 0.5  # opaque so far, a pixel of a picture of hints says something
COLOURLESS = 12 / 255  # between the largest and the least of red, green and blue, JPEG's rounding included
ALIKE = 8.0  # units of L between neighbours over which a correction hardly passes
ALIKE_GUESS = 6.0  # and of a and b in the guess
LEAST_TIE = 1e-2  # passes over any edge
FADING = 3e-6  # pull of the guess on every pixel, against 1 of a neighbour that looks the same
HELD = 10.0  # pull of a hint on its pixels
REACH = 0.006  # radius of a point, of the picture's shorter side
SAME = 8.0  # units of L within which a pixel near a point is meant by it
ENOUGH, MOST_STEPS = 1e-4, 300  # residual, as a share of what hints pull with; steps
SMALL = 8  # pixels a side of a problem that is solved from zero


class Point(NamedTuple):
    """A colour at a place: pixels from the left and from the top, beginning at 0, and red, green and blue in [0, 1]."""

    x: int
    y: int
    colour: tuple[float, float, float]

    @classmethod
    def of(cls, hint: str | tuple[int, int, str | tuple[int, int, int]]) -> Point:
        """The point of `X,Y,COLOUR` or of (x, y, colour), a colour being a word as of `read` or three numbers to 255.

        Raises:
            InputError: it is none.
        """
        if isinstance(hint, str):
            return cls.read(hint)
        try:
            x, y, colour = hint
            if not isinstance(colour, str):
                red, green, blue = colour
                colour = f"#{red:02x}{green:02x}{blue:02x}"
            return cls.read(f"{x},{y},{colour}")
        except (TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"a hint is X,Y,COLOUR or (x, y, colour), not {hint!r}") from None

    @classmethod
    def read(cls, text: str) -> Point:
        """The point that `X,Y,COLOUR` names; COLOUR is #rrggbb or a name of CSS.

        Raises:
            InputError: it names none.

        Example:
            >>> Point.read("120,80,#ff0000")
            Point(x=120, y=80, colour=(1.0, 0.0, 0.0))
        """
        parts = [part.strip() for part in text.split(",", 2)]
        if len(parts) < 3 or not all(part.isascii() and part.isdigit() for part in parts[:2]):
            raise InputError(f"{text!r} is no X,Y,COLOUR: two whole numbers from 0 on and a colour, as 120,80,#c0392b")
        return cls(int(parts[0]), int(parts[1]), colour_of(parts[2]))


def colour_of(name: str) -> tuple[float, float, float]:
    """Red, green and blue in [0, 1] of #rrggbb, #rgb or a name of CSS.

    Raises:
        InputError: it is none.
    """
    from PIL import ImageColor

    known = name.lower() in ImageColor.colormap or (name.startswith("#") and len(name) in (4, 7))
    try:
        red, green, blue = ImageColor.getrgb(name if known else "")[:3]
    except ValueError:
        raise InputError(f"{name!r} is no colour: #rrggbb or a CSS name such as tomato") from None
    return red / 255, green / 255, blue / 255


@dataclass(frozen=True)
class Hints:
    """All that is known.

    Args:
        points: colours at places.
        colours: a picture of hints, (3, h, w) in [0, 1], of the proportions of the picture, or None.
        told: (h, w), whether its pixel says anything.
    """

    points: Sequence[Point] = ()
    colours: NDArray[np.float32] | None = None
    told: NDArray[np.bool_] | None = None

    def __bool__(self) -> bool:
        return bool(self.points) or self.colours is not None

    def check(self, height: int, width: int) -> None:
        """Whether these are hints for a picture of that size.

        Raises:
            ImageError: a point lies beyond it, or the picture of hints has other proportions.
        """
        for point in self.points:
            if point.x >= width or point.y >= height:
                raise ImageError(f"the hint at {point.x},{point.y} lies outside the picture, {width}x{height}")
        if self.colours is not None:
            h, w = self.colours.shape[1:]
            if abs(h * width - w * height) > max(height, width, h, w):  # a side rounded by a pixel is no matter
                raise ImageError(f"the picture of hints is {w}x{h}, which has not the proportions of {width}x{height}")


NO_HINTS = Hints()


def told_by(image: NDArray[np.float32], alpha: NDArray[np.float32] | None) -> NDArray[np.bool_]:
    """Which pixels of a picture of hints say something, (H, W).

    What is not transparent does, grey included, if anything is transparent; else what is not grey.

    Args:
        image: (3, H, W) in [0, 1].
        alpha: (H, W) in [0, 1], or None.
    """
    if alpha is not None and (alpha < TOLD_ENOUGH).any():
        return alpha >= TOLD_ENOUGH
    told: NDArray[np.bool_] = np.ptp(image, axis=0) > COLOURLESS
    return told


def with_hints(guess: Map, lightness: Map, hints: Hints, height: int, width: int) -> Map:
    """A guess at colours, corrected by hints.

    Args:
        guess: a and b of CIE Lab, (2, h, w), in its units.
        lightness: L, (h, w), 0 to 100, of the same reduced size.
        hints: in pixels of the picture itself.
        height: of that.
        width: of that.

    Returns:
        a and b, (2, h, w).
    """
    share, ab = said(hints, lightness, height, width)
    across, down = ties(lightness, guess)
    correction = spread(across, down, HELD * share, ab - guess)
    return guess + correction


def said(hints: Hints, lightness: Map, height: int, width: int) -> tuple[Map, Map]:
    """What hints say at a reduced size: the share of each pixel that is told, (h, w), its mean a and b, (2, h, w)."""
    size = lightness.shape
    share, ab = np.zeros(size, np.float32), np.zeros((2, *size), np.float32)
    if hints.colours is not None and hints.told is not None:
        told = hints.told.astype(np.float32)
        share = resized(told, size, averaging=True)
        sums = [resized(plane * told, size, averaging=True) for plane in ab_of(hints.colours[None])[0]]
        ab = np.stack(sums) / np.maximum(share, 1e-6)
    rows, columns = np.ogrid[: size[0], : size[1]]
    radius = max(REACH * min(size), 0.75)
    for point in hints.points:
        # the middle of the point's pixel, in pixels of the reduced size
        y, x = (point.y + 0.5) * size[0] / height - 0.5, (point.x + 0.5) * size[1] / width - 0.5
        here = min(round(y), size[0] - 1), min(round(x), size[1] - 1)
        near = np.hypot(rows - y, columns - x) <= radius
        near &= np.abs(lightness - lightness[here]) <= SAME
        near[here] = True
        share[near] = 1
        ab[:, near] = ab_of(np.array(point.colour, np.float32)[None, :, None, None])[0, :, 0]
    return share, ab


def ties(lightness: Map, guess: Map) -> tuple[Map, Map]:
    """How alike neighbours are, 0 to 1: to the right (h, w - 1) and below (h - 1, w)."""

    def along(axis: int) -> Map:
        apart = np.diff(lightness, axis=axis) ** 2 / (2 * ALIKE**2)
        apart = apart + (np.diff(guess, axis=axis + 1) ** 2).sum(0) / (2 * ALIKE_GUESS**2)
        tie: Map = (LEAST_TIE + np.exp(-apart)).astype(np.float32)
        return tie

    return along(1), along(0)


def spread(across: Map, down: Map, held: Map, wanted: Map, fading: float = FADING) -> Map:
    """The maps (N, h, w) that are least in: ties * squared differences + held * squared distances from what is wanted.

    And fading * their squares. By conjugate gradients, divided by the matrix's diagonal, from the solution of the same
    problem at half the size: alone they would take hundreds of steps to carry a hint across the picture.

    Args:
        across: ties to the right, (h, w - 1).
        down: ties to below, (h - 1, w).
        held: (h, w).
        wanted: (N, h, w), where held is above 0.
        fading: see above.
    """
    diagonal: Map = held + np.float32(fading)
    diagonal[:, 1:] += across
    diagonal[:, :-1] += across
    diagonal[1:] += down
    diagonal[:-1] += down

    def times(x: Map) -> Map:
        y = diagonal * x
        y[:, :, :-1] -= across * x[:, :, 1:]
        y[:, :, 1:] -= across * x[:, :, :-1]
        y[:, :-1] -= down * x[:, 1:]
        y[:, 1:] -= down * x[:, :-1]
        return y

    right = held * wanted
    x = _from_half(across, down, held, wanted, fading)
    residual, direction, before = right - times(x), np.zeros_like(right), None
    start = np.sqrt(_dot(right, right)) + np.float32(1e-12)
    for _ in range(MOST_STEPS):
        if (np.sqrt(_dot(residual, residual)) <= ENOUGH * start).all():
            break
        z = residual / diagonal
        now = _dot(residual, z)
        further = 0 if before is None else now / np.maximum(before, 1e-30)
        direction = np.add(z, further * direction, dtype=np.float32)
        product = times(direction)
        step = now / np.maximum(_dot(direction, product), 1e-30)
        x = np.add(x, step * direction, dtype=np.float32)
        residual = residual - step * product
        before = now
    return x


def _from_half(across: Map, down: Map, held: Map, wanted: Map, fading: float) -> Map:
    """The solution where two by two pixels have one value, of the problem of `spread`; zeros for a small one."""
    height, width = held.shape
    if max(height, width) <= SMALL:
        return np.zeros_like(wanted)
    halves = -(-height // 2), -(-width // 2)
    # Ties within a pair are gone; between pairs two run side by side, each half as strong because it is twice as long.
    along, below = _pairs(across[:, 1::2], 0) / np.float32(2), _pairs(down[1::2], 1) / np.float32(2)
    sums = _pairs(_pairs(np.concatenate((held[None], held * wanted)), 1), 2)
    mean = sums[1:] / np.maximum(sums[0], 1e-12)
    half = spread(along[:, : halves[1] - 1], below[: halves[0] - 1], sums[0], mean, 4 * fading)
    whole: Map = half.repeat(2, 1).repeat(2, 2)[:, :height, :width]
    return whole


def _pairs(x: Map, axis: int) -> Map:
    """The sums of neighbours two by two along an axis; the last stands alone if it has no partner."""
    sums: Map = np.add.reduceat(x, np.arange(0, x.shape[axis], 2), axis)
    return sums


def _dot(x: Map, y: Map) -> Map:
    """Of each map, (N, 1, 1)."""
    product: Map = np.einsum("nhw,nhw->n", x, y)[:, None, None]
    return product
