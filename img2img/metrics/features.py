"""How far pictures are from each other in what a network sees of them."""

from collections.abc import Sequence

from torch import Tensor


def feature_distance(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """Mean over layers of |F - F_true|^2 / |F_true|^2."""
    each = [
        float((f.float() - w.float()).square().sum() / w.float().square().sum())
        for f, w in zip(found, wanted, strict=True)
    ]
    return sum(each) / len(each)
