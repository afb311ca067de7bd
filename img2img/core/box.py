"""Rectangles in pictures, and in maps that have one pixel for several of a picture's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

A = TypeVar("A", "np.ndarray", "Tensor")


class Box(NamedTuple):
    """Part of a picture, or of a map of it: rows and columns from ... to before ..."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    def widened(self, margin: int) -> Box:
        """By a margin on all sides; it may begin before 0."""
        return Box(self.top - margin, self.bottom + margin, self.left - margin, self.right + margin)

    def common(self, other: Box) -> Box | None:
        """What lies in both; None if nothing does."""
        top, bottom = max(self.top, other.top), min(self.bottom, other.bottom)
        left, right = max(self.left, other.left), min(self.right, other.right)
        return Box(top, bottom, left, right) if top < bottom and left < right else None

    def of(self, x: A, stride: int = 1) -> A:
        """What lies in it, of an array or tensor (..., H, W) that has one pixel for `stride` of the box's."""
        s = stride
        return x[..., self.top // s : self.bottom // s, self.left // s : self.right // s]
