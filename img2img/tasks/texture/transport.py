"""Numbers moved as little as possible until they are distributed as others are, such as those of colours."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .either import either
from .ranking import ranks

Array = NDArray[Any]


@either
def transported(values: Array, wanted: Array, rounds: int, chance: np.random.Generator) -> Array:
    """Values whose distribution is the wanted ones': along each of many axes what has the same rank.

    As many axes at right angles as there are channels, turned by chance in each of the rounds, and in one more the
    channels themselves. One channel, which cannot be turned, is matched exactly by that last one alone.

    Args:
        values: (C, N).
        wanted: (C, M), of any M.
        rounds: with turned axes.
        chance: of the axes.

    Returns:
        (C, N), in the range of the wanted.

    References: Pitié et al. 2007, doi:10.1016/j.cviu.2006.11.011 (iterative distribution transfer).
    """
    channels = len(values)
    for left in range(rounds if channels > 1 else 0, -1, -1):
        if left:
            axes = np.linalg.qr(chance.standard_normal((channels, channels)))[0].astype(np.float32)
            values = turned(axes.T, ranked_as(turned(axes, values), turned(axes, wanted)))
        else:
            values = ranked_as(values, wanted)
    return values


def turned(axes: Array, values: Array) -> Array:
    """Channels, (C, N), along other axes, (D, C): sums in one order, whatever a library of matrices would do."""
    return np.einsum("dc,cn->dn", axes, values)


@either
def ranked_as(values: Array, wanted: Array) -> Array:
    """In each row, (C, N), the values replaced by those of the same rank among the wanted, (C, M)."""
    found = np.empty_like(values)
    for row, others, into in zip(values, wanted, found, strict=True):
        into[ranks(row)] = at_quantiles(np.sort(others), len(row))
    return found


def at_quantiles(ranked: Array, n: int) -> Array:
    """Sorted numbers, (M,), as n of the same distribution; see loss.at_quantiles, of tensors."""
    have = len(ranked)
    at = np.clip((np.arange(n) + 0.5) * (have / n) - 0.5, 0, have - 1)
    return np.interp(at, np.arange(have), ranked).astype(ranked.dtype)


def matrix_root(square: Array) -> Array:
    """The square root of a symmetric matrix, (C, C), without negative eigenvalues but by rounding."""
    values, axes = np.linalg.eigh(square)
    return np.asarray((axes * np.sqrt(np.maximum(values, 0))) @ axes.T)
