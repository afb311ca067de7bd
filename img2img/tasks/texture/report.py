"""What a texture is worth, in numbers: whether it is like its sample, but no copy of it; varied; without a seam."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .descriptor import VGG, Descriptor, RandomFilters
from .methods.optimize import sample_features

PATCH = 16  # pixels; side of the patches whose copies are looked for
PATCHES = 256  # of a texture, evenly spread
COPIED = 0.01  # a patch nearer than that to one of the sample's is a copy; 1 is the distance of unrelated ones
CHUNK = 2**22  # distances at once
OTHER_SEED = 1  # of random filters that judge what others have made
LEAST_SPREAD = 1 / 255 / 16  # of gradients: a flat picture has a seam score of 0, not of infinity


@dataclass(frozen=True)
class Unseen:
    """A descriptor of layers that no loss saw.

    Args:
        descriptor: of these layers.
        names: of what it returns.
    """

    descriptor: Descriptor
    names: tuple[str, ...]


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


def gram_distance(
    judge: Unseen, texture: Tensor, samples: Sequence[Tensor], shares: Sequence[float]
) -> dict[str, float]:
    """|G - G_sample|^2 / |G_sample|^2 at each of the judge's layers; no image is seen at its borders.

    Args:
        judge: layers that were not optimised.
        texture: (C, H, W), C 1 or 3.
        samples: each (C', h, w); G_sample is the mean of theirs, weighted by their shares.
        shares: of the samples; they sum to 1.
    """
    ours, *theirs = (
        [_gram(layer) for layer in sample_features(judge.descriptor, x[None])] for x in (texture, *samples)
    )
    distances = {}
    for i, name in enumerate(judge.names):
        wanted = torch.stack([share * grams[i] for share, grams in zip(shares, theirs, strict=True)]).sum(0)
        distances[name] = ((ours[i] - wanted).square().sum() / wanted.square().sum().clamp_min(1e-30)).item()
    return distances


def _gram(features: Tensor) -> Tensor:
    # Not the loss': a judge that shares its code would share its faults.
    rows = features[0].flatten(1).cpu().double()
    return rows @ rows.T / rows.shape[1]


def copy_distances(texture: Tensor, samples: Sequence[Tensor]) -> Tensor:
    """How far patches of a texture are from the most alike patch anywhere in the samples.

    Mean squared difference, divided by what two unrelated patches of the first sample have on average: twice its
    variance.

    Args:
        texture: (C, H, W).
        samples: each (C, h, w). Patches are PATCH x PATCH, or as large as the smallest image allows.

    Returns:
        (N,), N at most PATCHES; 0 is a copy, 1 unrelated.
    """
    side = min(PATCH, *(min(image.shape[1:]) for image in (texture, *samples)))
    patches = _spread_patches(texture, side)
    nearest = torch.full((len(patches),), torch.inf)
    for sample in samples:
        nearest = torch.minimum(nearest, _nearest(patches, sample, side))
    return nearest / (patches[0].numel() * _unrelated(samples[0]))


def copy_rate(distances: Tensor) -> float:
    """The share of patches that are copies, from their `copy_distances`."""
    return (distances < COPIED).double().mean().item()


def _spread_patches(image: Tensor, side: int) -> Tensor:
    """At most PATCHES patches (N, C, side, side), on a grid over the image."""
    per_axis = int(PATCHES**0.5)
    tops, lefts = (
        torch.linspace(0, length - side, min(per_axis, length - side + 1)).round().long().tolist()
        for length in image.shape[1:]
    )
    return torch.stack([image[:, top : top + side, left : left + side] for top in tops for left in lefts])


def _nearest(patches: Tensor, sample: Tensor, side: int) -> Tensor:
    """Squared distance of each patch to the nearest of all the sample's, (N,)."""
    # |a - b|^2 = |a|^2 - 2 ab + |b|^2, with the mean taken off, so that the sums are small and float32 suffices.
    mean = sample.mean((1, 2), keepdim=True)
    ours, theirs = patches - mean, (sample - mean)[None]
    energy = ours.square().sum((1, 2, 3))
    nearest = torch.full((len(ours),), torch.inf)
    rows = max(1, CHUNK // (len(ours) * (sample.shape[2] - side + 1)))
    for top in range(0, sample.shape[1] - side + 1, rows):
        strip = theirs[:, :, top : top + rows + side - 1]
        norms = F.conv2d(strip.square(), strip.new_ones(1, *ours.shape[1:]))
        products = F.conv2d(strip, ours)
        least = (norms - 2 * products).amin((2, 3))[0]
        nearest = torch.minimum(nearest, (energy + least).clamp_min(0))
    return nearest


def _unrelated(sample: Tensor) -> float:
    """Mean squared difference of two pixels of a sample at random: twice its variance."""
    variance = sample.flatten(1).double().var(1, correction=0).mean().item()
    return max(2 * variance, (1 / 255) ** 2)  # below a grey level no difference is seen


class Diversity:
    """How different textures of one sample are: 0 all the same, 1 as independent pieces of the sample would be.

    The mean squared difference over all pairs, divided by twice the sample's variance, which is what two pieces of it
    from independent places have on average. Sums are kept, not the textures.

    Args:
        sample: (C, h, w).
    """

    def __init__(self, sample: Tensor) -> None:
        self.unrelated = _unrelated(sample)
        self.count, self.sum, self.energy = 0, torch.zeros(()), 0.0

    def add(self, texture: Tensor) -> None:
        """Count a texture (C, H, W) in; all have one size."""
        x = texture.double()
        self.count, self.sum = self.count + 1, self.sum + x
        self.energy += x.square().mean().item()

    def value(self) -> float | None:
        """The diversity of all that were counted; None for one, which has nothing to differ from."""
        if self.count < 2:
            return None
        # The sum of |a - b|^2 over all pairs is n times the sum of |a|^2, less |the sum of a|^2.
        apart = self.count * self.energy - self.sum.square().mean().item()
        return max(0.0, apart) / (self.count * (self.count - 1) / 2) / self.unrelated


def seam_scores(texture: Tensor) -> dict[str, float]:
    """Whether one sees where a texture meets itself: the step across the wrap among the steps inside, as a z-score.

    A step is the mean absolute difference between neighbouring columns (or rows), over all pixels and channels. A
    torus has scores like any normal number's, mostly within 2; at 3 and more a line can be seen.

    Args:
        texture: (C, H, W).

    Returns:
        `horizontal`: from the right border to the left; `vertical`: from the bottom to the top.
    """
    return {"horizontal": _seam(texture), "vertical": _seam(texture.transpose(1, 2))}


def _seam(texture: Tensor) -> float:
    steps = (texture - texture.roll(1, 2)).abs().double().mean((0, 1))  # the first is the one across the wrap
    if len(steps) < 3:
        return 0.0
    inside = steps[1:]
    return ((steps[0] - inside.mean()) / inside.std().clamp_min(LEAST_SPREAD)).item()
