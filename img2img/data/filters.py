"""Filters of batches in which every picture has settings of its own, and colours as lightness and differences."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

# ITU-R BT.601, as JPEG has it: lightness and two colour differences.
LUMA_CHROMA = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def in_luma_chroma(x: Tensor) -> Tensor:
    """RGB to lightness and two colour differences, (B, 3, H, W)."""
    return torch.einsum("ij,njhw->nihw", x.new_tensor(LUMA_CHROMA), x)


def in_rgb(x: Tensor) -> Tensor:
    """The inverse of `in_luma_chroma`."""
    return torch.einsum("ij,njhw->nihw", torch.linalg.inv(x.new_tensor(LUMA_CHROMA)), x)


def filtered(x: Tensor, response: Callable[[Tensor], Tensor]) -> Tensor:
    """Pictures (B, C, H, W) on a torus, filtered by a response to the frequency, (1, 1, H, W / 2 + 1) radians a pixel.

    A product with the spectrum, because every picture of a batch has filters of its own.
    """
    height, width = x.shape[-2:]
    down = torch.fft.fftfreq(height, device=x.device)[:, None]
    across = torch.fft.rfftfreq(width, device=x.device)[None]
    frequency = 2 * math.pi * (down.square() + across.square()).sqrt()
    return torch.fft.irfft2(torch.fft.rfft2(x) * response(frequency[None, None]), (height, width))


def gaussian(width: Tensor, frequency: Tensor) -> Tensor:
    """The response of a Gaussian filter of a width in pixels; 0 lets all through."""
    return torch.exp(-(width * frequency).square() / 2)
