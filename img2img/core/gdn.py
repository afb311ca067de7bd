"""Generalised divisive normalisation (Balle 2016), the codec's nonlinearity."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _BoundedBelow(torch.autograd.Function):
    """See `bounded_below`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound
        return x.clamp_min(bound)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grad * ((x >= ctx.bound) | (grad < 0)), None


def bounded_below(x: Tensor, bound: float) -> Tensor:
    """max(x, bound), with a gradient that lets x rise from below the bound, as well.

    References: Balle et al. 2018, arXiv:1802.01436, appendix.
    """
    return _BoundedBelow.apply(x, bound)


class NonNegative(nn.Module):
    """Parameter kept at or above `minimum` by the square of a bounded one, so that it never sticks at zero."""

    pedestal = 2.0**-36

    def __init__(self, value: Tensor, minimum: float = 0.0) -> None:
        super().__init__()
        self.bound = (minimum + self.pedestal) ** 0.5
        self.raw = nn.Parameter((value + self.pedestal).clamp_min(self.pedestal).sqrt())

    def forward(self) -> Tensor:
        return bounded_below(self.raw, self.bound) ** 2 - self.pedestal


class GDN(nn.Module):
    """y_i = x_i / sqrt(beta_i + sum_j gamma_ij x_j^2); inverse: y_i = x_i * sqrt(beta_i + sum_j gamma_ij x_j^2).

    Args:
        channels: C.
        inverse: IGDN, the approximate inverse used in the synthesis.

    Shape:
        x: (B, C, H, W); returns the same.

    Example:
        >>> GDN(4)(torch.zeros(1, 4, 2, 2)).shape
        torch.Size([1, 4, 2, 2])

    References: Balle et al. 2016, arXiv:1511.06281, eq. 1; 2017, arXiv:1611.01704, eq. 3 and 4.
    """

    def __init__(self, channels: int, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.beta = NonNegative(torch.ones(channels), minimum=1e-6)
        self.gamma = NonNegative(0.1 * torch.eye(channels))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.gamma()[:, :, None, None]
        energy = F.conv2d(x * x, weight.to(x.dtype), self.beta().to(x.dtype))
        return x * (energy.sqrt() if self.inverse else energy.rsqrt())
