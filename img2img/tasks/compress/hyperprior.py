"""The mean-scale hyperprior with channel-conditional slices: what each latent is expected to be."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...core.blocks import conv
from ...core.padding import pad_to_multiple
from .model import Codec, interpolate
from .shape import FACTORIZED, HYPER_STRIDE, HYPERPRIOR, SLICES


class Expected(NamedTuple):
    """Mean of the latents of a slice, and log2 of their standard deviation: both (B, slice, h, w)."""

    mu: Tensor
    log2_sigma: Tensor


class HyperpriorCodec(Codec):
    """A Codec whose latents are coded with means and scales predicted from hyper-latents z and from earlier slices.

    The channels of y are coded in slices. What is expected of a slice follows from z_hat and the slices before it, so
    that a decoder can follow; with `context` one half of a slice, as the black squares of a chequerboard, comes first,
    and the other half follows from it, too. At the end a latent residual prediction moves each latent within its
    quantisation bin.

    All networks see latents divided by `unit`, powers of two near each channel's standard deviation, so that they can
    also be run in integer arithmetic (exact.py).

    Args:
        slices: channels of each slice; they sum to the number of latent channels.
        hyper_channels: of z.
        features: of what h_s makes of z_hat.
        hidden: feature maps inside the networks.
        context: whether slices are coded in two passes.
        codec: arguments of Codec.

    Shape:
        y: (B, M, h, w); z: (B, hyper_channels, ceil(h / 4), ceil(w / 4)).

    References: Minnen et al. 2018, arXiv:1809.02736 (mean and scale); Minnen & Singh 2020, arXiv:2007.08739 (slices,
        residual prediction; here one network after all slices, not one in each: it lies outside what must be exact);
        He et al. 2021, arXiv:2103.15306 (chequerboard); He et al. 2022, arXiv:2203.10886 (slices of growing size, with
        a chequerboard in each).
    """

    unit: Tensor

    def __init__(
        self,
        slices: tuple[int, ...] = SLICES,
        hyper_channels: int = 64,
        features: int = 128,
        hidden: int = 128,
        context: bool = False,
        **codec: object,
    ) -> None:
        super().__init__(**codec)  # type: ignore[arg-type]
        if sum(slices) != self.latents:
            raise ValueError(f"slices of {slices} channels do not sum to {self.latents}")
        self.slices = tuple(slices)
        self.h_a = nn.Sequential(
            conv(self.latents, hidden),
            nn.ReLU(),
            conv(hidden, hidden, 3, 2),
            nn.ReLU(),
            conv(hidden, hyper_channels, 3, 2),
        )
        self.h_s = nn.Sequential(
            conv(hyper_channels, 4 * hidden),
            nn.PixelShuffle(2),
            nn.ReLU(),
            conv(hidden, 4 * features),
            nn.PixelShuffle(2),
            nn.ReLU(),
        )
        self.expect, self.context = nn.ModuleList(), nn.ModuleList()
        before = 0
        for width in self.slices:
            last = conv(hidden, 2 * width, 1)
            last.weight.data.mul_(0.1)
            # One channel more than the features and the slices before: the rate.
            self.expect.append(
                nn.Sequential(conv(features + 1 + before, hidden), nn.ReLU(), conv(hidden, hidden, 1), nn.ReLU(), last)
            )
            before += width
            if context:
                self.context.append(zero_initialised(conv(width, hidden)))
        self.residual = nn.Sequential(conv(self.latents + features, hidden), nn.ReLU(), conv(hidden, self.latents, 1))
        zero_initialised(self.residual[-1])
        self.register_buffer("unit", torch.ones(1, self.latents, 1, 1))
        self.log_hyper_step = nn.Parameter(torch.zeros(len(self.log_step), hyper_channels))

    def hyper_steps(self, rate: Tensor) -> Tensor:
        """Quantisation steps of z at rates (B,): (B, hyper_channels, 1, 1)."""
        return interpolate(self.log_hyper_step, rate).exp()

    def hyper_analysis(self, y: Tensor) -> Tensor:
        """z of y."""
        return self.h_a(pad_to_multiple(y / self.unit, HYPER_STRIDE))

    def passes(self, height: int, width: int, device: torch.device) -> list[Tensor]:
        """Which latents are coded in each pass through a slice: masks (h, w), each place in just one of them."""
        if not self.context:
            return [torch.ones(height, width, dtype=torch.bool, device=device)]
        line = torch.arange(max(height, width), device=device)
        black = (line[:height, None] + line[:width]) % 2 == 0
        return [black, ~black]

    def code_slices(
        self, z_hat: Tensor, rate: Tensor, size: torch.Size, code: Callable[[int, Expected, Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Go through the slices: `code(i, expected, where)` gives y_hat of slice i, from which more is expected.

        Args:
            z_hat: quantised hyper-latents.
            rate: (B,) in [0, 1].
            size: of y.
            code: from a slice's number, Expected and one of `passes` to its y_hat (B, slice, h, w), 0 outside.

        Returns:
            y_hat (B, M, h, w), and the features of h_s (B, features, h, w) that `refine` needs.
        """
        height, width = size[-2:]
        features = self.h_s(z_hat)[..., :height, :width]
        seen = [features, rate.view(-1, 1, 1, 1).expand(-1, 1, height, width).to(features.dtype)]
        passes = self.passes(height, width, features.device)
        coded = []
        for i, (unit, network) in enumerate(zip(self.unit.split(self.slices, 1), self.expect, strict=True)):
            assert isinstance(network, nn.Sequential)
            hidden = network[0](torch.cat(seen, 1))
            y_hat = torch.zeros(())
            for number, where in enumerate(passes):
                if number:
                    hidden = hidden + self.context[i]((y_hat / unit).to(features.dtype))
                mu, log2_sigma = network[1:](hidden).float().chunk(2, 1)
                y_hat = y_hat + code(i, Expected(mu * unit, log2_sigma + unit.log2()), where)
            coded.append(y_hat)
            seen.append((y_hat / unit).to(features.dtype))
        return torch.cat(coded, 1), features

    def refine(self, y_hat: Tensor, step: Tensor, features: Tensor) -> Tensor:
        """Latent residual prediction: y_hat moved by less than half a step."""
        seen = torch.cat(((y_hat / self.unit).to(features.dtype), features), 1)
        return y_hat + 0.5 * step * torch.tanh(self.residual(seen).float())


def zero_initialised(layer: nn.Module) -> nn.Module:
    """A convolution that at first adds nothing."""
    layer.get_parameter("weight").data.zero_()
    layer.get_parameter("bias").data.zero_()
    return layer


KINDS: dict[str, type[Codec]] = {FACTORIZED: Codec, HYPERPRIOR: HyperpriorCodec}  # by what a weight file calls them
