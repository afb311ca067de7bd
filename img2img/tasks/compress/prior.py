"""Densities of the latents, for training. The codec itself codes with tables and never imports this."""

import torch
from compressai.entropy_models import EntropyBottleneck, GaussianConditional
from torch import Tensor


class FactorizedPrior(EntropyBottleneck):
    """One learned density per channel, for latents quantised with any step (compressai's takes only a step of 1).

    Latents are divided by `scale`, one number per channel: the densities all start alike, the channels differ a
    thousandfold.

    Args:
        scale: (M,), each channel's standard deviation at the start of the training.

    Shape:
        y: (B, M, H, W); step: (B, M, 1, 1).

    References: Balle et al. 2018, arXiv:1802.01436, appendix 6.1.
    """

    scale: Tensor

    def __init__(self, scale: Tensor) -> None:
        super().__init__(len(scale), init_scale=3)
        self.register_buffer("scale", scale.view(1, -1, 1, 1).clone())

    def medians(self) -> Tensor:
        """Each channel's median, the value that quantises to 0: (1, M, 1, 1)."""
        return self.quantiles[:, 0, 1].detach().view(1, -1, 1, 1) * self.scale

    def probability(self, y: Tensor, step: Tensor) -> Tensor:
        """Of the bins y +- step / 2: (B, M, H, W), at least 1e-9."""
        with torch.autocast(y.device.type, enabled=False):
            half = step.float() / 2
            edges = torch.stack((y.float() - half, y.float() + half)) / self.scale
            rows = edges.permute(2, 0, 1, 3, 4).flatten(1).unsqueeze(1)  # (M, 1, 2 * B * H * W)
            lower, upper = self._logits_cumulative(rows, stop_gradient=False).chunk(2, 2)
            # Both on the side where the sigmoid is small: near 1 their difference would drown in rounding.
            sign = -(lower + upper).sign().detach()
            bins = (torch.sigmoid(sign * upper) - torch.sigmoid(sign * lower)).abs().clamp_min(1e-9)
            batch, channels, height, width = y.shape
            return bins.view(channels, batch, height, width).transpose(0, 1)


_gaussian = GaussianConditional(None)


def gaussian_probability(y: Tensor, mu: Tensor, sigma: Tensor, step: Tensor) -> Tensor:
    """Of the bins y +- step / 2 under N(mu, sigma^2), at least 1e-9; all (B, M, H, W), step (B, M, 1, 1).

    compressai's GaussianConditional in units of the step; a sigma below 0.11 steps counts as 0.11.
    """
    with torch.autocast(y.device.type, enabled=False):
        return _gaussian._likelihood(y / step, sigma / step, mu / step).clamp_min(1e-9)
