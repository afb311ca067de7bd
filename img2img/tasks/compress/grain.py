"""Noise that every machine draws alike: a picture's detail is made up of it, and tiles have to agree."""

import numpy as np

_FIRST, _SECOND = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)


def grain(rows: slice, columns: slice) -> np.ndarray:
    """A number for each place of a picture, the same whatever part of it is asked for.

    Args:
        rows: first and last but one, from 0.
        columns: likewise.

    Returns:
        (h, w) float32, evenly spread with mean 0 and variance 1.

    Example:
        >>> bool((grain(slice(0, 8), slice(0, 8))[4:, 2:] == grain(slice(4, 8), slice(2, 8))).all())
        True
    """
    down = np.arange(rows.start, rows.stop, dtype=np.uint32)[:, None]
    across = np.arange(columns.start, columns.stop, dtype=np.uint32)
    bits = _mixed(_mixed(down + np.uint32(1)) + across)
    return (bits.astype(np.float32) / np.float32(2**31) - 1) * np.float32(3**0.5)


def _mixed(x: np.ndarray) -> np.ndarray:
    """Integers of 32 bits, each of whose bits hangs on all of those it was given (lowbias32 by Chris Wellons, 2018)."""
    x = (x ^ (x >> np.uint32(16))) * _FIRST
    x = (x ^ (x >> np.uint32(15))) * _SECOND
    mixed: np.ndarray = x ^ (x >> np.uint32(16))
    return mixed
