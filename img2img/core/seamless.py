"""A U-Net over an image larger than memory allows, without seams: the fine scales in tiles, the coarse ones whole.

Tiles that are computed alone differ in two ways from the whole: the statistics of instance norms, and what the coarse
scales see. Here neither does. The encoder runs tile by tile down to 1/16 of the size, where the features of the whole
image take less room than the image itself; from there the coarse scales are computed at once; and the decoder goes tile
by tile up again. A norm's statistics are first measured over all tiles, norm after norm. What is left is the few pixels
that fine convolutions miss at the border of a tile: it is computed with them, and they are cut off.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .blocks import InstanceNorm
from .encoder_decoder import EncoderDecoder
from .padding import pad_to_multiple

COARSE = 3  # the scale at which the image is put together: 1/16 of the size
HALO = 4  # pixels of that scale around a tile; the convolutions above it look no further, up and down together


@dataclass(frozen=True)
class Tile:
    """A tile of an image: what is computed, and what is kept of it. In pixels of the image; the ends are exclusive."""

    top: int
    bottom: int
    left: int
    right: int
    kept: tuple[int, int, int, int]

    def of(self, x: Tensor, stride: int) -> Tensor:
        """What is computed, of a map that has one pixel for `stride` pixels of the image."""
        s = stride
        return x[..., self.top // s : self.bottom // s, self.left // s : self.right // s]

    def trim(self, x: Tensor, stride: int) -> Tensor:
        """What is kept, of a map of this tile."""
        top, bottom, left, right = (side // stride for side in self.kept)
        return x[..., top - self.top // stride : bottom - self.top // stride, left - self.left // stride :][
            ..., : right - left
        ]

    def put(self, x: Tensor, into: Tensor, stride: int) -> None:
        """Write what is kept, of a map of this tile, into the map of the whole image."""
        top, bottom, left, right = (side // stride for side in self.kept)
        into[..., top:bottom, left:right] = self.trim(x, stride)


def tiles(height: int, width: int, side: int, halo: int) -> list[Tile]:
    """Tiles that are kept side x side, next to one another, and computed with `halo` pixels more all around."""
    return [
        Tile(
            max(0, top - halo),
            min(height, top + side + halo),
            max(0, left - halo),
            min(width, left + side + halo),
            (top, min(height, top + side), left, min(width, left + side)),
        )
        for top in range(0, height, side)
        for left in range(0, width, side)
    ]


def coarse_scale(net: EncoderDecoder) -> int:
    """The scale at which the whole image is put together: COARSE, or a finer one if there is dropout above it.

    A dropout's noise is drawn for a whole map; so no map with noise may lie in tiles.

    Raises:
        ValueError: a network with blocks, pooling indices, shortcuts or other factors than 2, or of one scale.
    """
    layout, depth = net.layout, len(net.layout.widths)
    kinds = {layout.down_at(i) for i in range(depth)} | {layout.padding_mode}
    strange = any(layout.blocks_at(i) or layout.factor(i) != 2 for i in range(depth)) or layout.shortcut
    if strange or kinds & {"max", "circular", "valid"} or depth < 2:
        raise ValueError("only a U-Net of strided scales without blocks can be computed in such tiles")
    noisy = [i for i in range(depth - 1) if layout.dropout and layout.dropout[i]]
    return min([COARSE, depth - 2, *noisy])


@torch.inference_mode()
def in_tiles(net: EncoderDecoder, image: Tensor, tile: int, device: torch.device | None = None) -> Tensor:
    """What the network makes of an image, with the memory of a tile and of features at 1/16 of the size.

    Equals `net(image)` up to float rounding. Each instance norm of the fine scales costs a pass over the tiles through
    part of the network, so that all takes about three times as long as the whole image at once.

    Args:
        net: a U-Net of strided scales without blocks, in eval mode.
        image: (1, C, H, W), any H, W >= 1; an image of at most tile x tile is computed at once.
        tile: side of what is kept of a tile, in pixels; rounded down to a multiple of 32, at least 32.
        device: where to compute; by default where the image is.

    Returns:
        (1, C', H, W) float32, on the device of the image.

    Raises:
        ValueError: a network that cannot be computed so.
    """
    where = device or image.device
    height, width = image.shape[-2:]
    if max(height, width) <= tile:
        return net(image.to(where)).float().to(image.device)
    return _Pass(net, pad_to_multiple(image, net.layout.stride), max(32, tile // 32 * 32), where).run()[
        ..., :height, :width
    ]


class _Pass:
    """One computation of `in_tiles`: the network, the padded image, its tiles."""

    def __init__(self, net: EncoderDecoder, image: Tensor, side: int, device: torch.device) -> None:
        self.encoder, self.decoder, self.image, self.device = net.encoder, net.decoder, image, device
        self.coarse = coarse_scale(net)
        height, width = image.shape[-2:]
        self.tiles = tiles(height, width, side, HALO * self.stride(self.coarse))
        self.frozen: list[InstanceNorm] = []

    @staticmethod
    def stride(scale: int) -> int:
        """Pixels of the image per pixel of a scale; -1 is the image's own."""
        return 2 ** (scale + 1)

    def run(self) -> Tensor:
        try:
            whole = self.middle(self.encode())
            for scale in reversed(range(self.coarse)):
                norm = self.decoder.after[len(self.decoder.after) - 1 - scale]
                self.freeze(norm, scale, lambda tile, s=scale: self.risen(tile, whole, s))  # type: ignore[misc]
            return self.assemble(-1, lambda tile: self.up(tile, whole, -1), torch.float32, self.image.device)
        finally:
            for norm in self.frozen:
                norm.statistics = None

    def encode(self) -> Tensor:
        """The encoder's features at the coarse scale, of the whole image."""
        for scale in range(self.coarse):
            self.freeze(self.encoder.stages[scale], scale, lambda tile, s=scale: self.lowered(tile, s))  # type: ignore[misc]
        before = self.assemble(self.coarse, lambda tile: self.lowered(tile, self.coarse), None, self.device)
        return self.encoder.stages[self.coarse](before)

    def middle(self, x: Tensor) -> Tensor:
        """Through the coarse scales, down and up again to the one where they begin, joined with the encoder's there."""
        features = [x]
        for scale in range(self.coarse + 1, len(self.encoder.stages)):
            x, _ = self.encoder.step(scale, x)
            features.append(x)
        for scale in reversed(range(self.coarse, len(self.encoder.stages) - 1)):
            skip = None if self.decoder.skip == "none" else features[scale - self.coarse]
            x = self.decoder.step(scale, x, skip)
        return x

    def down(self, tile: Tile, scale: int) -> list[Tensor]:
        """The encoder's features of a tile at the scales before this one."""
        x = tile.of(self.image, 1).to(self.device)
        features = []
        for finer in range(scale):
            x, _ = self.encoder.step(finer, x)
            features.append(x)
        return features

    def lowered(self, tile: Tile, scale: int) -> Tensor:
        """What the encoder's norm at a scale is given."""
        features = self.down(tile, scale)
        x = features[-1] if features else tile.of(self.image, 1).to(self.device)
        result, _ = self.encoder.down[scale](x)
        return result

    def up(self, tile: Tile, whole: Tensor, scale: int) -> Tensor:
        """The decoder's features of a tile at a scale, joined; at -1 the image."""
        x = tile.of(whole, self.stride(self.coarse))
        features = [] if self.decoder.skip == "none" else self.down(tile, self.coarse)
        for finer in reversed(range(max(0, scale), self.coarse)):
            x = self.decoder.step(finer, x, features[finer] if features else None)
        return self.decoder.finish(x) if scale == -1 else x

    def risen(self, tile: Tile, whole: Tensor, scale: int) -> Tensor:
        """What the decoder's norm at a scale is given."""
        x = self.up(tile, whole, scale + 1) if scale + 1 < self.coarse else tile.of(whole, self.stride(self.coarse))
        return self.decoder.up[len(self.decoder.after) - 1 - scale](x)

    def freeze(self, layers: nn.Module, scale: int, given: Callable[[Tile], Tensor]) -> None:
        """Measure what an instance norm is given over the whole image, and let it normalise every tile by that."""
        for norm in layers.children():
            if isinstance(norm, InstanceNorm):
                norm.statistics = moments(tile.trim(given(tile), self.stride(scale)) for tile in self.tiles)
                self.frozen.append(norm)

    def assemble(
        self, scale: int, of: Callable[[Tile], Tensor], dtype: torch.dtype | None, device: torch.device
    ) -> Tensor:
        """The map of the whole image at a scale, from that of each tile."""
        stride, whole = self.stride(scale), None
        for tile in self.tiles:
            x = of(tile)
            if whole is None:
                size = (side // stride for side in self.image.shape[-2:])
                whole = torch.empty(1, x.shape[1], *size, dtype=dtype or x.dtype, device=device)
            tile.put(x.to(device), whole, stride)
        assert whole is not None  # an image has at least one tile
        return whole


def moments(parts: Iterator[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel over the parts of a map, (1, C, h, w) each; returns (C,) twice, float64, CPU.

    References: Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances".
    """
    count = 0
    mean = scatter = torch.zeros((), dtype=torch.float64)
    for part in parts:
        x = part[0].flatten(1)
        x = x if x.dtype == torch.float64 else x.float()
        n = x.shape[1]
        # Joined on the CPU: not every device has float64, and float32 would lose what the variance is made of.
        variance, own_mean = (moment.cpu().double() for moment in torch.var_mean(x, 1, correction=0))
        count += n
        step = own_mean - mean
        mean = mean + step * (n / count)
        scatter = scatter + n * variance + step.square() * (n * (count - n) / count)
    return mean, scatter / count
