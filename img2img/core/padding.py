"""Sizes that a network can halve: pad once, crop back once."""

import torch.nn.functional as F
from torch import Tensor

from .blocks import PaddingMode


def pad_to_multiple(x: Tensor, multiple: int, mode: PaddingMode = "replicate") -> Tensor:
    """Pad the right and bottom of x so that H and W are multiples of `multiple`.

    Args:
        x: (B, C, H, W), any H, W >= 1.
        multiple: of which both sides become multiples.
        mode: `replicate` repeats the border (works for any size), `zeros` adds black; `circular` is for pictures
            that wrap around, and only for sizes that are multiples already.

    Raises:
        ValueError: a circular picture would need padding, which would break its seam.
    """
    bottom, right = -x.shape[-2] % multiple, -x.shape[-1] % multiple
    if not (bottom or right):
        return x
    if mode == "circular":
        raise ValueError(f"a tileable size must be a multiple of {multiple}, not {x.shape[-1]}x{x.shape[-2]}")
    return F.pad(x, (0, right, 0, bottom), mode="constant" if mode == "zeros" else "replicate")


def center_crop(x: Tensor, height: int, width: int) -> Tensor:
    """The middle height x width of x; what Ronneberger 2015 calls "crop" before the concatenation."""
    top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
    return x[..., top : top + height, left : left + width]
