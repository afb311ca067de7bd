"""What a texture is worth, in numbers: no copy of its sample; varied; without a seam.

Whether it is like its sample is judged by features: `gram_distance`.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

PATCH = 16  # pixels; side of the patches whose copies are looked for
PATCHES = 256  # of a texture, evenly spread
COPIED = 0.01  # a patch nearer than that to one of the sample's is a copy; 1 is the distance of unrelated ones
CHUNK = 2**22  # distances at once
LEAST_SPREAD = 1 / 255 / 16  # of gradients: a flat picture has a seam score of 0, not of infinity
LEAST_UNRELATED = (1 / 255) ** 2  # below a grey level no difference is seen


def gram_distance(found: Sequence[Tensor], wanted: Sequence[Sequence[Tensor]], shares: Sequence[float]) -> list[float]:
    """|G - G_sample|^2 / |G_sample|^2 of the Gram matrices of each layer's features.

    Args:
        found: a texture's features, (1, C_l, H_l, W_l) for each layer.
        wanted: those of each sample; G_sample is the mean of theirs, weighted by their shares.
        shares: of the samples; they sum to 1.
    """
    distances = []
    for i, features in enumerate(found):
        mixed = torch.stack([share * _gram(each[i]) for share, each in zip(shares, wanted, strict=True)]).sum(0)
        distances.append(((_gram(features) - mixed).square().sum() / mixed.square().sum().clamp_min(1e-30)).item())
    return distances


def _gram(features: Tensor) -> Tensor:
    # Not the loss': a judge that shares its code would share its faults.
    rows = features[0].flatten(1).cpu().double()
    return rows @ rows.T / rows.shape[1]


def copy_distances(texture: Tensor, samples: Sequence[Tensor], chunk: int = CHUNK) -> Tensor:
    """How far patches of a texture are from the most alike patch anywhere in the samples.

    Mean squared difference, divided by what two unrelated patches of the first sample have on average: twice its
    variance.

    Args:
        texture: (C, H, W).
        samples: each (C, h, w). Patches are PATCH x PATCH, or as large as the smallest image allows.
        chunk: distances that are computed at once.

    Returns:
        (N,), N at most PATCHES; 0 is a copy, 1 unrelated.
    """
    side = min(PATCH, *(min(image.shape[1:]) for image in (texture, *samples)))
    patches = _spread_patches(texture, side)
    nearest = torch.full((len(patches),), torch.inf)
    for sample in samples:
        nearest = torch.minimum(nearest, _nearest(patches, sample, side, chunk))
    return nearest / (patches[0].numel() * unrelated(samples[0]))


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


def _nearest(patches: Tensor, sample: Tensor, side: int, chunk: int) -> Tensor:
    """Squared distance of each patch to the nearest of all the sample's, (N,)."""
    # |a - b|^2 = |a|^2 - 2 ab + |b|^2, with the mean taken off, so that the sums are small and float32 suffices.
    mean = sample.mean((1, 2), keepdim=True)
    ours, theirs = patches - mean, (sample - mean)[None]
    energy = ours.square().sum((1, 2, 3))
    nearest = torch.full((len(ours),), torch.inf)
    rows = max(1, chunk // (len(ours) * (sample.shape[2] - side + 1)))
    for top in range(0, sample.shape[1] - side + 1, rows):
        strip = theirs[:, :, top : top + rows + side - 1]
        norms = F.conv2d(strip.square(), strip.new_ones(1, *ours.shape[1:]))
        products = F.conv2d(strip, ours)
        least = (norms - 2 * products).amin((2, 3))[0]
        nearest = torch.minimum(nearest, (energy + least).clamp_min(0))
    return nearest


def unrelated(sample: Tensor) -> float:
    """Mean squared difference of two pixels of a sample (C, ...) at random: twice its variance."""
    variance = sample.flatten(1).double().var(1, correction=0).mean().item()
    return max(2 * variance, LEAST_UNRELATED)


class Diversity:
    """How different textures of one sample are: 0 all the same, 1 as independent pieces of the sample would be.

    The mean squared difference over all pairs, divided by twice the sample's variance, which is what two pieces of it
    from independent places have on average. Sums are kept, not the textures.

    Args:
        sample: (C, h, w).
    """

    def __init__(self, sample: Tensor) -> None:
        self.unrelated = unrelated(sample)
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
