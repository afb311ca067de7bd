"""Whether each pixel was taken for what it is: the FCN score of pictures whose classes are known."""

import torch
from torch import Tensor


class Confusion:
    """How many pixels of each true class were taken for each; `counts[true, found]`.

    Args:
        classes: how many there are.

    References: Long et al. 2015, arXiv:1411.4038 (the figures); Isola 2017, arXiv:1611.07004 (the FCN score).
    """

    def __init__(self, classes: int) -> None:
        self.counts = torch.zeros(classes, classes, dtype=torch.float64)

    def add(self, found: Tensor, true: Tensor) -> None:
        """One more picture's classes, integers of equal shapes."""
        n = len(self.counts)
        self.counts += torch.bincount((true * n + found).flatten().cpu(), minlength=n * n).view(n, n)

    @property
    def pixel(self) -> float:
        """Share of all pixels that are right."""
        return float(self.counts.trace() / self.counts.sum())

    def figures(self) -> dict[str, float]:
        """Accuracy per pixel and per class, and mean intersection over union, over the classes that occur."""
        right, true, found = self.counts.diag(), self.counts.sum(1), self.counts.sum(0)
        there = true > 0
        return {
            "pixel": self.pixel,
            "class": float((right[there] / true[there]).mean()),
            "iou": float((right[there] / (true + found - right)[there]).mean()),
        }
