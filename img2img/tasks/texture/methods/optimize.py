"""Texture synthesis by optimisation: L-BFGS changes the pixels until their statistics are the sample's (Gatys 2015).

Who says how far a picture's statistics are from the sample's, and where its pixels have to go, is an `Eye`: PyTorch
(by_torch.py) or onnxruntime (by_graph.py). All else is here, in NumPy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .... import progress
from ..either import either
from ..job import LossName
from ..pyramid import STRIDE, Level, Size, resample
from ..transport import matrix_root
from .lbfgs import HISTORY, Pairs, minimise

# Pixels of a canvas that is computed at once, which costs a third of the time and no more memory than tiles of this
# side with their surroundings do; 1024x1024 with its margin is among them.
WHOLE, TILE = 1152**2, 768
VECTORS = 8  # images of the canvas' size that L-BFGS holds beside its pairs
ROUND = 20  # steps until the torus is turned
NOISE = 0.1  # standard deviation of what is added to an enlarged canvas, in the canvas' own
UNLIKELY = 0.05  # of a colour's mean variance: directions in which the sample's colours hardly vary are not closed

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Progress:
    """How far an optimisation has come.

    Attributes:
        level: of `levels`, from 1.
        levels: of the pyramid.
        step: of `steps` on this level, from 1.
        steps: evaluations of the loss on each level.
        loss: of the best picture since the torus was last turned (`_turning`); comparable within a level.
        size: height and width of the canvas.
    """

    level: int
    levels: int
    step: int
    steps: int
    loss: float
    size: Size


Watch = Callable[[Progress], None]


class Objective(Protocol):
    """The loss of a canvas and its gradient.

    Attributes:
        shift: rows and columns by which the torus is turned before it is looked at.
    """

    shift: tuple[int, int]

    def __call__(self, canvas: Any) -> tuple[float, Any]:
        """For a canvas (1, C, H, W), C 1 or 3, both sides multiples of STRIDE, of the eye's own kind of array."""
        ...


class Eye(Protocol):
    """What sees how far a canvas is from samples.

    Attributes:
        smallest: least side of a canvas.
    """

    smallest: int

    def require(self, canvas: Size, channels: int, loss: LossName, what: str) -> None:
        """Raise ImageError if there is not enough memory for a canvas."""
        ...

    def exactly(self) -> AbstractContextManager[None]:
        """Within, the same computation gives the same bits."""
        ...

    def objective(self, samples: Sequence[Image], weights: Sequence[float], loss: LossName, seed: int) -> Objective:
        """The loss to samples, each (1, C, h, w), weighted; the seed is for losses that draw."""
        ...

    def placed(self, canvas: Image) -> Any:
        """A canvas as the eye's own kind of array, with memory of its own."""
        ...

    def array(self, canvas: Any) -> Image:
        """And back."""
        ...

    def judged(self, image: Image) -> dict[str, Image]:
        """Features of an image (1, C, H, W) by layers that no loss sees, (1, C_l, H_l, W_l), by their names."""
        ...


def history_for(canvas: Size) -> int:
    """Pairs of changes that L-BFGS remembers: fewer where each takes much memory."""
    return HISTORY if canvas[0] * canvas[1] <= WHOLE else HISTORY // 2


def bytes_of_optimiser(canvas: Size, channels: int) -> int:
    """What L-BFGS holds."""
    return 4 * channels * canvas[0] * canvas[1] * (2 * history_for(canvas) + VECTORS)


def colour_moments(samples: Sequence[Image], weights: Sequence[float]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean (C,) and covariance (C, C) of samples' colours, (1, C, h, w) each, averaged by weights that sum to 1."""
    means, spreads = [], []
    for sample in samples:
        colours = sample[0].reshape(sample.shape[1], -1).astype(np.float64)
        means.append(colours.mean(1))
        apart = colours - means[-1][:, None]
        spreads.append(np.array([[(a * b).mean() for b in apart] for a in apart]))
    both = ([weight * x for weight, x in zip(weights, found, strict=True)] for found in (means, spreads))
    mean, spread = (np.sum(parts, 0) for parts in both)
    return mean, spread


def likely_colours(samples: Sequence[Image], weights: Sequence[float]) -> list[list[float]]:
    """How far a step may go in each direction of colour, (C, C): as the samples' colours vary, with a mean of 1.

    Without it a grey sample gets coloured grain, which the features hardly see. That is the same as to optimise
    colours in coordinates in which the samples' are independent (Olah et al. 2017, doi:10.23915/distill.00007).
    """
    _, covariance = colour_moments(samples, weights)
    mean = max(covariance.diagonal().mean(), 1e-12)
    likely: list[list[float]] = (covariance / mean + UNLIKELY * np.eye(len(covariance))).tolist()
    return likely


@either
def noise_like(samples: Sequence[Image], weights: Sequence[float], size: Size, seed: int) -> Image:
    """Gaussian noise whose colours have the mean and the covariance of the samples' (mixed by their weights).

    Args:
        samples: each (1, C, h, w).
        weights: of the samples; they sum to 1.
        size: height and width.
        seed: of the noise.

    Returns:
        (1, C, *size), in [0, 1].
    """
    mean, covariance = colour_moments(samples, weights)
    white = np.random.default_rng(seed).standard_normal((len(mean), *size), np.float32)
    noise = np.einsum("cd,dhw->chw", matrix_root(covariance).astype(np.float32), white)
    return (noise + mean.astype(np.float32)[:, None, None]).clip(0, 1)[None]


def optimise(
    eye: Eye,
    samples: Sequence[Image],
    weights: Sequence[float],
    pyramid: Sequence[Level],
    loss: LossName,
    seed: int,
    steps: int,
    watch: Watch | None = None,
    start: Image | None = None,
) -> Image:
    """Grow a texture, coarse to fine.

    Args:
        eye: what compares it with the samples.
        samples: each (1, C, h, w) in [0, 1], of one number of channels, 1 or 3.
        weights: of the samples; they sum to 1.
        pyramid: what `levels` makes of their sizes.
        loss: what has to agree.
        seed: of the noise from which the coarsest level starts, and of all else that is drawn.
        steps: evaluations of the loss on each level.
        watch: is told of every evaluation.
        start: (1, C, h, w), a texture to refine, of the coarsest level's size; noise without.

    Returns:
        (1, C, H, W) in [0, 1], a torus of the finest level's size.
    """
    chance = np.random.default_rng((seed, 1))
    canvas = start
    for number, level in enumerate(pyramid, 1):
        scaled = [resample(s, size, circular=False).clip(0, 1) for s, size in zip(samples, level.samples, strict=True)]
        objective = eye.objective(scaled, weights, loss, seed)
        if number > 1:
            assert canvas is not None  # since the first level
            canvas = enlarged(canvas, level.canvas, chance)
        elif canvas is None:
            canvas = noise_like(scaled, weights, level.canvas, seed)

        def told(step: int, value: float, number: int = number, size: Size = level.canvas) -> None:
            progress.report((number - 1) * steps + step, len(pyramid) * steps)
            if watch:
                watch(Progress(number, len(pyramid), step, steps, value, size))

        canvas = _turning(eye, objective, canvas, steps, chance, told, likely_colours(scaled, weights))
    assert canvas is not None  # a pyramid has at least one level
    return canvas


def enlarged(canvas: Image, size: Size, chance: np.random.Generator) -> Image:
    """The next level's start: no grid of the pixels it had may be left, for the loss would not mind it."""
    larger: Image = resample(canvas, size, circular=True, smooth=True)
    noise = chance.standard_normal(larger.shape, np.float32)
    return (larger + noise * np.float32(NOISE * larger.std())).clip(0, 1)


def _turning(
    eye: Eye,
    objective: Objective,
    canvas: Image,
    steps: int,
    chance: np.random.Generator,
    watch: Callable[[int, float], None],
    likely: list[list[float]],
) -> Image:
    """Minimise, and turn the torus every ROUND steps, so that the descriptor pools other pixels together.

    Average pooling treats the pixels of a square alike, and those on both sides of its border not: on one grid for all
    steps that grid can be seen. What L-BFGS knows of the curvature is kept; a turn changes it little.
    """
    pairs: Pairs = deque(maxlen=history_for((canvas.shape[2], canvas.shape[3])))
    values = eye.placed(canvas)
    for begin in range(0, steps, ROUND):
        down, right = chance.integers(STRIDE, size=2).tolist()
        objective.shift = (down, right)

        def told(step: int, loss: float, begin: int = begin) -> None:
            watch(begin + step, loss)

        values = minimise(objective, values, min(ROUND, steps - begin), pairs, told, likely, _shown(eye))
    return eye.array(values)


def _shown(eye: Eye) -> Callable[[Any], None]:
    return lambda values: progress.show(lambda: eye.array(values)[0])
