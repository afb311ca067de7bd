"""How far pictures are from each other in what a network sees of them: place by place, or as a crowd of patches."""

from collections.abc import Sequence

import torch
from torch import Tensor


def feature_distance(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """Mean over layers of |F - F_true|^2 / |F_true|^2."""
    each = [
        float((f.float() - w.float()).square().sum() / w.float().square().sum())
        for f, w in zip(found, wanted, strict=True)
    ]
    return sum(each) / len(each)


class Crowd:
    """Mean and covariance of a layer's features over all places of all pictures: each place is a patch.

    Args:
        channels: of the layer.
    """

    def __init__(self, channels: int) -> None:
        self.count = 0
        self._sum = torch.zeros(channels, dtype=torch.float64)
        self._products = torch.zeros(channels, channels, dtype=torch.float64)

    def add(self, features: Tensor) -> None:
        """Count in the places of a picture: features (1, C, H, W)."""
        patches = features[0].flatten(1).double().cpu()
        self.count += patches.shape[1]
        self._sum += patches.sum(1)
        self._products += patches @ patches.T

    def mean(self) -> Tensor:
        """(C,)."""
        return self._sum / self.count

    def covariance(self) -> Tensor:
        """(C, C)."""
        mean = self.mean()
        return self._products / self.count - mean[:, None] * mean


def frechet_distance(found: Crowd, wanted: Crowd) -> float:
    """How far a crowd of patches is from the one it should be, as a share of that one's variance; 0 for the same.

    |m - m_true|^2 + tr(S + S_true - 2 (S S_true)^(1/2)), by tr(S_true): where a patch lies does not count, only whether
    there are such patches. What is blurred has fewer kinds of them.

    References: Heusel et al. 2017, arXiv:1706.08500 (FID: there of Inception's features of whole pictures).
    """
    ours, theirs = found.covariance(), wanted.covariance()
    root = _root(theirs)
    both = torch.linalg.eigvalsh(root @ ours @ root).clamp_min(0).sqrt().sum()
    means = (found.mean() - wanted.mean()).square().sum()
    return float((means + ours.trace() + theirs.trace() - 2 * both) / theirs.trace())


def _root(matrix: Tensor) -> Tensor:
    """The square root of a symmetric matrix without negative eigenvalues but for rounding."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T
