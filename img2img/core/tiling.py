"""Images larger than memory allows: overlapping tiles, cross-faded so that no seam is seen. NumPy alone."""

from collections.abc import Callable

import numpy as np

from .. import progress

# Tiles begin at multiples of this where the stride allows, so that a network which halves the image up to five times
# samples each tile on the same grid as it would the whole image.
GRID = 32


def tiled(apply: Callable[[np.ndarray], np.ndarray], image: np.ndarray, tile: int, overlap: int) -> np.ndarray:
    """What `apply` makes of an image, computed tile by tile.

    Where two tiles meet, a quarter of the overlap is discarded on either side, for that is where a tile misses its
    surroundings most, and the rest goes from one to the other along a linear ramp; the weights sum to one everywhere.
    So the result equals the untiled one wherever `apply` looks no further than overlap // 4 pixels, and nearly
    elsewhere. Memory: the output, and what one tile takes.

    Args:
        apply: maps (1, C, h, w) to (1, C', h, w), for any h, w up to `tile`.
        image: (C, H, W), floating point; an image of at most tile x tile goes straight through.
        tile: side of a tile, in pixels.
        overlap: of neighbouring tiles, in pixels; at least this much is shared.

    Returns:
        (C', H, W) of the type of `image`.

    Raises:
        ValueError: the sizes do not fit each other, or `apply` returned another size than it was given.
    """
    if image.ndim != 3 or image.dtype.kind != "f":
        raise ValueError(f"tiled() takes a floating-point image (C, H, W), not {image.dtype} {image.shape}")
    if not 0 <= overlap < tile:
        raise ValueError(f"the overlap must be at least 0 and less than the tile, not {overlap} for tiles of {tile}")
    height, width = image.shape[1:]
    if max(height, width) <= tile:
        return _apply_to(apply, image)
    rows, columns = _spans(height, tile, overlap), _spans(width, tile, overlap)
    down, across = _weights(height, rows), _weights(width, columns)
    output: np.ndarray | None = None
    for row, ((top, bottom), vertical) in enumerate(zip(rows, down, strict=True)):
        for column, ((left, right), horizontal) in enumerate(zip(columns, across, strict=True)):
            result = _apply_to(apply, image[:, top:bottom, left:right])
            if output is None:
                output = np.zeros((result.shape[0], height, width), image.dtype)
            window = np.outer(vertical, horizontal).astype(result.dtype)
            output[:, top:bottom, left:right] += result * window
            progress.report(row * len(columns) + column + 1, len(rows) * len(columns))
    assert output is not None  # both axes have at least one span
    return output


def _apply_to(apply: Callable[[np.ndarray], np.ndarray], part: np.ndarray) -> np.ndarray:
    result = apply(part[None])
    if result.ndim != 4 or result.shape[0] != 1 or result.shape[2:] != part.shape[1:]:
        raise ValueError(f"a tile of {part.shape[1:]} came back as {result.shape}")
    same: np.ndarray = result[0].astype(part.dtype, copy=False)
    return same


def _spans(size: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Begin and end of each tile along one axis; all are `tile` long except perhaps the last."""
    stride = tile - overlap
    if stride >= GRID:
        stride -= stride % GRID
    begins = range(0, max(size - (tile - stride), 1), stride)
    return [(begin, min(begin + tile, size)) for begin in begins]


def _weights(size: int, spans: list[tuple[int, int]]) -> list[np.ndarray]:
    """A weight for each pixel of each span; over all spans that hold a pixel its weights sum to one."""
    weights = [np.ones(end - begin) for begin, end in spans]
    for i in range(1, len(spans)):
        shared = spans[i - 1][1] - spans[i][0]
        if shared:
            ramp = _ramp(shared)
            weights[i][:shared] *= ramp
            weights[i - 1][-shared:] *= 1 - ramp
    # Two tiles' ramps sum to one by themselves; with an overlap of more than half a tile three or more meet.
    total = np.zeros(size)
    for (begin, end), weight in zip(spans, weights, strict=True):
        total[begin:end] += weight
    return [weight / total[begin:end] for (begin, end), weight in zip(spans, weights, strict=True)]


def _ramp(length: int) -> np.ndarray:
    """From 0 to 1 over `length` pixels, flat over the first and the last quarter."""
    flat = length // 4
    rising = length - 2 * flat
    return np.clip((np.arange(length) - flat + 0.5) / rising, 0, 1)
