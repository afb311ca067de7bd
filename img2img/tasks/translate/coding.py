"""Between images and what the networks see: RGB as it is, or lightness in and colour out.

The same functions serve pipelines, which speak NumPy, and training and exports, which speak PyTorch: an image here is
an array or a tensor, and what is made of it is the same kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from ...core.luma import LUMA
from ...errors import ImageError

if TYPE_CHECKING:
    from torch import Tensor

Image: TypeAlias = Any  # np.ndarray or Tensor, (B, C, H, W)

AB = 110.0  # sRGB's colours have a and b between -108 and 99
BAND = 2**21  # pixels converted at a time
HALVINGS = 20
LUMINANCE = (0.212671, 0.715160, 0.072169)  # of linear sRGB
TO_XYZ = ((0.412453, 0.357580, 0.180423), LUMINANCE, (0.019334, 0.119193, 0.950227))
WHITE = (0.95047, 1.0, 1.08883)  # D65, X, Y and Z
TO_SRGB = (  # from X, Y and Z to linear sRGB
    (3.2404813432005266, -1.5371515162713185, -0.4985363261688878),
    (-0.9692549499965682, 1.8759900014898907, 0.0415559265582928),
    (0.0556466391351772, -0.2040413383665112, 1.0573110696453443),
)


def library(x: Image) -> Any:
    """NumPy for arrays, PyTorch for tensors; what is used of them here is called alike in both."""
    if isinstance(x, np.ndarray):
        return np
    import torch

    return torch


def exporting(x: Image) -> bool:
    """Whether a graph is traced that is to serve every picture."""
    return not isinstance(x, np.ndarray) and bool(library(x).onnx.is_in_onnx_export())


class Coding(Protocol):
    """How images become a network's numbers, and its numbers an image.

    Attributes:
        channels: of the image that it makes.
    """

    channels: int

    def source(self, image: Image) -> Image:
        """The network's input for images (B, C, H, W) in [0, 1]: (B, in_channels, H, W) in [-1, 1]."""
        ...

    def target(self, image: Image) -> Image:
        """What the network should give for images like these: (B, out_channels, H, W) in [-1, 1]."""
        ...

    def image(self, output: Image, source: Image) -> Image:
        """The images that an output for a source stands for, in [0, 1]."""
        ...


def with_channels(image: Image, channels: int) -> Image:
    """Images (B, C, H, W) with so many channels: RGB becomes grey where one is wanted, grey three equal ones.

    Raises:
        ImageError: there are others.
    """
    if channels == 1 and image.shape[1] == 3:
        red, green, blue = (weight * image[:, i : i + 1] for i, weight in enumerate(LUMA))
        return red + green + blue
    if channels == 3 and image.shape[1] == 1:
        return library(image).concatenate((image, image, image), 1)
    if image.shape[1] != channels:
        names = {1: "1 channel (grey)", 3: "3 channels (RGB)"}
        has, wants = (names.get(count, f"{count} channels") for count in (image.shape[1], channels))
        raise ImageError(f"the picture has {has}, the model takes {wants}")
    return image


class Rgb:
    """Values in [0, 1] stretched to [-1, 1], each channel alike.

    Args:
        in_channels: of the network's input.
        out_channels: of its output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        self.in_channels, self.out_channels = in_channels, out_channels
        self.channels = out_channels

    def source(self, image: Image) -> Image:
        return with_channels(image, self.in_channels) * 2 - 1

    def target(self, image: Image) -> Image:
        return with_channels(image, self.out_channels) * 2 - 1

    def image(self, output: Image, source: Image) -> Image:
        return (output + 1) / 2


class Lab:
    """CIE Lab: the network sees the lightness L and gives the colours a and b; L is kept exactly.

    Args:
        in_channels: of the network's input, 1.
        out_channels: of its output, 2.

    Raises:
        ValueError: other channels.

    References: Zhang et al. 2016, arXiv:1603.08511 (colourisation in Lab).
    """

    channels = 3

    def __init__(self, in_channels: int, out_channels: int) -> None:
        if (in_channels, out_channels) != (1, 2):
            raise ValueError(f"in Lab a network has 1 channel in and 2 out, not {in_channels} and {out_channels}")

    def source(self, image: Image) -> Image:
        return in_bands(lightness_of, image) / 50 - 1

    def target(self, image: Image) -> Image:
        return lab_of(image)[:, 1:] / AB

    def image(self, output: Image, source: Image) -> Image:
        def convert(ab: Image, x: Image) -> Image:
            return into_gamut(library(ab).concatenate(((x + 1) * 50, ab * AB), 1))

        return in_bands(convert, output, source)


SPACES: dict[str, type[Rgb] | type[Lab]] = {"rgb": Rgb, "lab": Lab}


def in_bands(convert: Callable[..., Image], *maps: Image) -> Image:
    """What a function of pixels makes of maps (B, C, H, W), with the memory for BAND pixels at a time."""
    if exporting(maps[0]):  # a graph for every size cannot have as many bands as a size asks for
        return convert(*maps)
    height, width = maps[0].shape[-2:]
    rows = max(1, BAND // width)
    bands = [convert(*(x[:, :, top : top + rows] for x in maps)) for top in range(0, height, rows)]
    return bands[0] if len(bands) == 1 else library(maps[0]).concatenate(bands, 2)


def lightness_of(image: Image) -> Image:
    """L of CIE Lab, of grey or RGB images (B, 1 or 3, H, W) in [0, 1]: (B, 1, H, W), 0 to 100.

    As kornia computes it, which takes many times as long for a grey picture: it wants three channels and gives a and b.
    """
    check_colours(image)
    linear = linear_of(image)
    if linear.shape[1] == 3:
        red, green, blue = (weight * linear[:, i : i + 1] for i, weight in enumerate(LUMINANCE))
        linear = red + green + blue
    return 116 * cube_root(linear) - 16


def linear_of(image: Image) -> Image:
    """The light that values of sRGB stand for, 0 to 1."""
    return library(image).where(image > 0.04045, ((image + 0.055) / 1.055) ** 2.4, image / 12.92)


def cube_root(light: Image) -> Image:
    """CIE Lab's function of light: the cube root, and a line near black."""
    lib = library(light)
    return lib.where(light > 0.008856, lib.clip(light, 0.008856, None) ** (1 / 3), 7.787 * light + 4 / 29)


def ab_of(image: Image) -> Image:
    """a and b of CIE Lab, of RGB images (B, 3, H, W) in [0, 1]: (B, 2, H, W), -108 to 99. As kornia computes them."""
    linear = linear_of(image)
    light = [sum(weight * linear[:, i] for i, weight in enumerate(row)) for row in TO_XYZ]
    x, y, z = (cube_root(part / white) for part, white in zip(light, WHITE, strict=True))
    return library(image).stack((500 * (x - y), 200 * (y - z)), 1)


def lab_of(image: Tensor) -> Tensor:
    """Lab of grey or RGB images, (B, 1 or 3, H, W) in [0, 1], to (B, 3, H, W). For training alone: tensors."""
    from kornia.color import rgb_to_lab

    check_colours(image)
    return rgb_to_lab(image.expand(-1, 3, -1, -1))


def rgb_of(lab: Image) -> Image:
    """RGB of Lab, (B, 3, ...) each, not clipped: 0 to 1 for the colours of sRGB.

    References: IEC 61966-2-1 (sRGB); the numbers are kornia's and scikit-image's.
    """
    lib = library(lab)
    y = (lab[:, 0] + 16) / 116
    steps = (y + lab[:, 1] / 500, y, lib.clip(y - lab[:, 2] / 200, 0, None))
    xyz = [white * lib.where(f > 0.2068966, f**3, (f - 4 / 29) / 7.787) for f, white in zip(steps, WHITE, strict=True)]
    linear = lib.stack([sum(weight * part for weight, part in zip(row, xyz, strict=True)) for row in TO_SRGB], 1)
    return lib.where(linear > 0.0031308, 1.055 * lib.clip(linear, 0.0031308, None) ** (1 / 2.4) - 0.055, 12.92 * linear)


def check_colours(image: Image) -> None:
    """Raise ImageError for images (B, C, H, W) that are neither grey nor RGB."""
    if image.shape[1] not in (1, 3):
        raise ImageError(f"the picture has {image.shape[1]} channels, the model takes grey or RGB")


def into_gamut(lab: Image) -> Image:
    """RGB in [0, 1] of the same lightness and hue, (B, 3, H, W) to the same, with less colour where there is too much.

    Cutting off what sRGB cannot show would change the lightness.
    """
    lib = library(lab)
    rgb = rgb_of(lab)
    outside = ((rgb < 0) | (rgb > 1)).any(1)
    if not exporting(lab) and not outside.any():
        return rgb
    bad = lib.moveaxis(lab, 1, 3)[outside]  # (N, 3)
    lightness, colour = bad[:, :1], bad[:, 1:]
    low, high = lib.zeros_like(lightness), lib.ones_like(lightness)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        tried = rgb_of(lib.concatenate((lightness, middle * colour), 1))
        fits = ((tried >= 0) & (tried <= 1)).all(1)[:, None]
        low, high = lib.where(fits, middle, low), lib.where(fits, high, middle)
    result = lib.moveaxis(rgb, 1, 3)
    result = result.copy() if isinstance(result, np.ndarray) else result.contiguous()
    result[outside] = lib.clip(rgb_of(lib.concatenate((lightness, low * colour), 1)), 0, 1)
    return lib.moveaxis(result, 3, 1)
