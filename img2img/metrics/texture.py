"""What a texture is worth, in numbers: no copy of its sample; varied; without a seam.

Whether it is like its sample is judged by features: `gram_distance`. Images may be NumPy arrays, or tensors on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Image: TypeAlias = "NDArray[np.float32] | Tensor"

PATCH = 16  # pixels; side of the patches whose copies are looked for
PATCHES = 256  # of a texture, evenly spread
COPIED = 0.01  # a patch nearer than that to one of the sample's is a copy; 1 is the distance of unrelated ones
CHUNK = 2**22  # distances at once
LEAST_SPREAD = 1 / 255 / 16  # of gradients: a flat picture has a seam score of 0, not of infinity
LEAST_UNRELATED = (1 / 255) ** 2  # below a grey level no difference is seen


def gram_distance(found: Sequence[Image], wanted: Sequence[Sequence[Image]], shares: Sequence[float]) -> list[float]:
    """|G - G_sample|^2 / |G_sample|^2 of the Gram matrices of each layer's features.

    Args:
        found: a texture's features, (1, C_l, H_l, W_l) for each layer.
        wanted: those of each sample; G_sample is the mean of theirs, weighted by their shares.
        shares: of the samples; they sum to 1.
    """
    distances = []
    for i, features in enumerate(found):
        mixed = np.sum([share * _gram(each[i]) for share, each in zip(shares, wanted, strict=True)], 0)
        apart, size = (float(np.square(x).sum()) for x in (_gram(features) - mixed, mixed))
        distances.append(apart / max(size, 1e-30))
    return distances


def _gram(features: Image) -> NDArray[np.float64]:
    # Not the loss': a judge that shares its code would share its faults.
    rows = np.asarray(features[0], np.float64).reshape(features.shape[1], -1)
    return np.asarray(rows @ rows.T / rows.shape[1])


def copy_distances(texture: Image, samples: Sequence[Image], chunk: int = CHUNK) -> NDArray[np.float64]:
    """How far patches of a texture are from the most alike patch anywhere in the samples.

    Mean squared difference, divided by what two unrelated patches of the first sample have on average: twice its
    variance. Plain patches are left out: what shows nothing copies nothing.

    Args:
        texture: (C, H, W).
        samples: each (C, h, w). Patches are PATCH x PATCH, or as large as the smallest image allows.
        chunk: distances that are computed at once.

    Returns:
        (N,), N at most PATCHES, or none at all; 0 is a copy, 1 unrelated.
    """
    image, others = _planes(texture), [_planes(sample) for sample in samples]
    side = min(PATCH, *(min(each.shape[1:]) for each in (image, *others)))
    far = unrelated(others[0])
    patches = _spread_patches(image, side)
    patches = patches[patches.var((2, 3)).mean(1) >= COPIED * far]
    if not len(patches):
        return np.zeros(0)
    nearest = np.min([_nearest(patches, other, side, chunk) for other in others], 0)
    return np.asarray(nearest / (patches[0].size * far))


def copy_rate(distances: NDArray[np.float64]) -> float:
    """The share of patches that are copies, from their `copy_distances`; 0 if there is none that could be one."""
    return float((distances < COPIED).mean()) if len(distances) else 0.0


def _planes(image: Image) -> NDArray[np.float32]:
    return np.asarray(image, np.float32)


def _spread_patches(image: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """At most PATCHES patches (N, C, side, side), on a grid over the image."""
    per_axis = int(PATCHES**0.5)
    tops, lefts = (
        np.rint(np.linspace(0, length - side, min(per_axis, length - side + 1))).astype(int)
        for length in image.shape[1:]
    )
    return np.stack([image[:, top : top + side, left : left + side] for top in tops for left in lefts])


def _nearest(patches: NDArray[np.float32], sample: NDArray[np.float32], side: int, chunk: int) -> NDArray[np.float64]:
    """Squared distance of each patch to the nearest of all the sample's, (N,)."""
    # |a - b|^2 = |a|^2 - 2 ab + |b|^2, with the mean taken off, so that the sums are small and float32 suffices.
    mean = sample.mean((1, 2), keepdims=True)
    ours, theirs = (patches - mean).reshape(len(patches), -1), sample - mean
    energy = np.einsum("nd,nd->n", ours, ours, dtype=np.float64)
    nearest = np.full(len(ours), np.inf)
    rows = max(1, chunk // (max(len(ours), ours.shape[1]) * (sample.shape[2] - side + 1)))
    for top in range(0, sample.shape[1] - side + 1, rows):
        strip = theirs[:, top : top + rows + side - 1]
        flat = sliding_window_view(strip, (len(strip), side, side)).reshape(-1, ours.shape[1])
        apart = np.einsum("nd,nd->n", flat, flat)[:, None] - 2 * (flat @ ours.T)
        np.minimum(nearest, energy + apart.min(0), out=nearest)
    return np.maximum(nearest, 0)


def unrelated(sample: Image) -> float:
    """Mean squared difference of two pixels of a sample (C, ...) at random: twice its variance."""
    planes = _planes(sample)
    variance = planes.reshape(len(planes), -1).var(1, dtype=np.float64).mean()
    return max(2 * float(variance), LEAST_UNRELATED)


class Diversity:
    """How different textures of one sample are: 0 all the same, 1 as independent pieces of the sample would be.

    The mean squared difference over all pairs, divided by twice the sample's variance, which is what two pieces of it
    from independent places have on average. Sums are kept, not the textures.

    Args:
        sample: (C, h, w).
    """

    def __init__(self, sample: Image) -> None:
        self.unrelated = unrelated(sample)
        self.count, self.energy = 0, 0.0
        self.sum = np.zeros(())

    def add(self, texture: Image) -> None:
        """Count a texture (C, H, W) in; all have one size."""
        x = np.asarray(texture, np.float64)
        self.count, self.sum = self.count + 1, self.sum + x
        self.energy += float(np.square(x).mean())

    def value(self) -> float | None:
        """The diversity of all that were counted; None for one, which has nothing to differ from."""
        if self.count < 2:
            return None
        # The sum of |a - b|^2 over all pairs is n times the sum of |a|^2, less |the sum of a|^2.
        apart = self.count * self.energy - float(np.square(self.sum).mean())
        return max(0.0, apart) / (self.count * (self.count - 1) / 2) / self.unrelated


def seam_scores(texture: Image) -> dict[str, float]:
    """Whether one sees where a texture meets itself: the step across the wrap among the steps inside, as a z-score.

    A step is the mean absolute difference between neighbouring columns (or rows), over all pixels and channels. A
    torus has scores like any normal number's, mostly within 2; at 3 and more a line can be seen.

    Args:
        texture: (C, H, W).

    Returns:
        `horizontal`: from the right border to the left; `vertical`: from the bottom to the top.
    """
    planes = np.asarray(texture, np.float64)
    return {"horizontal": _seam(planes), "vertical": _seam(planes.transpose(0, 2, 1))}


def _seam(planes: NDArray[np.float64]) -> float:
    steps = np.abs(planes - np.roll(planes, 1, 2)).mean((0, 1))  # the first is the one across the wrap
    if len(steps) < 3:
        return 0.0
    inside = steps[1:]
    return float((steps[0] - inside.mean()) / max(inside.std(ddof=1), LEAST_SPREAD))
