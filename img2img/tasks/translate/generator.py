"""The U-Net 256 generator of pix2pix."""

from typing import Literal

import torch
from torch import Tensor, nn

from ...core.blocks import Skip, Up, Upsample, check_choice
from ...core.encoder_decoder import EncoderDecoder, Layout
from .shape import NOISY

UpSampling = Literal["transposed", "resize", "shuffle"]
GeneratorNorm = Literal["instance", "batch"]
MAX_CHANNELS = 8


class UNetGenerator(nn.Module):
    """U-Net that translates an image of one kind into another: G(x, z), the noise z being dropout in its decoder.

    With the default arguments the paper's U-Net 256: C64-C128-C256-C512-C512-C512-C512-C512 down and mirrored up, 4x4
    convolutions of stride 2, leaky ReLU (0.2) down and ReLU up, skips joined by concatenation, dropout in the three
    innermost layers up, tanh at the end. Skips stay as leaky as they are, where the authors' code cuts them off at 0.
    Departure: norms are by instance unless `batch` is asked for; the paper's
    batch norms at batch size 1, by the test image's own statistics, do the same.

    Args:
        in_channels: C of the input, 1 to 8.
        out_channels: C of the output, 1 to 8.
        width: feature maps of the finest scale; they double with each scale up to `widest` times as many.
        widest: see width.
        depth: scales, each of half the size, at least 2; 8 brings 256 pixels down to one.
        up: `transposed` convolution as in the paper; `resize` (nearest, then 3x3) or `shuffle` (sub-pixels that start
            alike), which leave no checkerboard.
        norm: `instance` or `batch` (in use by the statistics of the training).
        skip: `concat`, or `none` for the paper's plain encoder-decoder.
        dropout: rate in the three innermost layers of the decoder (fewer if there are fewer).

    Shape:
        x: (B, in_channels, H, W), values in [-1, 1]; any H, W >= 1.
        returns: (B, out_channels, H, W) in [-1, 1].

    Raises:
        ValueError: an argument out of range.

    Example:
        >>> UNetGenerator(in_channels=1, width=8, depth=4).eval()(torch.rand(1, 1, 33, 50)).shape
        torch.Size([1, 3, 33, 50])

    References: Isola et al. 2017, arXiv:1611.07004 (pix2pix); Odena et al. 2016 (checkerboards).
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        width: int = 64,
        widest: int = 8,
        depth: int = 8,
        up: UpSampling = "transposed",
        norm: GeneratorNorm = "instance",
        skip: Skip = "concat",
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        for name, count in (("in_channels", in_channels), ("out_channels", out_channels)):
            if not 1 <= count <= MAX_CHANNELS:
                raise ValueError(f"{name} must be 1 to {MAX_CHANNELS}, not {count}")
        if depth < 2 or width < 1 or widest < 1:
            raise ValueError(f"width and widest must be at least 1 and depth 2, not {width}, {widest}, {depth}")
        check_choice("up", up, UpSampling)
        check_choice("norm", norm, GeneratorNorm)
        self.in_channels, self.out_channels = in_channels, out_channels
        kind: Up = "nearest" if up == "resize" else up
        layout = Layout(
            widths=tuple(width * min(2**i, widest) for i in range(depth)),
            blocks=0,
            factors=(2,) * depth,
            kernels=(4,) * depth,
            up_kernels=(4 if up == "transposed" else 3,) * depth,
            norm=norm,
            bare_ends=True,
            activation="leaky_relu",
            decoder_activation="relu",
            dropout=tuple(dropout if depth - 1 - NOISY <= i < depth - 1 else 0.0 for i in range(depth)),
            up=kind,
            skip=skip,
        )
        self.net = EncoderDecoder(in_channels, out_channels, layout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.net(x)
        # bf16 has no slope left beyond 3.5, so what is black or white would not be learnt any more.
        return torch.tanh(y.float() if y.dtype == torch.bfloat16 else y)


def start_small(net: nn.Module, std: float = 0.02) -> None:
    """Start as the paper does: weights from N(0, std), the norms' gains from N(1, std), biases at zero."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0, std)
        elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d):
            nn.init.normal_(module.weight, 1, std)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    for module in net.modules():
        if isinstance(module, Upsample) and module.kind == "shuffle":
            module.start_subpixels_alike()
