"""The encoder-decoder that every task configures: denoiser, pix2pix generator, codec transforms, texture generator."""

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from .blocks import (
    Activation,
    Block,
    Down,
    Downsample,
    Dropout,
    Norm,
    PaddingMode,
    Skip,
    Up,
    Upsample,
    activation_layer,
    check_choice,
    conv,
    norm_layer,
    stage,
)
from .padding import center_crop, pad_to_multiple


@dataclass(frozen=True)
class Layout:
    """How an encoder and its mirrored decoder are built. A single value stands for every scale.

    Scale i is entered by dividing the size by `factors[i]` with `down[i]` and left upwards with `up[i]`; factors[0] = 1
    means that the finest scale is the image's own. At a scale without blocks the resampling convolution is itself the
    layer: the norm and the activation follow it (pix2pix, Balle's codec). At a scale with blocks it stands bare.

    Args:
        widths: feature maps per scale, finest first.
        blocks: blocks per scale.
        factors: by which each scale is coarser than the one before; default 1 for the first, 2 for the others.
        block: `plain` (conv, norm, activation) or `residual`.
        norm: after each convolution of a block; `gdn` becomes IGDN in the decoder.
        activation: of the blocks.
        decoder_activation: of the decoder's; default `activation`.
        bare_ends: no norm in the encoder behind its first and its last convolution: the last feature map of a small
            image is one pixel, which has no statistics (pix2pix).
        dropout: rate, per scale, behind the norm on the way up into it (0: none; the coarsest one's is never used).
        down: `conv` (strided), `max`, `average` or `unshuffle` (+ convolution).
        up: `transposed`, `unpool` (with the encoder's max-pooling indices), `nearest`, `bilinear` (+ convolution) or
            `shuffle` (sub-pixel convolution with ICNR initialisation).
        kernels: side of the resampling convolution; default 2 for strided and transposed, 3 for the others.
        up_kernels: the same in the decoder; default `kernels`.
        skip: how the encoder's features join the decoder's: `none`, `add`, `concat`.
        shortcut: add to each resampling, norm included, a linear one of unoverlapped blocks without bias, so that the
            network can start as a linear block transform and learn only what is better (AuxT, arXiv:2501.13751).
        bias: whether convolutions have one; without, and with ReLU, the network scales with its input (Mohan 2020).
        padding_mode: `zeros`, `replicate`, `circular` (tileable), or `valid`: unpadded convolutions, smaller output.

    Raises:
        ValueError: a name that is not a choice, or lists of different lengths.
    """

    widths: tuple[int, ...]
    blocks: int | tuple[int, ...] = 2
    factors: tuple[int, ...] | None = None
    block: Block = "plain"
    norm: Norm = "none"
    activation: Activation = "relu"
    decoder_activation: Activation | None = None
    bare_ends: bool = False
    dropout: tuple[float, ...] | None = None
    down: Down | tuple[Down, ...] = "conv"
    up: Up | tuple[Up, ...] = "transposed"
    kernels: tuple[int, ...] | None = None
    up_kernels: tuple[int, ...] | None = None
    skip: Skip = "none"
    shortcut: bool = False
    bias: bool = True
    padding_mode: PaddingMode = "zeros"

    def __post_init__(self) -> None:
        check_choice("skip", self.skip, Skip)
        check_choice("padding_mode", self.padding_mode, PaddingMode)
        for name in ("blocks", "factors", "down", "up", "kernels", "up_kernels", "dropout"):
            value = getattr(self, name)
            if isinstance(value, tuple | list) and len(value) != len(self.widths):
                raise ValueError(f"{name} has {len(value)} entries for {len(self.widths)} widths")
        has_blocks = any(self.blocks_at(i) for i in range(len(self.widths)))
        if self.shortcut and (self.factor(0) == 1 or has_blocks):
            raise ValueError("a shortcut needs scales that are resampled and have no blocks")
        if has_blocks and (self.bare_ends or self.dropout):
            raise ValueError("bare_ends and dropout need scales without blocks")

    def blocks_at(self, scale: int) -> int:
        return self.blocks if isinstance(self.blocks, int) else self.blocks[scale]

    def down_at(self, scale: int) -> Down:
        return self.down if isinstance(self.down, str) else self.down[scale]

    def up_at(self, scale: int) -> Up:
        return self.up if isinstance(self.up, str) else self.up[scale]

    def factor(self, scale: int) -> int:
        return self.factors[scale] if self.factors else (1 if scale == 0 else 2)

    def kernel(self, scale: int, kind: Down | Up) -> int:
        return self.kernels[scale] if self.kernels else (2 if kind in ("conv", "transposed") else 3)

    def up_kernel(self, scale: int, kind: Up) -> int:
        return self.up_kernels[scale] if self.up_kernels else self.kernel(scale, kind)

    def activation_on(self, inverse: bool) -> Activation:
        return self.decoder_activation if inverse and self.decoder_activation else self.activation

    @property
    def stride(self) -> int:
        """Pixels of the image per pixel of the coarsest scale."""
        return prod(self.factor(i) for i in range(len(self.widths)))

    def stage(self, c_in: int, scale: int, inverse: bool = False) -> nn.Sequential:
        """The blocks of a scale, from c_in channels to its width."""
        width, blocks, activation = self.widths[scale], self.blocks_at(scale), self.activation_on(inverse)
        return stage(c_in, width, blocks, self.block, self.norm, activation, self.bias, self.padding_mode, inverse)

    def after_resampling(self, scale: int, inverse: bool = False) -> nn.Sequential:
        """Norm, dropout and activation behind the resampling into a scale without blocks; otherwise nothing."""
        if self.blocks_at(scale):
            return nn.Sequential()
        bare = self.bare_ends and not inverse and scale in (0, len(self.widths) - 1)
        norm = [] if bare else norm_layer(self.norm, self.widths[scale], inverse)
        dropout = [Dropout(self.dropout[scale])] if inverse and self.dropout and self.dropout[scale] else []
        return nn.Sequential(*norm, *dropout, *activation_layer(self.activation_on(inverse)))


class Encoder(nn.Module):
    """Image to features at every scale.

    Args:
        in_channels: C of the image.
        layout: the network's shape.

    Shape:
        x: (B, in_channels, H, W), H and W multiples of layout.stride (with `valid` padding: whatever fits).
        returns: features, finest first, [(B, widths[i], H / f_i, W / f_i)], and each scale's pooling indices or None.
    """

    def __init__(self, in_channels: int, layout: Layout) -> None:
        super().__init__()
        self.down, self.stages, self.shortcuts = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        channels = in_channels
        for i, width in enumerate(layout.widths):
            down: nn.Module = nn.Identity()
            if layout.shortcut:
                self.shortcuts.append(nn.Conv2d(channels, width, layout.factor(i), layout.factor(i), bias=False))
            if layout.factor(i) > 1:
                kind = layout.down_at(i)
                down = Downsample(
                    kind, channels, width, layout.factor(i), layout.kernel(i, kind), layout.bias, layout.padding_mode
                )
                channels = down.channels
            self.down.append(down)
            after = layout.after_resampling(i) if layout.factor(i) > 1 and channels == width else nn.Sequential()
            self.stages.append(nn.Sequential(*after, *layout.stage(channels, i)))
            channels = width if layout.blocks_at(i) else channels
            if channels != width:
                raise ValueError(f"scale {i} has no block that could turn {channels} channels into {width}")

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor | None]]:
        features, all_indices = [], []
        for i in range(len(self.down)):
            x, indices = self.step(i, x)
            features.append(x)
            all_indices.append(indices)
        return features, all_indices

    def step(self, scale: int, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """From the features of the scale before (or the image) to those of a scale, and its pooling indices."""
        down, indices = self.down[scale], None
        linear = self.shortcuts[scale](x) if self.shortcuts else None
        if isinstance(down, Downsample):
            x, indices = down(x)
        x = self.stages[scale](x)
        return (x if linear is None else x + linear), indices


class Decoder(nn.Module):
    """Features back to an image, mirroring an Encoder of the same layout.

    Args:
        layout: the network's shape.
        out_channels: C of the result.

    Shape:
        features: as an Encoder returns them; with skip `none` only the last, the coarsest, is read.
        returns: (B, out_channels, H, W).
    """

    def __init__(self, layout: Layout, out_channels: int) -> None:
        super().__init__()
        self.skip, self.valid = layout.skip, layout.padding_mode == "valid"
        self.up, self.after, self.stages = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.shortcuts = nn.ModuleList()
        channels = layout.widths[-1]
        for i in reversed(range(len(layout.widths))):
            finer = layout.widths[i - 1] if i else out_channels
            if layout.shortcut:
                self.shortcuts.append(
                    nn.ConvTranspose2d(channels, finer, layout.factor(i), layout.factor(i), bias=False)
                )
            if layout.factor(i) > 1:
                kind = layout.up_at(i)
                self.up.append(
                    Upsample(
                        kind,
                        channels,
                        finer,
                        layout.factor(i),
                        layout.up_kernel(i, kind),
                        layout.bias,
                        layout.padding_mode,
                    )
                )
            elif i == 0:
                # Ronneberger 2015 ends in a 1x1 convolution; so do we at full resolution.
                self.up.append(conv(channels, finer, 1, bias=layout.bias))
            else:
                raise ValueError("only the first factor may be 1")
            if i == 0:
                break
            self.after.append(layout.after_resampling(i - 1, inverse=True))
            joined = finer * 2 if layout.skip == "concat" else finer
            self.stages.append(layout.stage(joined, i - 1, inverse=True))
            channels = finer if layout.blocks_at(i - 1) else joined

    def forward(self, features: list[Tensor], indices: list[Tensor | None] | None = None) -> Tensor:
        pooling = list(indices) if indices else [None] * len(self.up)
        x = features[-1]
        for scale in reversed(range(len(self.stages))):
            skip = None if self.skip == "none" else features[scale]
            x = self.step(scale, x, skip, pooling[scale + 1])
        return self.finish(x, pooling[0])

    def step(self, scale: int, x: Tensor, skip: Tensor | None, indices: Tensor | None = None) -> Tensor:
        """Up into a scale from the coarser one next to it, joined with the encoder's features of that scale if any."""
        i = len(self.stages) - 1 - scale
        linear = self.shortcuts[i](x) if self.shortcuts else None
        x = self.after[i](self.up[i](x, indices))
        if linear is not None:
            x = x + linear
        return self.stages[i](x if skip is None else self._join(x, skip))

    def finish(self, x: Tensor, indices: Tensor | None = None) -> Tensor:
        """From the finest scale to the image."""
        last = self.up[-1]
        result = last(x, indices) if isinstance(last, Upsample) else last(x)
        return result + self.shortcuts[-1](x) if self.shortcuts else result

    def _join(self, x: Tensor, skip: Tensor) -> Tensor:
        if self.valid:
            skip = center_crop(skip, *x.shape[-2:])
        return x + skip if self.skip == "add" else torch.cat((skip, x), 1)


class EncoderDecoder(nn.Module):
    """An encoder, its mirrored decoder, and the padding that lets any size through.

    Args:
        in_channels: C of the input.
        out_channels: C of the output.
        layout: the network's shape.

    Shape:
        x: (B, in_channels, H, W), any H, W >= 1.
        returns: (B, out_channels, H, W); smaller with `valid` padding.

    Example:
        >>> net = EncoderDecoder(3, 1, Layout(widths=(8, 16, 32), skip="concat"))
        >>> net(torch.rand(2, 3, 33, 50)).shape
        torch.Size([2, 1, 33, 50])

    References: Ronneberger et al. 2015, arXiv:1505.04597.
    """

    def __init__(self, in_channels: int, out_channels: int, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        self.encoder = Encoder(in_channels, layout)
        self.decoder = Decoder(layout, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        if self.layout.padding_mode == "valid":
            return self.decoder(*self.encoder(x))
        height, width = x.shape[-2:]
        padded = pad_to_multiple(x, self.layout.stride, circular=self.layout.padding_mode == "circular")
        return self.decoder(*self.encoder(padded))[..., :height, :width]


def original_unet(in_channels: int = 1, classes: int = 2) -> EncoderDecoder:
    """The U-Net of Ronneberger 2015, Fig. 1: 64 to 1024 channels, two unpadded 3x3 a stage, 31.0 M parameters.

    Shape:
        x: (B, in_channels, 572, 572); returns (B, classes, 388, 388).
    """
    layout = Layout(
        widths=(64, 128, 256, 512, 1024), blocks=2, down="max", up="transposed", skip="concat", padding_mode="valid"
    )
    return EncoderDecoder(in_channels, classes, layout)
