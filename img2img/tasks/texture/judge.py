"""Who judges whether a texture is like its sample: layers that no loss saw."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from ...core.descriptor import VGG, Descriptor, RandomFilters
from ...metrics.texture import gram_distance
from .sample_features import sample_features

OTHER_SEED = 1  # of random filters that judge what others have made


@dataclass(frozen=True)
class Unseen:
    """A descriptor of layers that no loss saw.

    Args:
        descriptor: of these layers.
        names: of what it returns.
    """

    descriptor: Descriptor
    names: tuple[str, ...]

    def distance(self, texture: Tensor, samples: Sequence[Tensor], shares: Sequence[float]) -> dict[str, float]:
        """`gram_distance` at each layer; no image is seen at its borders.

        Args:
            texture: (C, H, W), C 1 or 3.
            samples: each (C', h, w).
            shares: of the samples; they sum to 1.
        """
        ours, *theirs = (
            [layer.cpu() for layer in sample_features(self.descriptor, image[None])] for image in (texture, *samples)
        )
        return dict(zip(self.names, gram_distance(ours, theirs, shares), strict=True))


def unseen(descriptor: Descriptor) -> Unseen:
    """What judges the textures made with a descriptor, without other weights than its own.

    Of a VGG: the last layer of each block but the last, which has only one: relu1_2, relu2_2, relu3_4, relu4_4. Their
    Gram matrices do not follow from those of the layers that are read. Of random filters: other ones.

    Raises:
        ValueError: neither of them.
    """
    if isinstance(descriptor, RandomFilters):
        kernels = [int(conv.kernel_size[0]) for conv in descriptor.convolutions]  # type: ignore[index]
        filters = descriptor.convolutions[0].out_channels
        other = RandomFilters(int(filters), kernels, OTHER_SEED, descriptor.circular)  # type: ignore[arg-type]
        return Unseen(other.eval().to(next(descriptor.parameters()).device), ("random, other filters",))
    if not isinstance(descriptor, VGG):
        raise ValueError(f"no unseen layers are known of a {type(descriptor).__name__}")
    judge = copy.copy(descriptor)  # the same parts, read at other places
    judge.taps, names, block, convolution = [], [], 1, 0
    for i, part in enumerate(descriptor.features):
        convolution += isinstance(part, nn.Conv2d)
        if isinstance(part, nn.AvgPool2d):
            if convolution > 1:
                judge.taps.append(i - 1)
                names.append(f"relu{block}_{convolution}")
            block, convolution = block + 1, 0
    return Unseen(judge, tuple(names))
