"""Numbers moved as little as possible until they are distributed as others are, such as those of colours."""

import torch
from torch import Generator, Tensor

from .loss import at_quantiles
from .ranking import order_of, sorted_rows


def transported(values: Tensor, wanted: Tensor, rounds: int, generator: Generator) -> Tensor:
    """Values whose distribution is the wanted ones': along each of many axes what has the same rank.

    As many axes at right angles as there are channels, turned by chance in each of the rounds, and in one more the
    channels themselves. One channel, which cannot be turned, is matched exactly by that last one alone.

    Args:
        values: (C, N).
        wanted: (C, M), of any M.
        rounds: with turned axes.
        generator: of the axes, on the CPU.

    Returns:
        (C, N), in the range of the wanted.

    References: Pitié et al. 2007, doi:10.1016/j.cviu.2006.11.011 (iterative distribution transfer).
    """
    channels = len(values)
    for left in range(rounds if channels > 1 else 0, -1, -1):
        if left:
            axes = torch.linalg.qr(torch.randn(channels, channels, generator=generator)).Q.to(values)
            values = axes.T @ ranked_as(axes @ values, axes @ wanted)
        else:
            values = ranked_as(values, wanted)
    return values


def ranked_as(values: Tensor, wanted: Tensor) -> Tensor:
    """In each row, (C, N), the values replaced by those of the same rank among the wanted, (C, M)."""
    ranked = at_quantiles(sorted_rows(wanted), values.shape[1])
    return torch.empty_like(values).scatter_(1, order_of(values), ranked)


def matrix_root(square: Tensor) -> Tensor:
    """The square root of a symmetric matrix, (C, C), without negative eigenvalues but by rounding."""
    values, axes = torch.linalg.eigh(square)
    return (axes * values.clamp_min(0).sqrt()) @ axes.T
