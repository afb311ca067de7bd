"""What a texture is grown by, without PyTorch: Gram matrices and their gradient by a descriptor's graphs (graph.py).

A texture's bytes are the same for any number of threads. What NumPy sums here it sums in one order. onnxruntime divides
no sum among threads either, but it picks its order by the share of a matrix that a thread gets; graph.BLOCK and
Network.most_threads leave it one to pick.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....checkpoints import Checkpoint, load_checkpoint
from ....core.box import Box
from ....core.vgg_shape import DISTILLED, Shape
from ....engines.network import Runner
from ....engines.onnx_engine import OnnxEngine
from ....errors import ImageError, WeightsError
from ....runtime import available_memory, keep_big_buffers
from ..job import LossName
from ..networks import networks
from ..pyramid import REACH, Size, with_mirrors, without_mirrors
from ..terms import SHIFT_WEIGHT, Term, terms_of
from .optimize import TILE, WHOLE, Image, bytes_of_optimiser

# Bytes for a pixel that is computed at once, measured with vgg-slim. In tiles onnxruntime keeps 577 for `sums` and 873
# for `slopes`; at once `gradient` takes 823 to 910, and whole commands at 256, 512 and 1024 px, without what L-BFGS
# counts, up to 1370. The sample's own matrices, 577 for each of its pixels and their surroundings, are not in it.
PER_PIXEL = 1450


class GraphEye:
    """See `optimize.Eye`.

    Args:
        checkpoint: of a descriptor of VGG's shape.

    Raises:
        WeightsError: it is something else, or has no graphs.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        if checkpoint.header.get("network") != "vgg":
            raise WeightsError(f"{checkpoint.path} holds no descriptor of textures")
        keep_big_buffers()
        self.checkpoint, self.shape = checkpoint, Shape.of(checkpoint.header)
        self.smallest = self.shape.smallest
        self.trust = DISTILLED[: len(self.shape.channels)]
        self.terms = terms_of(len(self.shape.channels))
        self._networks = {network.name: network for network in networks(checkpoint)}
        _ = self.sums  # or the graphs are missing

    @classmethod
    def load(cls, name: str | Path) -> GraphEye:
        """Of a descriptor by name, or of a file."""
        return cls(load_checkpoint(name))

    @cached_property
    def sums(self) -> Runner:
        """See gradient.GramSums."""
        return self._runner("sums")

    @cached_property
    def gradient(self) -> Runner:
        """See gradient.GramGradient."""
        return self._runner("gradient")

    @cached_property
    def slopes(self) -> Runner:
        """See gradient.GramSlopes."""
        return self._runner("slopes")

    def _runner(self, graph: str) -> Runner:
        return OnnxEngine().load(self.checkpoint, self._networks[graph])

    def require(self, canvas: Size, channels: int, loss: LossName, what: str) -> None:
        del loss
        pixels = canvas[0] * canvas[1]
        seen = pixels if pixels <= WHOLE else (TILE + 2 * REACH) ** 2
        needed = bytes_of_optimiser(canvas, channels) + PER_PIXEL * seen + 4 * 8 * pixels
        there = available_memory()
        if there is not None and needed > there:
            raise ImageError(f"{what} takes about {needed / 1e9:.1f} GB of memory, {there / 1e9:.1f} GB are free")

    def exactly(self) -> AbstractContextManager[None]:
        return nullcontext()

    def objective(self, samples: Sequence[Image], weights: Sequence[float], loss: LossName, seed: int) -> GraphLoss:
        del seed  # nothing is drawn
        found = [self.matrices(sample) for sample in samples]
        return GraphLoss(self, Goal.of(self.terms, found, weights, self.trust, loss == "shifted"))

    def matrices(self, sample: Image) -> list[NDArray[np.float64] | None]:
        """A sample's matrices, (C_l, C_l) for each of the terms; None where it is too small for a shift."""
        size = sample.shape[-2], sample.shape[-1]
        rows, columns = (with_mirrors(side) for side in size)
        image = in_colour(sample.take(rows, 2).take(columns, 3))
        itself = np.zeros((1, 1, len(rows), len(columns)), np.float32)
        itself[..., REACH : REACH + size[0], REACH : REACH + size[1]] = 1
        found = self.sums(image, itself, itself)
        matrices: list[NDArray[np.float64] | None] = []
        for term, mean in zip(self.terms, found, strict=True):
            stride = 2**term.layer
            # As many pairs of places as lie in it both.
            high, wide = (-(-side // stride) - by for side, by in zip(size, (term.down, term.right), strict=True))
            positions = (len(rows) // stride) * (len(columns) // stride)
            matrices.append(mean * (positions / (high * wide)) if min(high, wide) > 0 else None)
        return matrices

    def placed(self, canvas: Image) -> Image:
        return canvas.copy()

    def array(self, canvas: Image) -> Image:
        return canvas

    def judged(self, image: Image) -> dict[str, Image]:
        size = image.shape[-2], image.shape[-1]
        rows, columns = (with_mirrors(side) for side in size)
        layers = self._runner("unseen")(in_colour(image.take(rows, 2).take(columns, 3)))
        layers = layers if isinstance(layers, tuple) else (layers,)
        cut = (without_mirrors(layer, size) for layer in layers)
        return dict(zip(self.shape.unseen_names, cut, strict=True))


@dataclass(frozen=True)
class Goal:
    """Matrices that are wanted: the loss is weights @ |matrices - targets|^2, and a number that nothing changes.

    Args:
        weights: (n,), one for each term.
        targets: (C_l, C_l) for each.
        constant: that number: how far the samples of a mixture are from one another.
    """

    weights: NDArray[np.float32]
    targets: list[Image]
    constant: float

    @classmethod
    def of(
        cls,
        terms: Sequence[Term],
        samples: Sequence[Sequence[NDArray[np.float64] | None]],
        shares: Sequence[float],
        trust: Sequence[float],
        shifted: bool,
    ) -> Goal:
        """Of the matrices of samples, as loss.GramLoss compares them with `relative`, weighted by their shares.

        The squared distances from several matrices, weighted, are that from their weighted mean, but for a constant.
        """
        weights, targets, constant = [], [], 0.0
        for term, *matrices in zip(terms, *samples, strict=True):
            moved = bool(term.down or term.right)
            counts = trust[term.layer] * (SHIFT_WEIGHT if moved else 1) * (shifted or not moved)
            there = [(share, matrix) for share, matrix in zip(shares, matrices, strict=True) if matrix is not None]
            factors = [counts * share / max(float(np.square(matrix).sum()), 1e-12) for share, matrix in there]
            weight = sum(factors)
            if not weight:
                side = next(m for other, m in zip(terms, samples[0], strict=True) if other == Term(term.layer))
                weights.append(0.0)
                targets.append(np.zeros_like(side))
                continue
            target = np.sum([f * m for f, (_, m) in zip(factors, there, strict=True)], 0) / weight
            weights.append(weight)
            targets.append(target)
            spread = [f * np.square(m - target).sum() for f, (_, m) in zip(factors, there, strict=True)]
            constant += float(np.sum(spread))
        return cls(np.array(weights, np.float32), [target.astype(np.float32) for target in targets], constant)


class GraphLoss:
    """The loss of a canvas and its gradient: `optimize.Objective`.

    A canvas of more than WHOLE pixels is computed in tiles, exactly: the sums of products of all tiles first, then from
    the loss' slopes in these, tile by tile again, to the pixels. Memory holds one tile's features.

    Args:
        eye: whose graphs are run.
        goal: what is wanted.
        whole: pixels that are computed at once.
        tile: side of the tiles of a larger canvas, a multiple of STRIDE.
    """

    def __init__(self, eye: GraphEye, goal: Goal, whole: int = WHOLE, tile: int = TILE) -> None:
        self.eye, self.goal, self.whole, self.tile = eye, goal, whole, tile
        self.shift = (0, 0)

    def __call__(self, canvas: Image) -> tuple[float, Image]:
        image = in_colour(np.roll(canvas, self.shift, (2, 3)))
        large = image.shape[2] * image.shape[3] > self.whole
        distances, gradient = self._in_tiles(image) if large else self._at_once(image)
        loss = float(np.sum(self.goal.weights.astype(np.float64) * distances)) + self.goal.constant
        if canvas.shape[1] == 1:
            gradient = gradient[:, :1] + gradient[:, 1:2] + gradient[:, 2:]
        return loss, np.roll(gradient, [-by for by in self.shift], (2, 3))

    def _at_once(self, image: Image) -> tuple[Image, Image]:
        found: tuple[Image, Image] = self.eye.gradient(image, self.goal.weights, *self.goal.targets)
        return found

    def _in_tiles(self, image: Image) -> tuple[NDArray[np.float64], Image]:
        size = image.shape[2], image.shape[3]
        terms, goal = self.eye.terms, self.goal
        totals = [np.zeros(target.shape) for target in goal.targets]
        for box in self._boxes(size):
            around, here = _around(image, box)
            for total, term, mean in zip(totals, terms, self.eye.sums(around, here, np.ones_like(here)), strict=True):
                total += mean.astype(np.float64) * _positions(term, (around.shape[2], around.shape[3]))
        distances, matrices = [], []
        for total, term, target, weight in zip(totals, terms, goal.targets, goal.weights, strict=True):
            count = _positions(term, size)
            apart = total / count - target
            distances.append(np.square(apart).sum())
            matrices.append((apart * (2 * float(weight) / count)).astype(np.float32))
        gradient = np.zeros((3, size[0] + 2 * REACH, size[1] + 2 * REACH), np.float32)
        for box in self._boxes(size):
            around, here = _around(image, box)
            into = Box(box.top, box.bottom + 2 * REACH, box.left, box.right + 2 * REACH)
            into.of(gradient)[:] += self.eye.slopes(around, here, *matrices)[0]
        return np.array(distances), _folded(_folded(gradient, 1), 2)[None]

    def _boxes(self, size: Size) -> Iterator[Box]:
        for top in range(0, size[0], self.tile):
            for left in range(0, size[1], self.tile):
                yield Box(top, min(top + self.tile, size[0]), left, min(left + self.tile, size[1]))


def in_colour(image: Image) -> Image:
    """An image (1, C, H, W), C 1 or 3, in three channels."""
    return np.ascontiguousarray(np.broadcast_to(image, (1, 3, *image.shape[2:])), np.float32)


def _positions(term: Term, size: Size) -> int:
    """Of a layer of a picture whose sides are multiples of STRIDE."""
    return (size[0] >> term.layer) * (size[1] >> term.layer)


def _around(image: Image, box: Box) -> tuple[Image, Image]:
    """A tile of a torus with REACH more on all sides, and where it is the tile itself."""
    rows = np.arange(box.top - REACH, box.bottom + REACH) % image.shape[2]
    columns = np.arange(box.left - REACH, box.right + REACH) % image.shape[3]
    here = np.zeros((1, 1, len(rows), len(columns)), np.float32)
    here[..., REACH:-REACH, REACH:-REACH] = 1
    return image.take(rows, 2).take(columns, 3), here


def _folded(gradient: Image, axis: int) -> Image:
    """Of a torus with REACH more at both ends of an axis, what lies there added to where it is on the torus."""
    side = gradient.shape[axis] - 2 * REACH
    x = np.moveaxis(gradient, axis, 0)
    found = x[REACH : REACH + side].copy()
    for begin in (0, REACH + side):
        for row in range(begin, begin + REACH):
            found[(row - REACH) % side] += x[row]
    return np.moveaxis(found, 0, axis)
