"""Pictures made of pictures' own pixels: textures, holes filled, edges that fit. Imports no torch.

Everything here gives the numbers of pixels in the picture that was given, (H, W). Whatever else is known of these
pixels, normals, roughness, alpha, is looked up by the same numbers (`looked_up`): exact values, never averaged.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import ImageError
from ...images import Picture
from ...runtime import available_memory
from .job import Axes
from .methods.patches import DEFAULT, Settings, bytes_needed, levels_of, synthesised
from .quilting import NOTHING
from .sheet import PATCH, Indices, Part, parts_of

Size = tuple[int, int]
Mask = NDArray[np.bool_]

BORDER = 8  # a picture made seamless is changed within an eighth of its sides from its border
NEAR = 64  # pixels; a hole is filled from what lies within that distance, or within its own size


class Margins(NamedTuple):
    """Pixels added to a picture at its sides."""

    left: int
    top: int
    right: int
    bottom: int


class Ways(NamedTuple):
    """How a sample may be looked at beside upright: by quarters of a turn, and in the mirror."""

    rotate: bool = False
    mirror: bool = False


def usable_pixels(sample: Picture, mask: Picture | None = None) -> Mask:
    """(H, W): where a sample is more opaque than transparent, and a mask is more white than black.

    Raises:
        ImageError: nowhere, or the mask has another size.
    """
    usable = np.ones(sample.samples.shape[:2], bool)
    if sample.alpha is not None:
        low, high = sample.range
        usable = sample.alpha > (low + high) / 2
        if not usable.any():
            raise ImageError("all of it is transparent: there is nothing to make a texture of")
    if mask is not None:
        usable = usable & white(mask, sample)
        if not usable.any():
            raise ImageError("the mask leaves nothing of it: what may be used is white there")
    return np.asarray(usable)


def white(mask: Picture, picture: Picture) -> Mask:
    """(H, W): where a mask for a picture is more white than black.

    Raises:
        ImageError: it has another size.
    """
    if mask.samples.shape[:2] != picture.samples.shape[:2]:
        ours, theirs = (f"{image.width}x{image.height}" for image in (picture, mask))
        raise ImageError(f"the mask has {theirs} pixels, the picture {ours}")
    return np.asarray(mask.to_array().mean(0) > 0.5)


def grown(
    sample: Picture,
    size: Size,
    seed: int = 0,
    *,
    mask: Picture | None = None,
    ways: Ways = Ways(),  # noqa: B008 - a tuple of two constants
    settings: Settings = DEFAULT,
) -> Indices:
    """A texture of a sample; it wraps around.

    Args:
        sample: of any size; of its pixels the transparent ones are not used.
        size: height and width of the texture.
        seed: the same gives the same texture, on any number of threads.
        mask: white where the sample may be used; all of it without.
        ways: how it may be looked at.
        settings: of the method.

    Raises:
        ValueError: a size below 1x1.
        ImageError: too little of the sample may be used.
    """
    if min(size) < 1:
        raise ValueError(f"a texture has at least 1x1 pixels, not {size[1]}x{size[0]}")
    parts = parts_of([_colours(sample)], [usable_pixels(sample, mask)], ways.rotate, ways.mirror)
    return _made(parts, size, seed, settings)


def seamless(picture: Picture, axes: Axes = "both", seed: int = 0) -> Indices:
    """A picture that wraps around; what is further from its border than a BORDERth of its sides stays as it is.

    Args:
        picture: of any size.
        axes: along which it has to wrap around.
        seed: as for `grown`.

    Raises:
        ImageError: too little of it may be used.
    """
    height, width = picture.samples.shape[:2]
    given = _numbers(height, width)
    for side, axis in ((height, 0), (width, 1)):
        if axes in ("both", "yx"[axis]):
            depth = min(max(PATCH, side // BORDER), side // 2)
            ends = np.r_[:depth, side - depth : side]
            given[(ends, slice(None)) if axis == 0 else (slice(None), ends)] = NOTHING
    return _completed(picture, usable_pixels(picture), given, seed, axes)


def filled(picture: Picture, hole: Mask, seed: int = 0) -> Indices:
    """A picture whose holes are filled with what lies around them; the rest stays as it is.

    Args:
        picture: of any size.
        hole: (H, W), what is to be filled; see `white`.
        seed: as for `grown`.

    Raises:
        ImageError: there is too little to fill the holes with.
    """
    numbers = _numbers(*hole.shape)
    if not hole.any():
        return numbers
    usable = usable_pixels(picture) & ~hole
    near = _around(hole)
    given = np.where(hole, NOTHING, numbers)
    for area in (near, (slice(None), slice(None))):
        try:
            part = _cut(picture, area)
            own = _numbers(*part.samples.shape[:2])
            made = _completed(part, usable[area], np.where(hole[area], NOTHING, own), seed, None)
        except ImageError:
            if area != near:
                raise
            continue
        given[area] = numbers[area].reshape(-1)[made]
        break
    return np.where(hole, given, numbers).astype(np.int32)


def extended(picture: Picture, margins: Margins, seed: int = 0) -> Indices:
    """A picture with more of it at its sides; its own pixels stay as they are.

    Args:
        picture: of any size.
        margins: pixels to add.
        seed: as for `grown`.

    Raises:
        ImageError: too little of it may be used.
    """
    height, width = picture.samples.shape[:2]
    given = np.full((height + margins.top + margins.bottom, width + margins.left + margins.right), NOTHING, np.int32)
    given[margins.top : margins.top + height, margins.left : margins.left + width] = _numbers(height, width)
    return _completed(picture, usable_pixels(picture), given, seed, None)


def looked_up(picture: Picture, pixels: Indices) -> Picture:
    """A picture of pixels of another one, exactly as they are there.

    Args:
        picture: of which colours, alpha and further channels are taken, and all that it says of itself.
        pixels: (H, W), numbers of its pixels.
    """

    def taken(planes: NDArray) -> NDArray:
        return np.asarray(planes.reshape(-1, *planes.shape[2:]).take(pixels, 0))

    alpha, further = (None if planes is None else taken(planes) for planes in (picture.alpha, picture.further))
    return replace(picture, samples=taken(picture.samples), alpha=alpha, further=further)


def _colours(picture: Picture) -> NDArray[np.float32]:
    return np.ascontiguousarray(np.moveaxis(picture.to_array(), 0, 2))


def _numbers(height: int, width: int) -> Indices:
    return np.arange(height * width, dtype=np.int32).reshape(height, width)


def _cut(picture: Picture, area: tuple[slice, slice]) -> Picture:
    alpha = None if picture.alpha is None else picture.alpha[area]
    return replace(picture, samples=picture.samples[area], alpha=alpha, further=None)


def _around(hole: Mask) -> tuple[slice, slice]:
    """The rows and columns in which a hole lies, and as much around them as it is large."""
    spans = [np.flatnonzero(hole.any(axis)) for axis in (1, 0)]
    reach = max(NEAR, *(int(span[-1] - span[0]) + 1 for span in spans))
    rows, columns = (slice(max(0, int(span[0]) - reach), int(span[-1]) + 1 + reach) for span in spans)
    return rows, columns


def _completed(picture: Picture, usable: Mask, given: Indices, seed: int, axes: Axes | None) -> Indices:
    """What is given, with the rest made of a picture; it wraps around along some axes, or along none."""
    parts = parts_of([_colours(picture)], [usable])
    # Beyond a border that need not fit the opposite one lies more of the same, so wide that no level sees across.
    margin = PATCH * 2 ** max(0, levels_of(parts) - 2)
    beyond = [0 if axes in ("both", axis) else margin for axis in ("y", "x")]
    height, width = given.shape
    canvas = np.full((height + beyond[0], width + beyond[1]), NOTHING, np.int32)
    canvas[:height, :width] = given
    return _made(parts, canvas.shape, seed, DEFAULT, canvas)[:height, :width]


def _made(
    parts: list[Part], size: tuple[int, ...], seed: int, settings: Settings, given: Indices | None = None
) -> Indices:
    pixels = sum(part.usable.size for part in parts)
    needed = bytes_needed((size[0], size[1]), pixels, parts[0].pixels.shape[2])
    there = available_memory()
    if there is not None and needed > there:
        raise ImageError(
            f"{size[1]}x{size[0]} pixels, made of {pixels} of the sample, take about {needed / 1e9:.1f} GB of memory,"
            f" {there / 1e9:.1f} GB are free"
        )
    try:
        return synthesised(parts, (size[0], size[1]), seed, settings, given)
    except ValueError as error:
        raise ImageError(str(error)) from error


def opaque(sample: Picture, mask: Picture | None = None, seed: int = 0) -> Picture:
    """A sample without what must not be used of it: filled with the rest, for methods that look at all of a picture.

    Raises:
        ImageError: too little of it may be used.
    """
    usable = usable_pixels(sample, mask)
    if usable.all():
        return sample
    return looked_up(sample, filled(sample, ~usable, seed))
