"""A sample in, as much of its texture as wanted out: the synthesiser in one call."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
from torch import Generator, Tensor

from ...errors import ImageError
from ...metrics.texture import copy_distances, copy_rate, seam_scores
from ...runtime import available_memory, keep_big_buffers, pick_device, pick_precision
from .colour import Colour, coloured, luminance, match_colours, palette
from .descriptor import Descriptor
from .descriptor_file import load_descriptor
from .judge import Unseen, unseen
from .loss import GramLoss, SlicedWassersteinLoss
from .methods.network import PALETTE, TRAIN_STEPS, Sample, TextureNetwork, train
from .methods.optimize import Loss, Watch, bytes_needed, exactly, optimise
from .methods.patches import synthesised
from .pyramid import Level, Size, levels, resample
from .sheet import parts_of

LossName = Literal["shifted", "gram", "swd"]
Start = Literal["patches", "noise"]

SIZE = (512, 512)
STEPS = {"patches": 30, "noise": 100}  # at full size only; on each level
COPIES = {"shifted": 4, "gram": 3, "swd": 6}  # of the layers that are read; of the memory that a loss takes. Measured
SHIFTS = {2: (2, 4), 3: (1, 2)}  # of relu3_1 and relu4_1: 8 and 16 pixels. Random filters have no such layers
SAMPLE_PIXELS = 2**20  # that are looked at at once; a larger sample is looked at in pieces
PIECES = 16  # of a sample at most, evenly spread


class Texture:
    """Makes textures of any size that look like a sample, or like a mixture of several.

    Example:
        >>> texture = Texture.from_pretrained("random", device="cpu")
        >>> texture(torch.rand(3, 40, 50), size=(24, 36), steps=2).shape
        torch.Size([3, 24, 36])
    """

    def __init__(self, descriptor: Descriptor, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        if not descriptor.circular:
            raise ValueError("textures are made on a torus: the descriptor has to be circular")
        keep_big_buffers()
        self.descriptor, self.device, self.dtype = descriptor.to(device), device, dtype

    @classmethod
    def from_pretrained(
        cls,
        descriptor: str | Path = "vgg-slim",
        weights: str | Path | None = None,
        device: str = "auto",
        precision: str = "auto",
    ) -> Self:
        """A synthesiser with a descriptor by name, or from a file that training wrote.

        Args:
            descriptor: vgg-slim, random, vgg19, or a file that training wrote.
            weights: a file of VGG-19's weights, instead of a download.
            device: auto, cpu, cuda or mps.
            precision: auto (bf16 where the processor is fast at it), fp32 or bf16.

        Raises:
            WeightsError: the weights are missing, damaged or for something else.
            Img2ImgError: the device is not there.
        """
        where = pick_device(device)
        loaded = load_descriptor(descriptor, None if weights is None else Path(weights), where, circular=True)
        return cls(loaded, where, pick_precision(precision, where))

    def __call__(
        self,
        samples: Tensor | Sequence[Tensor],
        size: Size = SIZE,
        *,
        tileable: bool | Literal["x", "y"] = False,
        seed: int = 0,
        mix: Sequence[float] | None = None,
        colour: Colour = "keep",
        loss: LossName = "shifted",
        start: Start | None = None,
        steps: int | None = None,
        watch: Watch | None = None,
    ) -> Tensor:
        """Make one texture.

        Args:
            samples: one (C, h, w) or several, C 1 or 3, values in [0, 1]; any h, w >= 1. Grey ones give a grey texture.
                Of one with more than SAMPLE_PIXELS pixels swd sees the middle; the others see all, up to PIECES times
                as many, evenly spread.
            size: height and width of the texture.
            tileable: whether it has to fit itself at its borders; `x`: only from left to right, `y`: top to bottom.
            seed: the same gives the same texture, another one another; on one machine, with as many threads.
            mix: the samples' shares in the statistics; equal without. They need not sum to 1.
            colour: `keep` what is grown; `match` the distribution of the samples' colours; `luminance` grows that only
                and colours it as the samples' pixels of the same luminance are on average.
            loss: gram (Gatys 2015); shifted, which also compares how the texture goes on (Berger & Memisevic 2017); or
                swd (sliced Wasserstein, Heitz 2021).
            start: from what pixels are changed: patches of the sample put together (methods/patches.py), at full size;
                or noise, on a pyramid of sizes. Without, patches for one sample, noise for several.
            steps: evaluations of the loss, on each level of the pyramid; those of STEPS without.
            watch: is told of every one.

        Returns:
            (C, *size) float32 on the CPU, not clamped.

        Raises:
            ValueError: wrong shapes or numbers.
            ImageError: there is not enough memory for a texture of that size.
        """
        if start is None:
            start = "patches" if len(_listed(samples)) == 1 else "noise"
        steps = STEPS.get(start, 1) if steps is None else steps
        _check(size, steps, colour, loss, start)
        if start == "patches" and len(_listed(samples)) > 1:
            raise ValueError("a start by patches is made of one sample; start a mixture from noise")

        wraps = (tileable in (True, "y"), tileable in (True, "x"))  # from top to bottom, from left to right
        shares = normalised(samples, mix)
        whole = alike(samples)
        if colour == "luminance":
            whole = [luminance(image) for image in whole]

        stretch = _stretch(size, wraps, levels(size, [], wraps, self.descriptor.smallest)[-1].canvas)

        def grown(images: list[Tensor], shares: list[float], pyramid: list[Level]) -> Tensor:
            if start == "noise":
                return self._optimised(images, shares, pyramid, loss, seed, steps, watch)
            begin = _of_patches(whole[0], stretch, pyramid[-1].canvas, seed).to(images[0])
            return self._optimised(images, shares, pyramid[-1:], loss, seed, steps, watch, begin)

        images: list[Tensor] = []
        portions: list[float] = []
        pixels = SAMPLE_PIXELS / (stretch[0] * stretch[1])
        for image, share in zip(whole, shares, strict=True):
            parts = [crop_middle(image, int(pixels))] if loss == "swd" else pieces(image, pixels)
            images += parts
            portions += [share / len(parts)] * len(parts)
        canvas = self._grown(images, portions, size, wraps, self._of_optimiser(loss), grown)
        height, width = (size[i] if wraps[i] else _size(canvas)[i] for i in (0, 1))
        texture = _cut(resample(canvas, (height, width), circular=True), size)[0].cpu()
        if colour == "keep":
            return texture
        colours = palette(alike(samples), shares)
        return match_colours(texture, colours) if colour == "match" else coloured(texture, colours)

    def _optimised(
        self,
        images: list[Tensor],
        shares: list[float],
        pyramid: list[Level],
        loss: LossName,
        seed: int,
        steps: int,
        watch: Watch | None,
        start: Tensor | None = None,
    ) -> Tensor:
        make_loss = partial(_make_loss, loss, seed, self.descriptor.trust)
        return optimise(self.descriptor, images, shares, pyramid, make_loss, seed, steps, self.dtype, watch, start)

    def _grown(
        self,
        images: list[Tensor],
        shares: list[float],
        size: Size,
        wraps: tuple[bool, bool],
        needed: Callable[[Size, int], float],
        grown: Callable[[list[Tensor], list[float], list[Level]], Tensor],
    ) -> Tensor:
        """A canvas of samples (C, h, w) for a texture, (1, C, H, W): a torus."""
        pyramid = levels(size, [_size(image) for image in images], wraps, self.descriptor.smallest)
        self._check_memory(needed(pyramid[-1].canvas, len(images[0])), size)
        with exactly(self.device):
            return grown([image[None].to(self.device) for image in images], shares, pyramid)

    def train(
        self,
        samples: Tensor | Sequence[Tensor],
        *,
        mix: Sequence[float] | None = None,
        colour: Colour = "keep",
        loss: LossName = "gram",
        steps: int = TRAIN_STEPS,
        seed: int = 0,
        about: dict[str, Any] | None = None,
        icc: bytes | None = None,
        watch: Watch | None = None,
        improved: Callable[[TextureNetwork], None] | None = None,
    ) -> TextureNetwork:
        """Train a network that makes such textures at once, of any size (Texture Networks, network.py).

        Args:
            samples: as for a call, but of a large one the middle is used.
            mix: as for a call.
            colour: with `luminance` the network makes that only, and colours it afterwards; the other two are chosen
                when it is used.
            loss: gram or swd, as for a call. Pictures that are compared as one have no neighbours for shifts to see.
            steps: of the training.
            seed: of the training; the same gives the same network.
            about: what the network's file is to say beside.
            icc: the samples' colour profile, for that file.
            watch: is told the loss of every step.
            improved: is given each network that is better than those before it.

        Raises:
            ValueError: wrong shapes or numbers.
        """
        shares = normalised(samples, mix)
        _check((1, 1), steps, colour, loss)
        if loss == "shifted":
            raise ValueError("a network is trained by gram or swd, not by shifted")
        images = [crop_middle(image, SAMPLE_PIXELS) for image in alike(samples)]
        grown = [luminance(image) for image in images] if colour == "luminance" else images
        sample = Sample([image[None].to(self.device) for image in grown], shares, _some(palette(images, shares)))
        make_loss = partial(_make_loss, loss, seed, self.descriptor.trust)
        about = {"loss": loss, **(about or {})}
        return train(self.descriptor, sample, make_loss, steps, seed, self.dtype, about, icc, watch, improved)

    def measure(
        self, texture: Tensor, samples: Tensor | Sequence[Tensor], mix: Sequence[float] | None = None
    ) -> dict[str, Any]:
        """What a texture is worth (see img2img.metrics.texture).

        Args:
            texture: (C, H, W).
            samples: those that it was made of.
            mix: their shares.

        Returns:
            `gram_distance` by layer that no loss saw, `copy_rate`, `copy_distance` (of the median patch) and `seam`.
        """
        shares, images = normalised(samples, mix), alike([texture, *_listed(samples)])
        whole = texture.expand(len(images[0]), -1, -1)
        distances = copy_distances(whole, images[1:])
        seen: list[Tensor] = []
        portions: list[float] = []
        for image, share in zip(images[1:], shares, strict=True):
            parts = pieces(image, SAMPLE_PIXELS)
            seen += parts
            portions += [share / len(parts)] * len(parts)
        shown = crop_middle(images[0], SAMPLE_PIXELS).to(self.device)
        return {
            "gram_distance": self.judge.distance(shown, [piece.to(self.device) for piece in seen], portions),
            "copy_rate": copy_rate(distances),
            "copy_distance": distances.median().item(),
            "seam": seam_scores(texture),
        }

    @cached_property
    def judge(self) -> Unseen:
        """Layers that no loss sees."""
        return unseen(self.descriptor)

    def _of_optimiser(self, loss: LossName) -> Callable[[Size, int], float]:
        """How many bytes a canvas of a size and a number of channels takes to optimise."""
        return lambda canvas, channels: bytes_needed(self.descriptor, canvas, channels, self.dtype, COPIES[loss])

    def _check_memory(self, needed: float, size: Size) -> None:
        there = available_memory(self.device)
        if there is not None and needed > there:
            raise ImageError(
                f"a texture of {size[1]}x{size[0]} pixels takes about {needed / 1e9:.1f} GB of memory,"
                f" {there / 1e9:.1f} GB are free: ask for a smaller one"
            )


def _listed(samples: Tensor | Sequence[Tensor]) -> list[Tensor]:
    return [samples] if isinstance(samples, Tensor) else list(samples)


def normalised(samples: Tensor | Sequence[Tensor], mix: Sequence[float] | None) -> list[float]:
    """The shares of samples in a mixture, which sum to 1.

    Raises:
        ValueError: not one for each sample, negative, or none above 0.
    """
    count = len(_listed(samples))
    shares = [1.0] * count if mix is None else [float(share) for share in mix]
    if len(shares) != count or not count:
        raise ValueError(f"there are {count} samples and {len(shares)} shares in their mixture")
    total = sum(shares)
    if min(shares) < 0 or not 0 < total < float("inf"):
        raise ValueError(f"shares in a mixture are 0 or more, and not all 0, unlike {shares}")
    return [share / total for share in shares]


def alike(samples: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """The samples as float32 on the CPU; grey ones become RGB beside coloured ones.

    Raises:
        ValueError: a sample is neither grey nor RGB.
    """
    images = _listed(samples)
    for image in images:
        if image.ndim != 3 or image.shape[0] not in (1, 3) or not image.numel():
            raise ValueError(f"a sample is (1 or 3, H, W), not {tuple(image.shape)}")
    channels = max(image.shape[0] for image in images)
    return [image.detach().to("cpu", torch.float32).expand(channels, -1, -1) for image in images]


def pieces(sample: Tensor, pixels: float) -> list[Tensor]:
    """A sample (C, H, W) in a grid of pieces that have at most so many pixels; of more than PIECES as many of them."""
    height, width = sample.shape[1:]
    count = math.ceil(height * width / max(1.0, pixels))
    rows = min(height, max(1, round((count * height / width) ** 0.5)))
    columns = min(width, math.ceil(count / rows))
    rows = min(height, math.ceil(count / columns))
    tops, lefts = ([side * i // n for i in range(n + 1)] for side, n in ((height, rows), (width, columns)))
    step = max(1.0, rows * columns / PIECES)
    chosen = [int((i + 0.5) * step) for i in range(min(PIECES, rows * columns))]
    places = [divmod(number, columns) for number in chosen]
    return [sample[:, tops[row] : tops[row + 1], lefts[column] : lefts[column + 1]] for row, column in places]


def _stretch(size: Size, wraps: tuple[bool, bool], canvas: Size) -> tuple[float, float]:
    """How much higher and wider a sample has to be for a canvas than for the texture that it is resampled to."""
    down, right = (whole / side if wrap else 1.0 for whole, side, wrap in zip(canvas, size, wraps, strict=True))
    return down, right


def _of_patches(sample: Tensor, stretch: tuple[float, float], canvas: Size, seed: int) -> Tensor:
    """A texture by patches of a sample (C, h, w), on a canvas for which it is stretched: (1, C, H, W)."""
    part = crop_middle(sample, int(PIECES * SAMPLE_PIXELS / (stretch[0] * stretch[1])))
    height, width = (max(1, round(side * by)) for side, by in zip(_size(part), stretch, strict=True))
    stretched = height, width
    scaled = resample(part[None], stretched, circular=False)[0].clamp(0, 1)
    pixels = scaled.permute(1, 2, 0).numpy()
    usable = np.ones(pixels.shape[:2], bool)
    numbers = synthesised(parts_of([pixels], [usable]), canvas, seed)
    return scaled.flatten(1)[:, torch.from_numpy(numbers).to(scaled.device)][None]


def _check(size: Size, steps: int, colour: str, loss: str, start: str = "patches") -> None:
    if min(size) < 1:
        raise ValueError(f"a texture has at least 1x1 pixels, not {size[1]}x{size[0]}")
    if steps < 1:
        raise ValueError(f"there is at least 1 step, not {steps}")
    for what, value, choices in (("colour", colour, Colour), ("loss", loss, LossName), ("start", start, Start)):
        if value not in get_args(choices):
            raise ValueError(f"{what} is one of {', '.join(get_args(choices))}, not {value!r}")


def _make_loss(
    name: LossName, seed: int, weights: Sequence[float], features: list[Tensor], redraw: bool = False
) -> Loss:
    if name != "swd":
        return GramLoss(features, "relative", weights, SHIFTS if name == "shifted" else None)
    # The same directions at every evaluation where one is compared with the next: by L-BFGS, and to keep the best.
    return SlicedWassersteinLoss(features, Generator().manual_seed(seed), redraw=redraw, weights=weights)


def _size(image: Tensor) -> Size:
    return image.shape[-2], image.shape[-1]


def _cut(canvas: Tensor, size: Size) -> Tensor:
    """The middle of a canvas."""
    top, left = ((canvas.shape[i + 2] - size[i]) // 2 for i in (0, 1))
    return canvas[..., top : top + size[0], left : left + size[1]]


def _some(colours: Tensor) -> Tensor:
    """PALETTE pixels of a palette, chosen by chance; all if it has no more."""
    count = colours.shape[-1]
    if count <= PALETTE:
        return colours
    return colours[..., torch.randperm(count, generator=Generator().manual_seed(0))[:PALETTE]]


def crop_middle(sample: Tensor, pixels: int) -> Tensor:
    """The middle of a sample (C, H, W) that has more pixels, of the same shape; any other as it is."""
    height, width = sample.shape[1:]
    if height * width <= pixels:
        return sample
    shrink = (pixels / (height * width)) ** 0.5
    h, w = max(1, int(height * shrink)), max(1, int(width * shrink))
    h, w = min(h, pixels), min(w, pixels)  # a picture of one row is still one
    top, left = (height - h) // 2, (width - w) // 2
    return sample[:, top : top + h, left : left + w]
