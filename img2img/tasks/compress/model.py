"""The codec's transforms: pixels to latents and back, at any rate."""

import math
from itertools import chain

import torch
from torch import Tensor, nn

from ...core.encoder_decoder import Decoder, Encoder, Layout
from .shape import FACTORS, SCALE


class Codec(nn.Module):
    """Analysis g_a and synthesis g_s with GDN, and the quantisation steps of every channel at every rate.

    Each stage adds to its convolution and GDN a linear transform of unoverlapped blocks (AuxT's shortcut), begun as a
    KLT: an untrained codec is a block-transform codec of 16x16 pixels already.

    One set of weights serves every rate: a rate is a place between 0 and 1 on a geometric scale of lambda, and there
    each channel has its step. `log_step` quantises; the decoder's step is larger or smaller by `log_ratio`.

    Args:
        channels: image channels C, 1 for grey or 3 for RGB.
        widths: feature maps at 1/4, 1/8 and 1/16 of the size; the last is the number of latent channels M.
        factors: by which each stage divides the size.
        kernels: sides of the convolutions.
        levels: how many points of the rate scale have steps of their own; between them log steps are interpolated.
        lambdas: of the lowest and the highest rate, in bits per pixel per squared grey level (of 255).

    Shape:
        x: (B, C, H, W), sRGB in [0, 1], H and W multiples of `stride`.
        y: (B, M, H / stride, W / stride).

    Example:
        >>> codec = Codec(widths=(8, 12, 16))
        >>> codec.analysis(torch.rand(1, 3, 32, 48)).shape
        torch.Size([1, 16, 2, 3])

    References: Balle et al. 2017, arXiv:1611.01704 (transforms); Li et al. 2025, arXiv:2501.13751 (AuxT); Cui et al.
        2021, arXiv:2003.02012 (gain vectors).
    """

    def __init__(
        self,
        channels: int = 3,
        widths: tuple[int, ...] = (96, 144, 256),
        factors: tuple[int, ...] = FACTORS,
        kernels: tuple[int, ...] = (9, 5, 3),
        levels: int = 8,
        lambdas: tuple[float, float] = (0.001, 0.15),
    ) -> None:
        super().__init__()
        layout = Layout(
            widths=tuple(widths),
            blocks=0,
            factors=tuple(factors),
            kernels=tuple(kernels),
            norm="gdn",
            activation="none",
            shortcut=True,
        )
        self.stride, self.latents, self.lambdas = layout.stride, layout.widths[-1], tuple(lambdas)
        self.g_a = Encoder(channels, layout)
        self.g_s = Decoder(layout, channels)
        # The best step of an orthonormal transform at high rate: dD/dR = -lambda with D = step^2 / 12.
        rates = torch.linspace(0, 1, levels)
        step = SCALE / 255 * (18 / math.log(2) / self.lambda_at(rates)).sqrt()
        self.log_step = nn.Parameter(step.log()[:, None].repeat(1, layout.widths[-1]))
        self.log_ratio = nn.Parameter(torch.zeros_like(self.log_step))

    def lambda_at(self, rate: Tensor) -> Tensor:
        """Bits per pixel that one squared grey level is worth, at each rate in [0, 1]."""
        low, high = (math.log(v) for v in self.lambdas)
        return (low + (high - low) * rate).exp()

    def steps(self, rate: Tensor) -> tuple[Tensor, Tensor]:
        """Quantisation and reconstruction steps at rates (B,) in [0, 1]: each (B, M, 1, 1)."""
        log_step = interpolate(self.log_step, rate)
        return log_step.exp(), (log_step + interpolate(self.log_ratio, rate)).exp()

    def analysis(self, x: Tensor) -> Tensor:
        return self.g_a((x - 0.5) * SCALE)[0][-1]

    def synthesis(self, y_hat: Tensor) -> Tensor:
        """x_hat, not clamped."""
        return self.g_s([y_hat]) / SCALE + 0.5


def interpolate(table: Tensor, rate: Tensor) -> Tensor:
    """Between the levels of a table (levels, channels), at rates (B,) in [0, 1]: (B, channels, 1, 1)."""
    place = rate * (len(table) - 1)
    below = place.floor().clamp(max=len(table) - 2).long()
    return torch.lerp(table[below], table[below + 1], (place - below)[:, None])[:, :, None, None]


@torch.no_grad()
def start_as_klt(codec: Codec, x: Tensor, strength: float = 0.1) -> None:
    """Make the shortcuts a cascade of orthonormal block transforms fitted to images, the synthesis its transpose.

    Each stage's blocks are rotated to their principal components (Karhunen-Loeve), of which the stage keeps as many as
    it has channels. The convolutions beside them start weakly, so that GDN features are there to be learned from.

    Args:
        codec: changed in place.
        x: images (B, C, H, W) in [0, 1], more blocks than a block has numbers.
        strength: of the convolutions, against a start that preserves variance.
    """
    for module in chain(codec.g_a.modules(), codec.g_s.modules()):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.weight.mul_(strength)
            if module.bias is not None:
                module.bias.zero_()
    features = (x - 0.5) * SCALE
    for forward, backward in zip(codec.g_a.shortcuts, reversed(codec.g_s.shortcuts), strict=True):
        assert isinstance(forward, nn.Conv2d)
        assert isinstance(backward, nn.ConvTranspose2d)
        side = forward.stride[0]
        live = features.shape[1]  # channels that carry something; the stage may have more
        blocks = nn.functional.unfold(features, side, stride=side).transpose(1, 2).reshape(-1, live * side**2)
        # Not centred: the mean of an image is a component to be kept like any other.
        basis = torch.linalg.eigh((blocks.T @ blocks).double()).eigenvectors.flip(1)
        kept = min(basis.shape[1], forward.out_channels)
        kernels = basis[:, :kept].T.reshape(kept, live, side, side).float()
        forward.weight.zero_()
        backward.weight.zero_()
        forward.weight[:kept, :live] = kernels
        backward.weight[:kept, :live] = kernels
        features = nn.functional.conv2d(features, kernels, stride=side)
