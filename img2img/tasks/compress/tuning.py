"""Latents that are moved before they are coded, so that what is decoded is nearer by another measure than g_a knows."""

import torch
from torch import Tensor, nn

from ...core.blocks import conv
from .hyperprior import zero_initialised


class TuningNetwork(nn.Module):
    """Moves what g_a gives to where it serves another measure than that which the codec was trained by.

    The synthesis and the entropy model stay as they are, and so every reader decodes the files. What structure is worth
    differs from place to place: faint texture is made stronger, where the squared error lets it fade, and bits are
    saved where nobody looks for a difference. It begins as nothing.

    Args:
        latents: channels of y.
        width: feature maps.

    Attributes:
        unit: (1, M, 1, 1), about each channel's standard deviation: latents are seen, and moved, in it.

    Shape:
        y: (B, M, h, w), latents as g_a gives them.
        rate: (B, 1, 1, 1), at which they will be coded, in [0, 1].
        returns: (B, M, h, w). Each depends on latents at most shape.TUNING_REACH away.

    Example:
        >>> TuningNetwork(latents=12, width=8)(torch.randn(2, 12, 5, 7), torch.zeros(2, 1, 1, 1)).shape
        torch.Size([2, 12, 5, 7])
    """

    unit: Tensor

    def __init__(self, latents: int = 256, width: int = 64) -> None:
        super().__init__()
        self.first = conv(latents + 1, width, 1)
        self.blocks = nn.ModuleList([conv(width, width), conv(width, width)])
        self.last = zero_initialised(conv(width, 2 * latents, 1))
        self.activation = nn.LeakyReLU(0.2)
        self.register_buffer("unit", torch.ones(1, latents, 1, 1))

    def forward(self, y: Tensor, rate: Tensor) -> Tensor:
        plane = (rate - 0.5).expand(-1, -1, y.shape[-2], y.shape[-1])
        features = self.activation(self.first(torch.cat((y / self.unit, plane), 1)))
        for block in self.blocks:
            features = features + self.activation(block(features))
        stronger, moved = self.last(features).float().chunk(2, 1)
        return y * (1 + torch.tanh(stronger)) + self.unit * moved
