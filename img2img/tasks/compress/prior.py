"""Densities of the latents, for training. The codec itself codes with tables and never imports this."""

import math
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.gdn import bounded_below

LEAST = 1e-9  # of a probability: its logarithm stays finite
TAILS = 1e-9  # probability outside the two outer quantiles
LEAST_SIGMA = 0.11  # in quantisation steps; a narrower Gaussian would have no gradient
FORMER = ("_offset", "_quantized_cdf", "_cdf_length", "likelihood_lower_bound.bound")
"""Tensors beside the parameters that weights made until November 2026 hold, by compressai's class; never used."""


class FactorizedPrior(nn.Module):
    """One learned density per channel, for latents quantised with any step.

    The cumulative distribution of each channel is a small monotonic network of its own: c = sigmoid(f_K(... f_1(y))),
    f_k(x) = g_k(softplus(H_k) x + b_k), g_k(x) = x + tanh(a_k) tanh(x); the last layer has no g. Parameters are named
    and begun as those of compressai's EntropyBottleneck, with which the tests compare it.

    Latents are divided by `scale`, one number per channel: the densities all start alike, the channels differ a
    thousandfold.

    Args:
        scale: (M,), each channel's standard deviation at the start of the training.
        width: of the hidden layers, each.
        spread: how wide the densities are at the start, in units of the scale.

    Shape:
        y: (B, M, H, W); step: (B, M, 1, 1).

    Example:
        >>> prior = FactorizedPrior(torch.tensor([0.5, 2.0]))
        >>> prior.probability(torch.zeros(1, 2, 4, 4), torch.ones(1, 2, 1, 1)).shape
        torch.Size([1, 2, 4, 4])

    References: Balle et al. 2018, arXiv:1802.01436, appendix 6.1.
    """

    scale: Tensor
    target: Tensor

    def __init__(self, scale: Tensor, width: tuple[int, ...] = (3, 3, 3, 3), spread: float = 3.0) -> None:
        super().__init__()
        sizes = (1, *width, 1)
        slope = spread ** (-1 / (len(sizes) - 1))  # of each layer; their product is 1 / spread
        self.matrices, self.biases, self.factors = nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        for before, after in pairwise(sizes):
            entry = math.log(math.expm1(slope / after))  # softplus of it is slope / after
            self.matrices.append(torch.full((len(scale), after, before), entry))
            self.biases.append(torch.empty(len(scale), after, 1).uniform_(-0.5, 0.5))
        for size in width:
            self.factors.append(torch.zeros(len(scale), size, 1))
        self.quantiles = nn.Parameter(torch.tensor([-spread, 0, spread]).repeat(len(scale), 1, 1))
        tail = math.log(2 / TAILS - 1)  # the logit of 1 - TAILS / 2
        self.register_buffer("target", torch.tensor([-tail, 0, tail]))
        self.register_buffer("scale", scale.view(1, -1, 1, 1).clone())

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        for name in FORMER:
            state_dict.pop(prefix + name, None)
        super()._load_from_state_dict(state_dict, prefix, *others)

    def medians(self) -> Tensor:
        """Each channel's median, the value that quantises to 0: (1, M, 1, 1)."""
        return self.quantiles[:, 0, 1].detach().view(1, -1, 1, 1) * self.scale

    def quantile_loss(self) -> Tensor:
        """How far the three quantiles are from where each density has its tails and its median: 0 when they are there.

        Only the quantiles learn from it: it holds the densities fixed.
        """
        return (self._logits(self.quantiles, fixed=True) - self.target).abs().sum()

    def probability(self, y: Tensor, step: Tensor) -> Tensor:
        """Of the bins y +- step / 2: (B, M, H, W), at least 1e-9."""
        with torch.autocast(y.device.type, enabled=False):
            half = step.float() / 2
            edges = torch.stack((y.float() - half, y.float() + half)) / self.scale
            rows = edges.permute(2, 0, 1, 3, 4).flatten(1).unsqueeze(1)  # (M, 1, 2 * B * H * W)
            lower, upper = self._logits(rows).chunk(2, 2)
            # Both on the side where the sigmoid is small: near 1 their difference would drown in rounding.
            sign = -(lower + upper).sign().detach()
            bins = (torch.sigmoid(sign * upper) - torch.sigmoid(sign * lower)).abs().clamp_min(LEAST)
            batch, channels, height, width = y.shape
            return bins.view(channels, batch, height, width).transpose(0, 1)

    def _logits(self, x: Tensor, fixed: bool = False) -> Tensor:
        """Logits of the cumulative distributions at (M, 1, N): the same shape; `fixed` stops their gradient."""
        layers: tuple[list[Tensor], ...] = (list(self.matrices), list(self.biases), list(self.factors))
        matrices, biases, factors = ([t.detach() for t in part] if fixed else part for part in layers)
        for k, (matrix, bias) in enumerate(zip(matrices, biases, strict=True)):
            x = F.softplus(matrix) @ x + bias
            if k < len(factors):
                x = x + torch.tanh(factors[k]) * torch.tanh(x)
        return x


def gaussian_probability(y: Tensor, mu: Tensor, sigma: Tensor, step: Tensor) -> Tensor:
    """Of the bins y +- step / 2 under N(mu, sigma^2), at least 1e-9; all (B, M, H, W), step (B, M, 1, 1).

    A sigma below 0.11 steps counts as 0.11.
    """
    with torch.autocast(y.device.type, enabled=False):
        # From the lower side, where differences of the distribution function keep their digits.
        distance = -(y / step - mu / step).abs()
        width = bounded_below(sigma / step, LEAST_SIGMA)
        upper, lower = (_normal_cdf((distance + edge) / width) for edge in (0.5, -0.5))
        return (upper - lower).clamp_min(LEAST)


def _normal_cdf(x: Tensor) -> Tensor:
    return 0.5 * torch.erfc(x * -(0.5**0.5))
