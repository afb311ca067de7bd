"""The smallest parts of an encoder-decoder: convolutions, normalisations, activations, blocks, resampling."""

from itertools import pairwise
from typing import Literal, TypeVar, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .gdn import GDN
from .padding import framed

Block = Literal["plain", "residual"]
Norm = Literal["none", "batch", "instance", "gdn"]
Activation = Literal["none", "relu", "leaky_relu"]
Down = Literal["conv", "max", "average", "unshuffle"]
Up = Literal["transposed", "unpool", "nearest", "bilinear", "shuffle"]
Skip = Literal["none", "add", "concat"]
PaddingMode = Literal["zeros", "replicate", "circular", "valid"]


def check_choice(name: str, value: str, choices: object) -> None:
    """Raise ValueError naming the option, the value and what is allowed."""
    if value not in get_args(choices):
        raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}, not {value!r}")


def conv(
    c_in: int, c_out: int, kernel: int = 3, stride: int = 1, bias: bool = True, padding_mode: PaddingMode = "zeros"
) -> nn.Conv2d:
    """Convolution that keeps the size (divided by stride), or, with `valid` padding, loses kernel - 1 pixels."""
    if stride == 1 and kernel % 2 == 0:
        raise ValueError(f"a convolution that keeps the size needs an odd kernel, not {kernel}")
    if padding_mode == "valid":
        layer = nn.Conv2d(c_in, c_out, kernel, stride, bias=bias)
    else:
        # kernel - stride pixels in all: with an even kernel at stride 2 (4x4: pix2pix) that is one each side.
        padding = (kernel - stride + 1) // 2
        kind = CircularConv if padding_mode == "circular" else nn.Conv2d
        layer = kind(c_in, c_out, kernel, stride, padding, bias=bias, padding_mode=padding_mode)
    return preserve_variance(layer, fan_in=c_in * kernel**2)


class CircularConv(nn.Conv2d):
    """Convolution on a torus. PyTorch's own pads so that its backward pass takes several times as long (`framed`)."""

    def forward(self, x: Tensor) -> Tensor:
        if self.padding != (1, 1):
            return super().forward(x)
        return F.conv2d(framed(x), self.weight, self.bias, self.stride)


C = TypeVar("C", bound=nn.Module)


def preserve_variance(layer: C, fan_in: int) -> C:
    """Start a linear layer so that its output varies as its input does (He 2015, arXiv:1502.01852, gain 1).

    PyTorch's own start shrinks features threefold in variance at each convolution: at 1/8 of the size nothing is left,
    and the deep scales learn nothing at first and then explode.
    """
    layer.weight.data.normal_(0, fan_in**-0.5)  # type: ignore[operator]
    return layer


def norm_layer(norm: Norm, channels: int, inverse: bool = False) -> list[nn.Module]:
    """The layer for a norm's name, as a list to splice into a Sequential; `inverse` turns GDN into IGDN."""
    check_choice("norm", norm, Norm)
    if norm == "batch":
        return [nn.BatchNorm2d(channels)]
    if norm == "instance":
        return [InstanceNorm(channels)]
    if norm == "gdn":
        return [GDN(channels, inverse)]
    return []


class InstanceNorm(nn.InstanceNorm2d):
    """Instance normalisation by each feature map's own mean and variance, or by given ones.

    A tile of a large image has other statistics than the image. While `statistics` are set, a mean and a variance of
    each channel, (C,), they are used instead, so that every tile is treated as the whole is.

    References: Ulyanov et al. 2016, arXiv:1607.08022.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True)
        self.statistics: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.statistics is not None:
            mean, variance = (moment.to(self.weight) for moment in self.statistics)
            return F.batch_norm(x, mean, variance, self.weight, self.bias, training=False, eps=self.eps)
        if x.device.type != "cpu" or torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export():
            return super().forward(x)
        # The same, picture by picture: PyTorch's own first copies whatever lies channels last in memory, which takes a
        # third of a training's time on a CPU.
        images = [
            F.batch_norm(image, None, None, self.weight, self.bias, training=True, eps=self.eps) for image in x.split(1)
        ]
        return images[0] if len(images) == 1 else torch.cat(images)


class Dropout(nn.Module):
    """Sets a share of the numbers to zero and scales up the rest, in training, or where a mask says so.

    pix2pix has no other source of noise, and wants it in use as well as in training. While a `mask` is set, numbers
    that broadcast to the input's shape, the input is multiplied by it; so noise can be drawn elsewhere, and be the same
    whoever computes.

    Args:
        rate: the share, 0 <= rate < 1.

    Raises:
        ValueError: another rate.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"a dropout rate is at least 0 and less than 1, not {rate}")
        self.rate = rate
        self.mask: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.rate, self.training) if self.mask is None else x * self.mask.to(x.dtype)


def activation_layer(activation: Activation) -> list[nn.Module]:
    """The layer for an activation's name, as a list to splice into a Sequential."""
    check_choice("activation", activation, Activation)
    if activation == "relu":
        return [nn.ReLU(inplace=True)]
    if activation == "leaky_relu":
        return [nn.LeakyReLU(0.2, inplace=True)]
    return []


class PlainBlock(nn.Sequential):
    """Convolution, normalisation, activation: half of a U-Net stage (Ronneberger 2015)."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        norm: Norm = "none",
        activation: Activation = "relu",
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        inverse: bool = False,
    ) -> None:
        super().__init__(
            conv(c_in, c_out, bias=bias, padding_mode=padding_mode),
            *norm_layer(norm, c_out, inverse),
            *activation_layer(activation),
        )


class ResidualBlock(nn.Module):
    """x + conv(act(conv(x))), each convolution followed by the norm if any; no activation after the sum (EDSR).

    References: He et al. 2016, arXiv:1512.03385; Lim et al. 2017, arXiv:1707.02921 (EDSR).
    """

    def __init__(
        self,
        channels: int,
        norm: Norm = "none",
        activation: Activation = "relu",
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        inverse: bool = False,
    ) -> None:
        super().__init__()
        if padding_mode == "valid":
            raise ValueError("a residual block needs padding: its output must be as large as its input")
        last = conv(channels, channels, bias=bias, padding_mode=padding_mode)
        if norm == "none":
            # Near the identity at first: without a norm the branches of a deep stack would add up.
            last.weight.data.mul_(0.2)
        self.branch = nn.Sequential(
            conv(channels, channels, bias=bias, padding_mode=padding_mode),
            *norm_layer(norm, channels, inverse),
            *activation_layer(activation),
            last,
            *norm_layer(norm, channels, inverse),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


class Downsample(nn.Module):
    """Halve (divide by `factor`) the size. Max-pooling also returns its indices, for max-unpooling later.

    Shape:
        x: (B, c_in, H, W), H and W multiples of factor (with `valid` padding: any).
        returns: (B, self.channels, H / factor, W / factor), and the indices or None.
    """

    def __init__(
        self,
        kind: Down,
        c_in: int,
        c_out: int,
        factor: int = 2,
        kernel: int = 2,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
    ) -> None:
        super().__init__()
        check_choice("down", kind, Down)
        self.kind, self.factor = kind, factor
        self.channels = c_in if kind in ("max", "average") else c_out  # pooling leaves the channels to the next stage
        if kind == "conv":
            self.conv = conv(c_in, c_out, kernel, factor, bias, padding_mode)
        elif kind == "unshuffle":
            self.conv = conv(c_in * factor**2, c_out, kernel, 1, bias, padding_mode)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.kind == "max":
            return F.max_pool2d(x, self.factor, return_indices=True)
        if self.kind == "average":
            return F.avg_pool2d(x, self.factor), None
        if self.kind == "unshuffle":
            x = F.pixel_unshuffle(x, self.factor)
        return self.conv(x), None


class Upsample(nn.Module):
    """Double (multiply by `factor`) the size and map c_in to c_out channels.

    Shape:
        x: (B, c_in, H, W); indices: those of the max-pooling to undo, (B, c_out, H, W), for `unpool` only.
        returns: (B, c_out, H * factor, W * factor).

    References: Zeiler & Fergus 2014, arXiv:1311.2901 (unpooling with switches); Odena et al. 2016 (resize +
        convolution against checkerboards); Aitken et al. 2017, arXiv:1707.02937 (ICNR).
    """

    def __init__(
        self,
        kind: Up,
        c_in: int,
        c_out: int,
        factor: int = 2,
        kernel: int = 2,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
    ) -> None:
        super().__init__()
        check_choice("up", kind, Up)
        self.kind, self.factor, self.circular = kind, factor, padding_mode == "circular"
        if kind == "transposed":
            if padding_mode == "circular":
                raise ValueError(
                    "a transposed convolution cannot wrap around: use up='nearest', 'bilinear' or 'shuffle'"
                )
            # (H - 1) * factor - 2 * padding + kernel + output_padding = H * factor
            padding = (kernel - factor + 1) // 2
            transposed = nn.ConvTranspose2d(
                c_in, c_out, kernel, factor, padding, output_padding=2 * padding - (kernel - factor), bias=bias
            )
            # Of the kernel's taps only every factor-th in each direction meets a given output pixel.
            self.conv: nn.Module = preserve_variance(transposed, fan_in=max(1, c_in * kernel**2 // factor**2))
        elif kind == "shuffle":
            self.conv = conv(c_in, c_out * factor**2, kernel, 1, bias, padding_mode)
            self.start_subpixels_alike()
        else:
            self.conv = conv(c_in, c_out, kernel, 1, bias, padding_mode)

    def start_subpixels_alike(self) -> None:
        """ICNR: the factor^2 sub-pixels of `shuffle` start alike, so that the first output has no checkerboard."""
        assert isinstance(self.conv, nn.Conv2d)
        weight, bias = self.conv.weight, self.conv.bias
        weight.data = weight.data[:: self.factor**2].repeat_interleave(self.factor**2, 0)
        if bias is not None:
            bias.data.zero_()

    def forward(self, x: Tensor, indices: Tensor | None = None) -> Tensor:
        if self.kind == "transposed":
            return self.conv(x)
        if self.kind == "shuffle":
            return F.pixel_shuffle(self.conv(x), self.factor)
        if self.kind == "unpool":
            if indices is None:
                raise ValueError("up='unpool' needs the indices of down='max' at the same scale")
            return F.max_unpool2d(self.conv(x), indices, [self.factor, self.factor])
        if self.kind == "bilinear" and self.circular:  # it reads one pixel beyond the border: that of the other side
            resized = F.interpolate(F.pad(x, (1, 1, 1, 1), mode="circular"), scale_factor=self.factor, mode=self.kind)
            return self.conv(resized[..., self.factor : -self.factor, self.factor : -self.factor])
        return self.conv(F.interpolate(x, scale_factor=self.factor, mode=self.kind))


def stage(
    c_in: int,
    width: int,
    blocks: int,
    block: Block = "plain",
    norm: Norm = "none",
    activation: Activation = "relu",
    bias: bool = True,
    padding_mode: PaddingMode = "zeros",
    inverse: bool = False,
) -> nn.Sequential:
    """Blocks at one scale, c_in to width channels; a residual run first adapts the channels by a convolution."""
    check_choice("block", block, Block)
    if block == "plain":
        steps = pairwise([c_in] + [width] * blocks)
        return nn.Sequential(*(PlainBlock(a, b, norm, activation, bias, padding_mode, inverse) for a, b in steps))
    adapt = [] if c_in == width or blocks == 0 else [conv(c_in, width, bias=bias, padding_mode=padding_mode)]
    return nn.Sequential(
        *adapt, *(ResidualBlock(width, norm, activation, bias, padding_mode, inverse) for _ in range(blocks))
    )
