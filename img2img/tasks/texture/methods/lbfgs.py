"""L-BFGS within bounds, for NumPy's arrays and PyTorch's tensors alike; it knows neither library.

What it does with them both have: arithmetic, comparisons, `clip`, `reshape`, `sum` and `tolist`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

Values = Any  # an array or a tensor
Pairs = deque[tuple[Values, Values, float]]  # change of the values, change of the gradient, 1 / their product

FIRST_STEP = 0.02  # root mean square of the first change of the values
HISTORY = 20  # pairs of changes that are remembered
TRIALS = 5  # of a step that does not lower the loss, each shorter than the one before
SUFFICIENT = 1e-4  # share of the decrease that the slope promises (Armijo)
ROW = 4096  # products that are summed by the library; their sums are summed exactly


def minimise(
    objective: Callable[[Values], tuple[float, Values]],
    start: Values,
    evaluations: int,
    pairs: Pairs | None = None,
    watch: Callable[[int, float], None] | None = None,
    likely: Sequence[Sequence[float]] | None = None,
    accepted: Callable[[Values], None] | None = None,
) -> Values:
    """L-BFGS within [0, 1].

    A step of full length is taken if it lowers the loss, as nearly all do; else a shorter one. Pixels at black or white
    that the gradient pushes beyond stay where they are: simple bounds in the place of L-BFGS-B, which Gatys 2015 uses.
    With as many evaluations the loss gets lower than by torch.optim.LBFGS, with or without its line search: that knows
    no bounds, and to clip its pixels costs more than it has gained.

    Args:
        objective: gives the loss and its gradient.
        start: values in [0, 1].
        evaluations: of the objective, in all.
        pairs: changes of the values and of the gradient, from which the curvature is guessed; HISTORY new ones without.
        watch: is told the number of each evaluation, from 1, and the least loss so far.
        likely: of the values, which then are (1, C, H, W): the inverse Hessian, (C, C), but for a factor, where nothing
            is known of it yet; a multiple of the identity without.
        accepted: is given the values of each step.

    Returns:
        The values of the least loss.

    References: Nocedal & Wright 2006, Numerical Optimization, algorithms 7.4 and 7.5.
    """
    x = start
    loss, gradient = objective(x)
    pairs = deque(maxlen=HISTORY) if pairs is None else pairs
    done = 1
    if watch:
        watch(done, loss)
    while done < evaluations:
        free = ~(((x <= 0) & (gradient > 0)) | ((x >= 1) & (gradient < 0)))
        downhill = gradient * free
        direction = _direction(downhill, pairs, likely)
        direction *= free
        slope = dot(downhill, direction)
        if not slope < 0:  # nowhere to go, or curvature that is none: begin anew
            if not pairs:
                break
            pairs.clear()
            continue
        length = 1.0
        for _ in range(TRIALS):
            x_new = (x + length * direction).clip(0, 1)
            loss_new, gradient_new = objective(x_new)
            done += 1
            better = loss_new <= loss + SUFFICIENT * length * slope
            if watch:
                watch(done, min(loss, loss_new))
            if better or done >= evaluations:
                break
            # The lowest point of the parabola through what is known, if it lies well inside.
            curvature = 2 * (loss_new - loss - length * slope)
            length = min(max(-slope * length**2 / curvature if curvature > 0 else 0.0, 0.1 * length), 0.5 * length)
        if not better:
            if not pairs:
                break
            pairs.clear()
            continue
        change, turn = x_new - x, gradient_new - gradient
        product = dot(change, turn)
        if product > 1e-10 * dot(turn, turn):
            pairs.append((change, turn, 1 / product))
        x, loss, gradient = x_new, loss_new, gradient_new
        if accepted:
            accepted(x)
    return x


def _direction(gradient: Values, pairs: Pairs, likely: Sequence[Sequence[float]] | None) -> Values:
    """Minus the gradient, times the inverse Hessian that the pairs suggest (the two-loop recursion)."""

    def at_first(x: Values) -> Values:
        return x if likely is None else mixed(likely, x)

    if not pairs:
        steepest = at_first(gradient)
        size = math.sqrt(dot(steepest, steepest) / math.prod(steepest.shape))
        return steepest * (-FIRST_STEP / size if size > 0 else 0.0)
    q = -gradient
    shares = []
    for change, turn, rho in reversed(pairs):
        share = rho * dot(change, q)
        q -= share * turn
        shares.append(share)
    _, turn, rho = pairs[-1]
    q = at_first(q) / (rho * dot(turn, at_first(turn)))
    for (change, turn, rho), share in zip(pairs, reversed(shares), strict=True):
        q += (share - rho * dot(turn, q)) * change
    return q


def dot(a: Values, b: Values) -> float:
    """The sum of the products of two arrays' numbers, in one order for any number of threads.

    Libraries sum a long row in as many pieces as they have threads. Here each piece is ROW long, and the pieces' sums
    are summed exactly (math.fsum), so that their order is all the same.
    """
    products = (a * b).reshape(-1)
    whole = len(products) - len(products) % ROW
    pieces = products[:whole].reshape(-1, ROW).sum(-1).tolist()
    return math.fsum([*pieces, *products[whole:].tolist()])


def mixed(matrix: Sequence[Sequence[float]], x: Values) -> Values:
    """Channels of (1, C, H, W) as sums of them, by a matrix (C, C)."""
    found = 0 * x
    for into, row in enumerate(matrix):
        for channel, share in enumerate(row):
            found[:, into] += share * x[:, channel]
    return found
