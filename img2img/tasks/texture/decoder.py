"""From a descriptor's features back to images, one stage for each layer: what `instant` inverts them by."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ...core.blocks import PlainBlock, conv


class Decoder(nn.Module):
    """Undoes a descriptor layer by layer, on a torus.

    Each stage takes one layer of LAYERS to the one before it, the first stage relu1_1 to the image; from a deeper
    layer the stages follow one another. Departs from Li 2017, who trains a whole decoder for each layer: here the
    deep ones share what the shallow ones know, and less than a megabyte does for four layers.

    Args:
        channels: of the descriptor's layers that can be decoded, shallowest first.
        inside: feature maps within each stage.

    Shape:
        features: (B, channels[layer - 1], H, W), nonnegative.
        layer: which, from 1.
        returns: (B, 3, H * 2^(layer - 1), W * 2^(layer - 1)), about [0, 1], not clamped.

    Raises:
        ValueError: not as many numbers inside as channels, or there is no such layer.

    Example:
        >>> import torch
        >>> Decoder((4, 6, 8), (4, 4, 4))(torch.rand(1, 8, 3, 5), 3).shape
        torch.Size([1, 3, 12, 20])

    References: Li et al. 2017, arXiv:1705.08086; Risser 2020, arXiv:2010.14702.
    """

    def __init__(self, channels: Sequence[int] = (32, 48, 96, 192), inside: Sequence[int] = (32, 32, 64, 96)) -> None:
        super().__init__()
        if len(channels) != len(inside) or not channels:
            raise ValueError(f"there are {len(channels)} layers and {len(inside)} widths inside their stages")
        self.channels, self.inside = tuple(channels), tuple(inside)
        self.stages = nn.ModuleList()
        for i, (own, width) in enumerate(zip(channels, inside, strict=True)):
            to_image = conv(width, 3, padding_mode="circular")
            last = PlainBlock(width, channels[i - 1], padding_mode="circular") if i else to_image
            self.stages.append(nn.ModuleList((PlainBlock(own, width, padding_mode="circular"), last)))

    @property
    def config(self) -> dict[str, tuple[int, ...]]:
        """The arguments that build this network."""
        return {"channels": self.channels, "inside": self.inside}

    def stage(self, features: Tensor, layer: int) -> Tensor:
        """The layer before, or from the first one the image."""
        first, last = self.stages[layer - 1].children()
        x = first(features)
        return last(F.interpolate(x, scale_factor=2, mode="nearest") if layer > 1 else x)

    def forward(self, features: Tensor, layer: int) -> Tensor:
        if not 1 <= layer <= len(self.channels):
            raise ValueError(f"layers from 1 to {len(self.channels)} can be decoded, not {layer}")
        for each in range(layer, 0, -1):
            features = self.stage(features, each)
        return features
