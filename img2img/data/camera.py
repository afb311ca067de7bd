"""Camera noise: what a picture looks like after a sensor's noise has gone through a camera's own processing.

A clean picture is taken back to linear raw values, gets a sensor's noise behind a Bayer mosaic, and is developed again:
demosaicing, white balance, colour matrix, tone curve, smoothing, sharpening, resizing, JPEG. The truth is what the mean
of many such shots would be, not the scene: a tone curve makes noisy shadows darker or lighter on average, black cuts
half of their noise off, and a network that took this back would change colours wherever it finds noise.

References: Brooks et al. 2019, arXiv:1811.11127 (unprocessing); Foi et al. 2008 (variance a x + b); Wei et al. 2020,
    arXiv:2003.12751 (row noise, heavy tails); Malvar, He & Cutler 2004, and Hamilton & Adams 1997 (demosaicing).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from .filters import filtered, gaussian, in_luma_chroma, in_rgb
from .noise import to_eight_bits
from .rework import through_jpeg, worked_over

MARGIN = 12  # pixels round a crop that filters spoil: the caller gives them, `photograph` takes them away


@dataclass(frozen=True)
class CameraRange:
    """The cameras, sensitivities and settings that pictures are drawn from.

    Args:
        shot: least and largest variance of the shot noise at white, drawn evenly by its logarithm: about ISO 100 of a
            full-frame camera to a telephone's pushed night shot.
        tone: share developed with a contrast curve (smoothstep, as Brooks 2019).
        matrix: share with a colour matrix between the sensor's colours and sRGB.
        mosaic: share taken behind a Bayer mosaic; the others have three sensors, or were made much smaller.
        row: share with row noise; heavy: share whose read noise has heavy tails (Wei 2020).
        smooth: share whose camera smooths colours, and lightness a little.
        shrink: share whose camera takes small wavelet coefficients for noise.
        sharpen: share sharpened afterwards.
        blotch: share with coarse noise, as a fixed pattern and smoothing at a coarser scale leave it.
        resize: share made smaller or larger afterwards.
        worked: share worked over by other programs afterwards (`data.rework`).
        compress: share saved as JPEG, a fifth of them twice.
        quality: lowest and highest quality of that JPEG.
    """

    shot: tuple[float, float] = (1e-4, 4e-2)
    tone: float = 0.6
    matrix: float = 1.0
    mosaic: float = 0.9
    row: float = 0.2
    heavy: float = 0.2
    smooth: float = 0.93
    shrink: float = 0.25
    sharpen: float = 0.35
    blotch: float = 0.5
    resize: float = 0.35
    worked: float = 0.0
    compress: float = 0.8
    quality: tuple[int, int] = (65, 99)


def photograph(clean: Tensor, cameras: CameraRange, generator: Generator) -> tuple[Tensor, Tensor]:
    """Take each picture of a batch by another camera.

    Args:
        clean: (B, 3, H, W), sRGB in [0, 1], MARGIN pixels larger on each side than what is wanted.
        cameras: what is drawn from.
        generator: on the device of clean; all randomness comes from it or from its seed.

    Returns:
        the picture without noise and with it, both (B, 3, H - 2 MARGIN, W - 2 MARGIN) in [0, 1]; the noisy one in steps
        of 1 / 255.
    """
    seeded = Random(generator.initial_seed())
    n = len(clean)
    size = [side - 2 * MARGIN for side in clean.shape[-2:]]
    # Resized pictures come first: one scale a batch, because all of a batch have one size.
    resized = _dithered(n * cameras.resize, seeded)
    groups = [(slice(0, resized), math.exp(seeded.uniform(math.log(0.5), math.log(1.4)))), (slice(resized, n), 1.0)]
    taken = [_take(clean[part], cameras, scale, generator, seeded) for part, scale in groups if part.stop > part.start]
    pictures, noisy = (torch.cat(halves) for halves in zip(*taken, strict=True))
    for i in range(n):
        if seeded.random() < cameras.worked:
            pictures[i : i + 1], noisy[i : i + 1] = worked_over(
                pictures[i : i + 1], noisy[i : i + 1], generator, seeded
            )
    top, left = ((taken_side - wanted) // 2 for taken_side, wanted in zip(pictures.shape[-2:], size, strict=True))
    # JPEG's blocks begin at the picture's corner, which lies anywhere beside a crop.
    shift_y, shift_x = seeded.randrange(8), seeded.randrange(8)
    cut = (..., slice(top - shift_y, top + size[0]), slice(left - shift_x, left + size[1]))
    compressed = compress_some(noisy[cut], cameras, seeded)
    return pictures[..., top : top + size[0], left : left + size[1]].contiguous(), compressed[
        ..., shift_y:, shift_x:
    ].contiguous()


def _dithered(expected: float, seeded: Random) -> int:
    """A whole number whose mean is `expected`."""
    return int(expected + seeded.random())


def _take(
    clean: Tensor, cameras: CameraRange, scale: float, generator: Generator, seeded: Random
) -> tuple[Tensor, Tensor]:
    """One camera for each picture; the camera sees 1 / scale times as many pixels as the picture has in the end."""
    size = list(clean.shape[-2:])
    scene = clean if scale == 1 else _resize(clean, [max(48, round(side / scale / 2) * 2) for side in size], "bicubic")
    camera = _Camera(len(clean), cameras, generator)
    raw = camera.unprocess(scene)
    noisy_raw = camera.expose(raw)
    pictures, noisy = camera.develop(raw, noisy_raw, seeded)
    if scale != 1:
        kind = seeded.choice(("bicubic", "bicubic", "bilinear"))
        pictures, noisy = _resize(pictures, size, kind), _resize(noisy, size, kind)
    return pictures, noisy


def _resize(x: Tensor, size: list[int], kind: str) -> Tensor:
    return F.interpolate(x, size, mode=kind, antialias=True, align_corners=False).clamp(0, 1)


class _Camera:
    """n cameras with their settings, one a picture."""

    def __init__(self, n: int, cameras: CameraRange, generator: Generator) -> None:
        self.n, self.generator, self.device = n, generator, generator.device

        def some(share: float) -> Tensor:
            return (self.uniform(0, 1) < share).float()

        low, high = (math.log(v) for v in cameras.shot)
        self.shot = self.uniform(low, high).exp()
        # Brooks 2019, equation 2: the logarithm of the read noise's variance follows that of the shot noise's.
        self.read = (2.18 * self.shot.log() + 1.2 + 0.4 * self.normal(n, 1, 1, 1)).exp().clamp(1e-9, 2e-3)
        self.row, self.heavy = some(cameras.row) * self.uniform(0.1, 0.5), some(cameras.heavy)
        self.tone, self.matrix = some(cameras.tone), self._matrix(some(cameras.matrix))
        red, blue = 1 / self.uniform(1.4, 2.6), 1 / self.uniform(1.3, 2.4)
        self.balance = torch.cat([red, torch.ones_like(red), blue], 1)
        self.mosaic = cameras.mosaic
        smooth = some(cameras.smooth)
        self.chroma_width = smooth * self.uniform(1.2, 6)
        self.luma_width, self.luma_share = smooth * self.uniform(0.5, 1.4), self.uniform(0.75, 1)
        self.sharpen, self.sharpen_width = some(cameras.sharpen) * self.uniform(0.2, 1.0), self.uniform(0.6, 1.6)
        self.shrink = some(cameras.shrink) * self.uniform(0.5, 2.0)
        self.blotch, self.blotch_width = some(cameras.blotch) * self.uniform(0.05, 0.6), self.uniform(1.5, 9)

    def uniform(self, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(self.n, 1, 1, 1, generator=self.generator, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, device=self.device)

    def _matrix(self, has_one: Tensor) -> Tensor:
        """Colour matrices (n, 3, 3) from the sensor's colours to sRGB; rows sum to 1, so that grey stays grey."""
        others = -0.3 + 0.35 * torch.rand(self.n, 3, 3, generator=self.generator, device=self.device)
        eye = torch.eye(3, device=self.device)
        others = others * (1 - eye) * has_one[..., 0]
        return others + eye * (1 - others.sum(2, keepdim=True))

    def unprocess(self, picture: Tensor) -> Tensor:
        """SRGB to what a noiseless sensor with three colours at every pixel would read, in [0, 1]."""
        curved = 0.5 - torch.sin(torch.asin((1 - 2 * picture).clamp(-1, 1)) / 3)
        linear = to_linear(torch.lerp(picture, curved, self.tone))
        sensor = torch.einsum("nij,njhw->nihw", torch.linalg.inv(self.matrix), linear).clamp(0, 1)
        return sensor * self.balance

    def expose(self, raw: Tensor) -> Tensor:
        """The same with the sensor's noise, independent at each of three colours a pixel."""
        read = self.normal(*raw.shape)
        # A Gaussian whose own width varies has heavy tails; divided by the root of exp(2 s^2) its variance is 1.
        spread = 0.5 * self.heavy
        read = read * torch.exp(spread * self.normal(*raw.shape) - spread.square())
        noisy = raw + (self.shot * raw).sqrt() * self.normal(*raw.shape) + self.read.sqrt() * read
        rows = self.normal(self.n, 1, raw.shape[2], 1)
        return noisy + self.read.sqrt() * self.row * rows

    def develop(self, raw: Tensor, noisy_raw: Tensor, seeded: Random) -> tuple[Tensor, Tensor]:
        """Both as sRGB pictures in [0, 1], the first the mean of many shots, the other one of them."""
        kinds = self._kinds(seeded)
        clean = self._mean_colours(demosaiced(raw, kinds), kinds)
        noisy = self._colours(demosaiced(noisy_raw.clamp(-0.05, 1), kinds) + self._blotches(raw))
        noisy = self._shrunk(noisy, clean)
        return tuple(self._filtered(picture) for picture in (clean, noisy))  # type: ignore[return-value]

    def _kinds(self, seeded: Random) -> list[tuple[slice, str]]:
        """Which slice of the batch is demosaiced how: whole slices, so that each kind is computed once."""
        behind = _dithered(self.n * self.mosaic, seeded)
        names = list(DEMOSAICING)
        seeded.shuffle(names)
        cuts = [0, *sorted(seeded.randint(0, behind) for _ in names[1:]), behind, self.n]
        named = zip([*names, "none"], cuts[:-1], cuts[1:], strict=True)
        return [(slice(begin, end), name) for name, begin, end in named if end > begin]

    def _blotches(self, raw: Tensor) -> Tensor:
        """Coarse noise that follows the fine one's size."""
        if not self.blotch.any():
            return torch.zeros_like(raw)
        # Partly the same in all colours: what smoothing at a coarser scale leaves is grey as well as coloured.
        noise = 0.5 * self.normal(*raw.shape) + 0.87 * self.normal(self.n, 1, *raw.shape[2:])
        coarse = filtered(noise, lambda f: gaussian(self.blotch_width, f))
        # White noise behind a Gaussian filter of width w keeps 1 / (4 pi w^2) of its variance.
        unit = coarse * (2 * self.blotch_width * math.pi**0.5)
        return unit * self.blotch * (self.shot * raw + self.read).sqrt()

    def _colours(self, sensor: Tensor) -> Tensor:
        """White balance, matrix, gamma, tone curve."""
        linear = torch.einsum("nij,njhw->nihw", self.matrix, (sensor / self.balance).clamp(0, 1))
        picture = to_srgb(linear.clamp(0, 1)).clamp(0, 1)
        return torch.lerp(picture, picture.square() * (3 - 2 * picture), self.tone)

    def _mean_colours(self, sensor: Tensor, kinds: list[tuple[slice, str]]) -> Tensor:
        """The mean of `_colours` over the sensor's noise, independent in three channels.

        By points of a cube's corners at the radii and weights of four-point Gauss-Hermite quadrature.
        """
        left = torch.cat([sensor.new_full((part.stop - part.start, 1, 1, 1), LEFT[name]) for part, name in kinds])
        sigma = ((left + self.blotch.square()) * (self.shot * sensor.clamp_min(0) + self.read)).sqrt()
        corners = sensor.new_tensor(((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)))
        mean = torch.zeros_like(sensor)
        for radius, weight in ((0.7420, 0.9082), (-2.3344, 0.0918)):  # the opposite corners for the other radius
            for corner in corners:
                mean += self._colours(sensor + sigma * (radius * corner).view(3, 1, 1)) * (weight / 4)
        return mean

    def _shrunk(self, noisy: Tensor, clean: Tensor) -> Tensor:
        """Details smaller than a multiple of the noise's size made smaller still: soft thresholds at two fine scales.

        The undecimated spline wavelets of Starck 1998, on lightness; the size is that of the noise that is there.
        """
        chosen = self.shrink.flatten().nonzero().flatten()
        if len(chosen) == 0:
            return noisy
        result = noisy.clone()
        y = in_luma_chroma(noisy[chosen])
        luma, rest = y[:, :1], y[:, 1:]
        level = (luma - in_luma_chroma(clean[chosen])[:, :1]).square().mean((2, 3), keepdim=True).sqrt()
        for distance, share in ((1, 0.8), (2, 0.2)):  # of white noise's deviation, what these scales hold
            coarse = _spline(luma, distance)
            detail = luma - coarse
            threshold = self.shrink[chosen] * level * share
            luma = coarse + detail.sign() * (detail.abs() - threshold).clamp_min(0)
        result[chosen] = in_rgb(torch.cat((luma, rest), 1)).clamp(0, 1)
        return result

    def _filtered(self, picture: Tensor) -> Tensor:
        """Colours smoothed, lightness smoothed less and sharpened."""

        def response(frequency: Tensor) -> Tensor:
            luma = 1 - self.luma_share + self.luma_share * gaussian(self.luma_width, frequency)
            luma = luma * (1 + self.sharpen * (1 - gaussian(self.sharpen_width, frequency)))
            chroma = gaussian(self.chroma_width, frequency)
            return torch.cat((luma, chroma, chroma), 1)

        return in_rgb(filtered(in_luma_chroma(picture), response)).clamp(0, 1)


def to_linear(x: Tensor) -> Tensor:
    """SRGB to linear light, both in [0, 1] (IEC 61966-2-1)."""
    return torch.where(x <= 0.04045, x / 12.92, ((x.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


def to_srgb(x: Tensor) -> Tensor:
    """Linear light to sRGB, both in [0, 1] (IEC 61966-2-1)."""
    return torch.where(x <= 0.0031308, 12.92 * x, 1.055 * x.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)


def _spline(x: Tensor, distance: int) -> Tensor:
    """The kernel (1 4 6 4 1) / 16 along both axes, its taps `distance` pixels apart."""
    taps = x.new_tensor((1, 4, 6, 4, 1)) / 16
    reach = 2 * distance
    padded = F.pad(x, (reach,) * 4, mode="reflect")
    across = F.conv2d(padded, taps.view(1, 1, 1, 5), dilation=(1, distance))
    return F.conv2d(across, taps.view(1, 1, 5, 1), dilation=(distance, 1))


# Demosaicing. A mosaic is RGGB: red at even rows and columns, blue at odd ones, green elsewhere.


def colour_masks(like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where a mosaic of the size of (..., H, W) reads red, green and blue: three (1, 1, H, W) of 0 and 1."""
    height, width = like.shape[-2:]
    odd_row = (torch.arange(height, device=like.device) % 2).view(1, 1, -1, 1).float()
    odd_column = (torch.arange(width, device=like.device) % 2).view(1, 1, 1, -1).float()
    red, blue = (1 - odd_row) * (1 - odd_column), odd_row * odd_column
    return red, 1 - red - blue, blue


Kernel: TypeAlias = Sequence[Sequence[float]]


def _filters(x: Tensor, *kernels: Kernel) -> list[Tensor]:
    """What each kernel makes of (B, 1, H, W), or the i-th of the i-th of as many channels."""
    reach = len(kernels[0]) // 2
    weight = x.new_tensor(kernels)
    # Channels by a dense convolution, most of it zeros: quicker than one for each.
    weight = weight[:, None] if x.shape[1] == 1 else torch.diag_embed(weight.permute(1, 2, 0)).permute(2, 3, 0, 1)
    return list(F.conv2d(F.pad(x, (reach,) * 4, mode="reflect"), weight).split(1, 1))


CORNERS: Kernel = [[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]]
CROSS: Kernel = [[0, 0.25, 0], [0.25, 1, 0.25], [0, 0.25, 0]]


def bilinear(mosaic: Tensor) -> Tensor:
    """Missing colours as the mean of their nearest neighbours: (B, 1, H, W) to (B, 3, H, W)."""
    masks = torch.cat(colour_masks(mosaic), 1)
    return torch.cat(_filters(mosaic * masks, CORNERS, CROSS, CORNERS), 1)


def malvar(mosaic: Tensor) -> Tensor:
    """Bilinear, corrected by the Laplacian of the colour that is there (Malvar, He & Cutler 2004, figure 2)."""
    red, green, blue = colour_masks(mosaic)
    green_there: Kernel = [[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]]
    beside: Kernel = [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]]
    above: Kernel = [list(column) for column in zip(*beside, strict=True)]
    across: Kernel = [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]]

    even_row = (1 - torch.arange(mosaic.shape[-2], device=mosaic.device) % 2).view(1, 1, -1, 1)
    in_red_row, in_blue_row = green * even_row, green * (1 - even_row)
    other, horizontal, vertical, diagonal = _filters(mosaic / 8, green_there, beside, above, across)
    return torch.cat(
        [
            red * mosaic + in_red_row * horizontal + in_blue_row * vertical + blue * diagonal,
            green * mosaic + (1 - green) * other,
            blue * mosaic + in_blue_row * horizontal + in_red_row * vertical + red * diagonal,
        ],
        1,
    )


def edge_directed(mosaic: Tensor) -> Tensor:
    """Green along the direction that changes less, then red and blue by their smooth difference from green.

    References: Hamilton & Adams 1997, US patent 5629734 (expired).
    """
    red, green, blue = colour_masks(mosaic)
    padded = F.pad(mosaic, (2,) * 4, mode="reflect")
    height, width = mosaic.shape[-2:]

    def at(down: int, right: int) -> Tensor:
        return padded[..., 2 + down : 2 + down + height, 2 + right : 2 + right + width]

    def along(down: int, right: int) -> tuple[Tensor, Tensor]:
        """How much the mosaic changes along a direction, and green interpolated along it."""
        one, other = at(-down, -right), at(down, right)
        curvature = 2 * mosaic - at(-2 * down, -2 * right) - at(2 * down, 2 * right)
        return (one - other).abs() + curvature.abs(), (one + other) / 2 + curvature / 4

    (change_h, green_h), (change_v, green_v) = along(0, 1), along(1, 0)
    guess = torch.where(
        change_h < change_v, green_h, torch.where(change_v < change_h, green_v, (green_h + green_v) / 2)
    )
    full = green * mosaic + (1 - green) * guess
    differences = _filters((mosaic - full) * torch.cat((red, blue), 1), CORNERS, CORNERS)
    return torch.cat([full + differences[0], full, full + differences[1]], 1)


DEMOSAICING: dict[str, Callable[[Tensor], Tensor]] = {
    "bilinear": bilinear,
    "malvar": malvar,
    "edge-directed": edge_directed,
}
# The share of white noise's variance that is there afterwards, averaged over pixels and channels; a test measures it.
LEFT = {"bilinear": 0.59, "malvar": 0.92, "edge-directed": 0.95, "none": 1.0}


def demosaiced(sensor: Tensor, kinds: list[tuple[slice, str]]) -> Tensor:
    """What a demosaicing makes of the samples that a mosaic lets through; `none` keeps all three colours."""
    masks = torch.cat(colour_masks(sensor), 1)
    parts = [
        sensor[part] if name == "none" else DEMOSAICING[name]((sensor[part] * masks).sum(1, keepdim=True))
        for part, name in kinds
    ]
    return torch.cat(parts)


# Files.


def compress_some(pictures: Tensor, cameras: CameraRange, seeded: Random) -> Tensor:
    """Most pictures of a batch through JPEG, some of them twice; all in steps of 1 / 255."""
    pictures = to_eight_bits(pictures)
    chosen = [i for i in range(len(pictures)) if seeded.random() < cameras.compress]
    while chosen:
        qualities = [seeded.randint(*cameras.quality) for _ in chosen]
        pictures[chosen] = through_jpeg(pictures[chosen], qualities, seeded)
        chosen = [i for i in chosen if seeded.random() < 0.2]
    return pictures
