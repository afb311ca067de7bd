"""What a descriptor of VGG's shape is made of, without its weights. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Of ImageNet's photographs, R, G, B: what zero padding continues an image with, and how much they vary.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# How much the layers of a distilled network count where a texture is made by them. The deeper, the less it knows of
# what VGG-19 would say: weighed as the others, relu5_1 leads away from the sample, by VGG-19's own relu5_1, too.
DISTILLED = (4.0, 2.0, 1.0, 0.15, 0.02)


@dataclass(frozen=True)
class Shape:
    """Convolutions 3x3 with ReLU in blocks, an average pooling between the blocks; they are counted from 0.

    Args:
        blocks: feature maps of each convolution, block by block.

    Example:
        >>> shape = Shape(((32, 16), (48,)))
        >>> shape.taps, shape.pooled, shape.unseen, shape.names
        ([0, 2], [2], [1], ['vgg.features.0', 'vgg.features.2', 'vgg.features.5'])
    """

    blocks: Sequence[Sequence[int]]

    @classmethod
    def of(cls, header: Mapping[str, Any]) -> Shape:
        """Of a weight file's header."""
        return cls(header["config"]["widths"])

    @property
    def widths(self) -> list[int]:
        """Feature maps of each convolution."""
        return [width for block in self.blocks for width in block]

    @property
    def kernels(self) -> list[tuple[int, int]]:
        """Feature maps that come out of each convolution, and go in."""
        return list(zip(self.widths, [3, *self.widths], strict=False))

    @property
    def taps(self) -> list[int]:
        """The first convolution of each block: the layers that are compared."""
        return [sum(map(len, self.blocks[:i])) for i in range(len(self.blocks))]

    @property
    def pooled(self) -> list[int]:
        """The convolutions before which is a pooling."""
        return self.taps[1:]

    @property
    def unseen(self) -> list[int]:
        """The last convolution of each block but the last: the layers that judge what the others have made."""
        return [tap - 1 for tap in self.taps[1:] if tap - 1 not in self.taps]

    @property
    def unseen_names(self) -> list[str]:
        """As VGG-19's are called: relu1_2 and so on."""
        blocks = enumerate(self.blocks[:-1], 1)
        return [f"relu{number}_{len(block)}" for number, block in blocks if len(block) > 1]

    @property
    def names(self) -> list[str]:
        """What each convolution is called in weight files."""
        places, place = [], 0
        for number in range(len(self.widths)):
            place += number in self.pooled
            places.append(f"vgg.features.{place}")
            place += 2
        return places

    @property
    def channels(self) -> list[int]:
        """Feature maps of each layer that is compared."""
        return [block[0] for block in self.blocks]

    @property
    def smallest(self) -> int:
        """Least height and width of an image."""
        return 2 ** (len(self.blocks) - 1)
