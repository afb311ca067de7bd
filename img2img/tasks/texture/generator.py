"""The generator of Texture Networks: noise at every scale in, a texture of any size out, whole or tile by tile.

Whole, it is computed on a torus, as it is trained; tile by tile, by convolutions without padding, from noise that
reaches as far beyond the tile as they look. Both are one network: its weights fit either.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ...core.blocks import InstanceNorm, Norm, PlainBlock, check_choice, conv, stage
from ...core.padding import center_crop
from .pyramid import Size

GeneratorPadding = Literal["circular", "valid"]
GeneratorNorm = Literal["instance", "none"]

MAX_SCALES, MAX_CHANNELS = 8, 512  # of a network that a file describes: beyond that it is damaged
BLOCK = 32  # side of the squares in which noise is drawn


class TextureGenerator(nn.Module):
    """Grows a texture from noise, coarse to fine: at each scale noise joins what has come up from the one below.

    A noise map passes a convolution, is joined with the coarser features (these enlarged by nearest neighbours;
    channels side by side), and both pass the scale's convolutions; the finest features become colours by a 1x1
    convolution and a sigmoid.

    Departs from the paper in the widths, which here are wide where pixels are few; in instance norms (the follow-up);
    in one convolution for the noise instead of three, two instead of three for what is joined; and in the sigmoid.

    Args:
        channels: of the texture, 1 or 3.
        widths: feature maps of each scale, finest first; every further one has half the height and width.
        noise: channels of each noise map.
        excited: feature maps that a noise map becomes.
        blocks: convolutions of each scale.
        norm: `instance`, or `none` for a network whose norms are folded into its convolutions (`folded`).
        padding_mode: `circular`, on a torus; `valid`, for tiles, with noise around them (`halos`).

    Shape:
        noises: one map (B, noise, H / 2^i, W / 2^i) for each scale i, finest first; with `valid` padding larger by
            `halos()` on each side.
        returns: (B, channels, H, W), float32 in [0, 1].

    Raises:
        ValueError: an argument out of range.

    Example:
        >>> net = TextureGenerator(widths=(8, 8, 8), norm="none")
        >>> net([torch.rand(2, 3, 24 // s, 32 // s) for s in (1, 2, 4)]).shape
        torch.Size([2, 3, 24, 32])

    References: Ulyanov et al. 2016, arXiv:1603.03417 (Texture Networks); 2017, arXiv:1701.02096 (instance norm).
    """

    def __init__(
        self,
        channels: int = 3,
        widths: Sequence[int] = (32, 40, 56, 64, 64),
        noise: int = 3,
        excited: int = 8,
        blocks: int = 2,
        norm: GeneratorNorm = "instance",
        padding_mode: GeneratorPadding = "circular",
    ) -> None:
        super().__init__()
        check_choice("norm", norm, GeneratorNorm)
        check_choice("padding_mode", padding_mode, GeneratorPadding)
        if channels not in (1, 3) or not 1 <= len(widths) <= MAX_SCALES or not 1 <= blocks <= MAX_SCALES:
            raise ValueError(f"a texture has 1 or 3 channels and 1 to {MAX_SCALES} scales and blocks, not {channels}")
        if not all(1 <= each <= MAX_CHANNELS for each in (*widths, noise, excited)):
            raise ValueError(f"there are 1 to {MAX_CHANNELS} feature maps, not {tuple(widths)}, {noise}, {excited}")
        self.channels, self.widths, self.blocks = channels, tuple(widths), blocks
        self.noise, self.excited, self.norm = noise, excited, norm
        self.exciting, self.stages = nn.ModuleList(), nn.ModuleList()
        inside: tuple[Norm, Literal["leaky_relu"], bool] = (norm, "leaky_relu", norm == "none")  # or the norm's bias
        for width, coarser in zip(widths, (*widths[1:], 0), strict=True):
            self.exciting.append(PlainBlock(noise, excited, *inside, padding_mode))
            self.stages.append(stage(coarser + excited, width, blocks, "plain", *inside, padding_mode))
        self.image = conv(widths[0], channels, 1)

    def forward(self, noises: Sequence[Tensor]) -> Tensor:
        x: Tensor | None = None
        for scale in reversed(range(len(self.widths))):
            z = self.exciting[scale](noises[scale])
            x = self.stages[scale](z if x is None else join(x, z))
        assert x is not None  # there is at least one scale
        with torch.autocast(x.device.type, enabled=False):  # bf16 has 8 bits, and a picture may have 16
            return torch.sigmoid(self.image(x.float()))

    @property
    def stride(self) -> int:
        """Pixels of the texture per pixel of the coarsest scale."""
        return int(2 ** (len(self.widths) - 1))

    @property
    def config(self) -> dict[str, object]:
        """The arguments that build this network, but for the padding."""
        names = ("channels", "widths", "noise", "excited", "blocks", "norm")
        return {name: getattr(self, name) for name in names}

    def halos(self) -> list[int]:
        """For each scale, how many pixels of noise beyond a tile's sides have a part in it."""
        beyond, halos = 0, []
        for _ in self.widths:
            halos.append(beyond + self.blocks + 1)
            beyond = (beyond + self.blocks + 1) // 2
        return halos

    def convolutions(self) -> list[nn.Conv2d]:
        """All but the last, which makes colours."""
        return [m for part in (self.exciting, self.stages) for m in part.modules() if isinstance(m, nn.Conv2d)]

    def norms(self) -> list[InstanceNorm]:
        """One for each of `convolutions`, if there are any."""
        return [m for part in (self.exciting, self.stages) for m in part.modules() if isinstance(m, InstanceNorm)]


def join(coarse: Tensor, fine: Tensor) -> Tensor:
    """Coarse features enlarged twofold by nearest neighbours, cut to the fine ones' size, before these."""
    enlarged = F.interpolate(coarse, scale_factor=2, mode="nearest")
    return torch.cat((center_crop(enlarged, *fine.shape[-2:]), fine), 1)


@torch.no_grad()
def measure_statistics(net: TextureGenerator, noises: Sequence[Tensor]) -> None:
    """Fix every norm's mean and variance to those over all pictures of a batch, norm after norm.

    A small torus' own statistics differ from a large one's, let alone from a tile's. With fixed ones a texture of any
    size is made alike, wherever it is cut.
    """

    def measured(norm: nn.Module, arguments: tuple[Tensor]) -> None:
        assert isinstance(norm, InstanceNorm)
        variance, mean = torch.var_mean(arguments[0].float(), (0, 2, 3), correction=0)
        norm.statistics = mean, variance

    hooks = [norm.register_forward_pre_hook(measured) for norm in net.norms()]
    try:
        net(noises)
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def folded(net: TextureGenerator, padding_mode: GeneratorPadding = "valid") -> TextureGenerator:
    """The same network without norms: these, whose statistics are fixed, become part of the convolutions.

    Rounded to fp16, as weights are stored, so that a network does the same before it is saved and after.

    Raises:
        ValueError: a norm has no fixed statistics.
    """
    arguments = net.config | {"norm": "none", "padding_mode": padding_mode}
    plain = TextureGenerator(**arguments).to(net.image.weight)  # type: ignore[arg-type]
    for source, norm, target in zip(net.convolutions(), net.norms(), plain.convolutions(), strict=True):
        if norm.statistics is None:
            raise ValueError("the statistics of the norms have to be measured first")
        assert target.bias is not None
        mean, variance = norm.statistics
        scale = norm.weight * torch.rsqrt(variance + norm.eps)
        target.weight.copy_(source.weight * scale[:, None, None, None])
        target.bias.copy_(norm.bias - mean * scale)
    plain.image.load_state_dict(net.image.state_dict())
    for parameter in plain.parameters():
        parameter.copy_(parameter.half())
    return plain.eval().requires_grad_(False)


class NoiseField:
    """Noise on a torus at every scale; what it is at a place depends on the seed and the place alone.

    Uniform, with mean 0 and variance 1. Each square of BLOCK pixels has a generator of its own, on the CPU, so any
    window can be drawn without the rest, and on every device the same.

    Args:
        seed: of the noise.
        size: height and width of the torus at the finest scale, multiples of the network's stride.
        channels: of each map.
    """

    def __init__(self, seed: int, size: Size, channels: int) -> None:
        self.seed, self.size, self.channels = seed, size, channels
        self._block = lru_cache(128)(self._draw)  # a window takes parts of the blocks that the next one takes, too

    def window(self, scale: int, top: int, left: int, height: int, width: int) -> Tensor:
        """A part of a scale's map, (1, channels, height, width); it may reach beyond the torus, and comes in again."""
        rows, columns = (max(1, side >> scale) for side in self.size)
        window = torch.empty(1, self.channels, height, width)
        for down, row, from_row, count in _pieces(top, height, rows):
            for right, column, from_column, length in _pieces(left, width, columns):
                block = self._block(scale, row, column)
                part = block[:, from_row : from_row + count, from_column : from_column + length]
                window[0, :, down : down + count, right : right + length] = part
        return window

    def _draw(self, scale: int, row: int, column: int) -> Tensor:
        text = f"{self.seed} {scale} {row} {column}".encode()
        generator = Generator().manual_seed(int.from_bytes(hashlib.blake2b(text, digest_size=4).digest()))
        return standardised(torch.rand(self.channels, BLOCK, BLOCK, generator=generator))


def standardised(uniform: Tensor) -> Tensor:
    """Uniform numbers in [0, 1) as ones with mean 0 and variance 1."""
    return (uniform - 0.5) * 12**0.5


def _pieces(begin: int, length: int, around: int) -> Iterator[tuple[int, int, int, int]]:
    """A stretch of an axis that wraps `around`, cut where blocks begin.

    Yields, for each piece: its place in the stretch, its block, its place in the block, its length.
    """
    done = 0
    while done < length:
        at = (begin + done) % around
        block, inside = divmod(at, BLOCK)
        count = min(length - done, BLOCK - inside, around - at)
        yield done, block, inside, count
        done += count


def random_noises(net: TextureGenerator, batch: int, size: Size, generator: Generator) -> list[Tensor]:
    """Noise for `batch` tori, drawn one after the other from one generator: finest scale first."""
    return [
        standardised(torch.rand(batch, net.noise, size[0] >> i, size[1] >> i, generator=generator))
        for i in range(len(net.widths))
    ]


@torch.inference_mode()
def grow(net: TextureGenerator, size: Size, seed: int, tile: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """A texture on a torus, tile by tile: the same as at once, with the memory of the result and of one tile.

    Args:
        net: without norms and with `valid` padding, on the device and of the type.
        size: height and width, multiples of the network's stride.
        seed: of the noise.
        tile: side of the tiles in pixels, a multiple of the network's stride.
        device: of the network.
        dtype: of its convolutions.

    Returns:
        (1, channels, *size), float32 on the CPU.
    """
    height, width = size
    field = NoiseField(seed, size, net.noise)
    whole = torch.empty(1, net.channels, height, width)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            h, w = min(tile, height - top), min(tile, width - left)
            noises = [
                field.window(i, (top >> i) - halo, (left >> i) - halo, (h >> i) + 2 * halo, (w >> i) + 2 * halo)
                .to(device, dtype)
                .contiguous(memory_format=torch.channels_last)
                for i, halo in enumerate(net.halos())
            ]
            whole[..., top : top + h, left : left + w] = net(noises)
    return whole
