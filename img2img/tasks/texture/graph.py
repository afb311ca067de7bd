"""The Gram matrices of a picture and the gradient of their loss in its pixels, as ONNX graphs.

The backward pass of a VGG is made of the same convolutions with their kernels turned by 180 degrees and their channels
swapped, so that it can be written out; that of average pooling spreads a quarter of each slope over four pixels. Every
picture is a torus. What the graphs compute is said, in PyTorch and by its autograd, in gradient.py, with which they are
compared when they are made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.vgg_shape import MEAN, STD, Shape
from ...engines.sketch import TO_THE_END, Sketch
from .terms import Term, terms_of

if TYPE_CHECKING:
    import onnx

# Channels over which one product of matrices sums. onnxruntime adds up blocks of 128 or more of them, and of how many
# depends on how many threads share the columns, unless all fit into one block.
BLOCK = 128

IMAGE = (1, 3, "height", "width")
MASK = (1, 1, "height", "width")


class Pass:
    """A descriptor's pass through a picture, forwards, and then backwards.

    Args:
        shape: of the descriptor.
        taps: numbers of the convolutions whose results are looked at; the descriptor's own without.
    """

    def __init__(self, shape: Shape, taps: Sequence[int] | None = None) -> None:
        self.shape, self.sketch = shape, Sketch()
        self.taps = list(shape.taps if taps is None else taps)
        self.found: list[str] = []  # what each convolution's ReLU gives
        x = self.sketch("Div", self.sketch("Sub", "image", self._colour(MEAN)), self._colour(STD))
        for number in range(self.taps[-1] + 1):
            if number in shape.pooled:
                x = self.sketch("AveragePool", self._made_even(x), kernel_shape=[2, 2], strides=[2, 2])
            kernel, bias = self._weights(number)
            x = self.sketch("Relu", self.sketch("Conv", self._wrapped(x), kernel, bias))
            self.found.append(x)
        self.layers = [self.found[tap] for tap in self.taps]

    def channels(self, layer: int) -> int:
        """Of one of the layers that are looked at."""
        return self.shape.widths[self.taps[layer]]

    def backwards(self, slopes: Sequence[str]) -> str:
        """From slopes in the layers, (1, C_l, H_l, W_l) each, to those in the image."""
        s, at = self.sketch, dict(zip(self.taps, slopes, strict=True))
        slope = ""
        for number in range(self.taps[-1], -1, -1):
            if number in at:
                slope = s("Add", slope, at[number]) if slope else at[number]
            fires = s("Cast", s("Greater", self.found[number], s.constant(np.float32(0))), to=1)
            kernel, _ = self._weights(number)
            around = [s.integers(*numbers) for numbers in ((-1, -1), (-TO_THE_END, -TO_THE_END), (2, 3), (-1, -1))]
            turned = s("Transpose", s("Slice", kernel, *around), perm=[1, 0, 2, 3])
            slope = s("Conv", self._wrapped(s("Mul", slope, fires)), turned)
            if number in self.shape.pooled:
                slope = self._spread(slope, self.found[number - 1])
        return s("Div", slope, self._colour(STD))

    def flat(self, layer: int, x: str | None = None) -> str:
        """A layer, or something of its shape, as (C, H * W)."""
        return self.sketch("Reshape", x or self.layers[layer], self.sketch.integers(self.channels(layer), -1))

    def positions(self, layer: int) -> str:
        """H * W of a layer."""
        s = self.sketch
        sides = s.part(s("Shape", self.layers[layer]), 2, 4, 0)
        return s("Cast", s("ReduceProd", sides, keepdims=0), to=1)

    def moved(self, x: str, down: int, right: int) -> str:
        """A torus moved so many rows down and columns to the right."""
        s = self.sketch
        for axis, by in ((2, down), (3, right)):
            if by:
                x = s("Concat", s.part(x, -by, TO_THE_END, axis), s.part(x, 0, -by, axis), axis=axis)
        return x

    def slopes(self, terms: Sequence[Term], matrices: Sequence[str]) -> list[str]:
        """Slopes in each layer from those in the sums of products, (C_l, C_l) for each term."""
        s = self.sketch
        sums: dict[int, str] = {}
        for term, matrix in zip(terms, matrices, strict=True):
            swapped = s("Transpose", matrix, perm=[1, 0])
            layer = self.layers[term.layer]
            if term.down or term.right:
                ahead, behind = (self.moved(layer, way * term.down, way * term.right) for way in (-1, 1))
                parts = [(matrix, ahead), (swapped, behind)]
            else:
                parts = [(s("Add", matrix, swapped), layer)]
            for mixing, features in parts:
                part = self._mixed(mixing, self.flat(term.layer, features), self.channels(term.layer))
                sums[term.layer] = s("Add", sums[term.layer], part) if term.layer in sums else part
        return [s("Reshape", sums[i], s("Shape", layer)) for i, layer in enumerate(self.layers)]

    def masks(self, name: str) -> list[str]:
        """A mask for each layer: where it has a pixel of the one for the image in it."""
        masks = [name]
        for _ in self.layers[1:]:
            even = self._made_even(masks[-1])
            masks.append(self.sketch("MaxPool", even, kernel_shape=[2, 2], strides=[2, 2]))
        return masks

    def _mixed(self, mixing: str, x: str, channels: int) -> str:
        """A matrix (C, C) times a layer (C, n): the same bytes for any number of threads."""
        s, count = self.sketch, -(-channels // BLOCK)
        if count == 1:
            return s("MatMul", mixing, x)
        ends = [channels * i // count for i in range(count + 1)]
        parts = [s("MatMul", s.part(mixing, *block, 1), s.part(x, *block, 0)) for block in pairwise(ends)]
        return reduce(lambda total, part: s("Add", total, part), parts)

    def _weights(self, number: int) -> tuple[str, str]:
        name, (out, into) = self.shape.names[number], self.shape.kernels[number]
        weight = self.sketch.weight(f"{name}.weight", (out, into, 3, 3))
        return weight, self.sketch.weight(f"{name}.bias", (out,))

    def _colour(self, values: Sequence[float]) -> str:
        return self.sketch.constant(np.array(values, np.float32).reshape(1, 3, 1, 1))

    def _wrapped(self, x: str) -> str:
        """A torus with one pixel more on each side."""
        return self.sketch("Pad", x, self.sketch.integers(0, 0, 1, 1, 0, 0, 1, 1), mode="wrap")

    def _odd(self, x: str) -> str:
        """Whether height and width are odd: two numbers, 1 or 0."""
        s = self.sketch
        return s("Mod", s.part(s("Shape", x), 2, 4, 0), s.integers(2))

    def _made_even(self, x: str) -> str:
        """A torus whose first row or column comes again at its end where their number is odd."""
        s = self.sketch
        return s("Pad", x, s("Concat", s.integers(*[0] * 6), self._odd(x), axis=0), mode="wrap")

    def _spread(self, slope: str, before: str) -> str:
        """Slopes behind a pooling, as those in what was pooled, `before`."""
        s = self.sketch
        quarter = s("Mul", slope, s.constant(np.float32(0.25)))
        doubled = s.constant(np.array([1, 1, 2, 2], np.float32))
        x = s("Resize", quarter, "", doubled)
        odd = self._odd(before)
        sides = s.part(s("Shape", before), 2, 4, 0)
        last = s("Mul", sides, odd)  # the row that came again, or else the first one, which then counts nothing
        for axis in (2, 3):
            of = [s.part(numbers, axis - 2, axis - 1, 0) for numbers in (sides, odd, last)]
            again = s("Mul", s("Gather", x, of[2], axis=axis), s("Cast", of[1], to=1))
            x = s("Concat", s("Add", s.part(x, 0, 1, axis), again), s.part(x, 1, of[0], axis), axis=axis)
        return x


def sums(shape: Shape) -> onnx.ModelProto:
    """What gradient.GramSums computes."""
    p = Pass(shape)
    s, here, there = p.sketch, p.masks("here"), p.masks("there")
    found = {}
    for number, term in enumerate(terms_of(len(p.layers))):
        first = p.flat(term.layer, s("Mul", p.layers[term.layer], here[term.layer]))
        second = first
        if term.down or term.right:
            ahead = p.moved(s("Mul", p.layers[term.layer], there[term.layer]), -term.down, -term.right)
            second = p.flat(term.layer, ahead)
        mean = s("Div", s("Gemm", first, second, transB=1), p.positions(term.layer))
        found[f"sum_{number}"] = (mean, (p.channels(term.layer),) * 2)
    return s.model({"image": IMAGE, "here": MASK, "there": MASK}, found)


def gradient(shape: Shape) -> onnx.ModelProto:
    """What gradient.GramGradient computes."""
    p = Pass(shape)
    s, terms = p.sketch, terms_of(len(p.layers))
    distances, matrices = [], []
    for number, term in enumerate(terms):
        count = p.positions(term.layer)
        flat = p.flat(term.layer)
        ahead = p.flat(term.layer, p.moved(p.layers[term.layer], -term.down, -term.right))
        apart = s("Sub", s("Div", s("Gemm", flat, ahead, transB=1), count), f"target_{number}")
        distances.append(s("Reshape", s("ReduceSumSquare", apart, keepdims=0), s.integers(1)))
        weight = s.part("weights", number, number + 1, 0)
        factor = s("Div", s("Mul", weight, s.constant(np.float32(2))), count)
        matrices.append(s("Mul", apart, factor))
    results: dict[str, tuple[str, Sequence[int | str]]] = {
        "distances": (s("Concat", *distances, axis=0), (len(terms),)),
        "gradient": (p.backwards(p.slopes(terms, matrices)), IMAGE),
    }
    return s.model({"image": IMAGE, "weights": (len(terms),), **_matrices(p, terms, "target")}, results)


def slopes(shape: Shape) -> onnx.ModelProto:
    """What gradient.GramSlopes computes."""
    p = Pass(shape)
    s, terms = p.sketch, terms_of(len(p.layers))
    given = _matrices(p, terms, "matrix")
    masked = [s("Mul", x, mask) for x, mask in zip(p.slopes(terms, list(given)), p.masks("here"), strict=True)]
    return s.model({"image": IMAGE, "here": MASK, **given}, {"gradient": (p.backwards(masked), IMAGE)})


def unseen(shape: Shape) -> onnx.ModelProto:
    """What gradient.Unseen computes."""
    p = Pass(shape, shape.unseen)
    found = {f"layer_{i}": (layer, (1, p.channels(i), f"height_{i}", f"width_{i}")) for i, layer in enumerate(p.layers)}
    return p.sketch.model({"image": IMAGE}, found)


def _matrices(p: Pass, terms: Sequence[Term], word: str) -> Mapping[str, Any]:
    return {f"{word}_{number}": (p.channels(term.layer),) * 2 for number, term in enumerate(terms)}
