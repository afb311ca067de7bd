"""Colours as classes: for each place how likely each of some hundred colours is, and one colour of that."""

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.encoder_decoder import EncoderDecoder, Layout
from ...core.padding import pad_to_multiple
from .coding import AB, ab_of

TEMPERATURE = 0.38  # of the annealed mean, as in the paper: between the mean (1), which is grey, and the likeliest (0)
CUBE = 48  # steps a side of the cube of sRGB in which colours are looked for


@cache
def colour_classes(step: int) -> np.ndarray:
    """Middles (Q, 2) of the cells of a grid in a and b of CIE Lab, `step` wide, that hold colours of sRGB."""
    axis = np.linspace(0, 1, CUBE)
    cube = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3)
    cells = np.round(ab_of(cube.T[None, :, :, None])[0, :, :, 0].T / step)
    return (np.unique(cells, axis=0) * step).astype(np.float32)


class ColourClassifier(nn.Module):
    """A U-Net that gives colours to a lightness, at half the size, by telling how likely each class of colours is.

    A network that is to be near the true colours gives the mean of all that a thing could have, which is greyish. This
    one names them all, and the annealed mean of what it names keeps them colourful.

    Args:
        widths: feature maps at 1/2 of the size, at 1/4, and so on.
        blocks: residual blocks at each.
        step: side of a class in a and b of CIE Lab.
        temperature: of the annealed mean.

    Shape:
        x: (B, 1, H, W), lightness in [-1, 1]; any H, W >= 1.
        returns: (B, 2, H, W), a and b divided by 110.

    Example:
        >>> ColourClassifier(widths=(8, 16), blocks=(1, 1)).eval()(torch.rand(1, 1, 33, 50)).shape
        torch.Size([1, 2, 33, 50])

    References: Zhang et al. 2016, arXiv:1603.08511 (colours as classes, annealed mean).
    """

    in_channels, out_channels = 1, 2
    classes: Tensor

    def __init__(
        self,
        widths: tuple[int, ...] = (32, 64, 128, 192, 256),
        blocks: tuple[int, ...] = (1, 1, 2, 2, 2),
        step: int = 12,
        temperature: float = TEMPERATURE,
    ) -> None:
        super().__init__()
        self.step, self.temperature = step, temperature
        self.register_buffer("classes", torch.from_numpy(colour_classes(step)))
        layout = Layout(
            widths=tuple(widths), blocks=tuple(blocks), block="residual", norm="batch", up="nearest", skip="add"
        )
        self.net = EncoderDecoder(4, len(self.classes), layout)

    def logits(self, x: Tensor) -> Tensor:
        """How likely each class is, (B, Q, ceil(H / 2), ceil(W / 2)), as softmax wants it."""
        logits: Tensor = self.net(F.pixel_unshuffle(pad_to_multiple(x, 2), 2))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        likely = (self.logits(x).float() / self.temperature).softmax(1)
        ab = torch.einsum("bqhw,qc->bchw", likely, self.classes / AB)
        height, width = x.shape[-2:]
        return F.interpolate(ab, scale_factor=2, mode="bilinear")[..., :height, :width]
