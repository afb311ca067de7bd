"""Between images and what the networks see: RGB as it is, or lightness in and colour out."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from ...data.noise import to_grey
from ...errors import ImageError

AB = 110.0  # sRGB's colours have a and b between -108 and 99
BAND = 2**21  # pixels converted at a time
HALVINGS = 20
LUMINANCE = torch.tensor((0.212671, 0.715160, 0.072169)).view(1, 3, 1, 1)  # of linear sRGB


class Coding(Protocol):
    """How images become a network's numbers, and its numbers an image."""

    def source(self, image: Tensor) -> Tensor:
        """The network's input for images (B, C, H, W) in [0, 1]: (B, in_channels, H, W) in [-1, 1]."""
        ...

    def target(self, image: Tensor) -> Tensor:
        """What the network should give for images like these: (B, out_channels, H, W) in [-1, 1]."""
        ...

    def image(self, output: Tensor, source: Tensor) -> Tensor:
        """The images that an output for a source stands for, in [0, 1]."""
        ...


def with_channels(image: Tensor, channels: int) -> Tensor:
    """Images (B, C, H, W) with so many channels: RGB becomes grey where one is wanted.

    Raises:
        ImageError: there are others.
    """
    if channels == 1 and image.shape[1] == 3:
        return to_grey(image)[:, :1]
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

    def source(self, image: Tensor) -> Tensor:
        return with_channels(image, self.in_channels) * 2 - 1

    def target(self, image: Tensor) -> Tensor:
        return with_channels(image, self.out_channels) * 2 - 1

    def image(self, output: Tensor, source: Tensor) -> Tensor:
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

    def __init__(self, in_channels: int, out_channels: int) -> None:
        if (in_channels, out_channels) != (1, 2):
            raise ValueError(f"in Lab a network has 1 channel in and 2 out, not {in_channels} and {out_channels}")

    def source(self, image: Tensor) -> Tensor:
        return in_bands(lightness_of, image) / 50 - 1

    def target(self, image: Tensor) -> Tensor:
        return lab_of(image)[:, 1:] / AB

    def image(self, output: Tensor, source: Tensor) -> Tensor:
        return in_bands(lambda ab, x: into_gamut(torch.cat(((x + 1) * 50, ab * AB), 1)), output, source)


SPACES: dict[str, type[Rgb] | type[Lab]] = {"rgb": Rgb, "lab": Lab}


def in_bands(convert: Callable[..., Tensor], *maps: Tensor) -> Tensor:
    """What a function of pixels makes of maps (B, C, H, W), with the memory for BAND pixels at a time."""
    if torch.onnx.is_in_onnx_export():  # a graph for every size cannot have as many bands as a size asks for
        return convert(*maps)
    rows = max(1, BAND // maps[0].shape[-1])
    bands = zip(*(x.split(rows, 2) for x in maps), strict=True)
    return torch.cat([convert(*band) for band in bands], 2)


def lightness_of(image: Tensor) -> Tensor:
    """L of CIE Lab, of grey or RGB images (B, 1 or 3, H, W) in [0, 1]: (B, 1, H, W), 0 to 100.

    As kornia computes it, which takes many times as long for a grey picture: it wants three channels and gives a and b.
    """
    check_colours(image)
    linear = torch.where(image > 0.04045, ((image + 0.055) / 1.055) ** 2.4, image / 12.92)
    y = linear if image.shape[1] == 1 else (linear * LUMINANCE.to(linear)).sum(1, keepdim=True)
    f = torch.where(y > 0.008856, y.clamp_min(0.008856) ** (1 / 3), 7.787 * y + 4 / 29)
    return 116 * f - 16


def lab_of(image: Tensor) -> Tensor:
    """Lab of grey or RGB images, (B, 1 or 3, H, W) in [0, 1], to (B, 3, H, W)."""
    from kornia.color import rgb_to_lab

    check_colours(image)
    return rgb_to_lab(image.expand(-1, 3, -1, -1))


def check_colours(image: Tensor) -> None:
    """Raise ImageError for images (B, C, H, W) that are neither grey nor RGB."""
    if image.shape[1] not in (1, 3):
        raise ImageError(f"the picture has {image.shape[1]} channels, the model takes grey or RGB")


def into_gamut(lab: Tensor) -> Tensor:
    """RGB in [0, 1] of the same lightness and hue, (B, 3, H, W) to the same, with less colour where there is too much.

    Cutting off what sRGB cannot show would change the lightness.
    """
    from kornia.color import lab_to_rgb

    rgb = lab_to_rgb(lab, clip=False)
    outside = ((rgb < 0) | (rgb > 1)).any(1)
    if not torch.onnx.is_in_onnx_export() and not outside.any():
        return rgb
    # (N, 3) colours as an image of one row.
    bad = lab.permute(0, 2, 3, 1)[outside].T[None, :, None]
    lightness, colour = bad[:, :1], bad[:, 1:]
    low, high = torch.zeros_like(lightness), torch.ones_like(lightness)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        tried = lab_to_rgb(torch.cat((lightness, middle * colour), 1), clip=False)
        fits = ((tried >= 0) & (tried <= 1)).all(1, keepdim=True)
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    fitting = lab_to_rgb(torch.cat((lightness, low * colour), 1), clip=True)
    result = rgb.permute(0, 2, 3, 1).contiguous()
    result[outside] = fitting[0, :, 0].T
    return result.permute(0, 3, 1, 2)
