"""Texture synthesis by optimisation: L-BFGS changes the pixels until their statistics are the sample's (Gatys 2015)."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from .... import progress
from ....core.box import Box
from ....runtime import autocast
from ..descriptor import Descriptor
from ..loss import Loss
from ..pyramid import STRIDE, Level, Size, mirrored, resample
from ..transport import matrix_root

# No pixel further away than this has a part in a feature: VGG-19's relu5_1 looks 70 pixels far. A multiple of STRIDE.
REACH = 80
WHOLE, TILE = 1024**2, 768  # pixels of a canvas that is computed at once; side of the tiles of a larger one
FIRST_STEP = 0.02  # root mean square of the first change of the pixels
HISTORY = 20  # pairs of changes that L-BFGS remembers
VECTORS = 8  # images of the canvas' size that it holds beside them
GRAPH_COPIES = 10  # of the layers that are read, a graph from the pixels to the loss takes as much memory; measured
ROUND = 20  # steps until the torus is turned
NOISE = 0.1  # standard deviation of what is added to an enlarged canvas, in the canvas' own
TRIALS = 5  # of a step that does not lower the loss, each shorter than the one before
UNLIKELY = 0.05  # of a colour's mean variance: directions in which the sample's colours hardly vary are not closed
SUFFICIENT = 1e-4  # share of the decrease that the slope promises (Armijo)


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
Pairs = deque[tuple[Tensor, Tensor, float]]  # change of the values, change of the gradient, 1 / their product


@dataclass(frozen=True)
class Mixed:
    """Several samples' losses, weighted. For Gram matrices that is, but for a constant, the loss to their mixture.

    Args:
        losses: one for each sample.
        weights: of each.
    """

    losses: Sequence[Loss]
    weights: Sequence[float]

    def __call__(self, features: Sequence[Tensor]) -> Tensor:
        terms = [weight * loss(features) for weight, loss in zip(self.weights, self.losses, strict=True) if weight]
        return torch.stack(terms).sum()


class Objective:
    """The loss of a canvas and its gradient.

    A canvas of more than WHOLE pixels is computed in tiles, exactly: all features first, without what a gradient
    needs; then the loss and its gradient in the features; then tile by tile again, from there to the pixels. So memory
    holds the features once and one tile's graph, whatever the loss makes of the features.

    Args:
        descriptor: on a torus.
        loss: of the descriptor's features.
        dtype: of the convolutions.
        whole: pixels that are computed at once.
        tile: side of the tiles of a larger canvas, a multiple of STRIDE.
    """

    def __init__(
        self, descriptor: Descriptor, loss: Loss, dtype: torch.dtype, whole: int = WHOLE, tile: int = TILE
    ) -> None:
        self.descriptor, self.loss, self.dtype, self.whole, self.tile = descriptor, loss, dtype, whole, tile
        self.shift = (0, 0)  # rows and columns by which the torus is turned before it is looked at

    def __call__(self, canvas: Tensor) -> tuple[float, Tensor]:
        """The loss and its gradient for a canvas (1, C, H, W), C 1 or 3, both sides multiples of STRIDE."""
        turned = canvas.detach().roll(self.shift, (2, 3))
        large = canvas.shape[-2] * canvas.shape[-1] > self.whole
        loss, gradient = self._in_tiles(turned) if large else self._at_once(turned)
        return loss, gradient.roll([-by for by in self.shift], (2, 3))

    def _at_once(self, canvas: Tensor) -> tuple[float, Tensor]:
        x = canvas.requires_grad_()
        loss = self.loss(self.features(x))
        (gradient,) = torch.autograd.grad(loss, x)
        return loss.item(), gradient

    def features(self, image: Tensor) -> list[Tensor]:
        """The descriptor's features of an image that may be grey."""
        with autocast(image.device, self.dtype):
            return self.descriptor(image.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last))

    def _in_tiles(self, canvas: Tensor) -> tuple[float, Tensor]:
        with torch.no_grad():
            features = self._all_features(canvas)
        leaves = [layer.requires_grad_() for layer in features]
        loss = self.loss(leaves)
        slopes = torch.autograd.grad(loss, leaves)
        del leaves, features
        gradient = torch.zeros_like(canvas)
        for rows, columns, place in self._tiles(canvas):
            x = canvas[:, :, rows][..., columns].requires_grad_()
            kept = [place(layer, inside=True) for layer in self.features(x)]
            (part,) = torch.autograd.grad(kept, x, [place(slope) for slope in slopes])
            across = torch.zeros(*part.shape[:3], canvas.shape[-1]).to(part).index_add_(3, columns, part)
            gradient.index_add_(2, rows, across)
        return loss.item(), gradient

    def _all_features(self, canvas: Tensor) -> list[Tensor]:
        whole: list[Tensor] = []
        for rows, columns, place in self._tiles(canvas):
            layers = self.features(canvas[:, :, rows][..., columns])
            if not whole:
                for layer in layers:
                    stride = len(rows) // layer.shape[-2]
                    whole.append(layer.new_empty(1, layer.shape[1], *(side // stride for side in canvas.shape[-2:])))
            for layer, into in zip(layers, whole, strict=True):
                place(into).copy_(place(layer, inside=True))
        return whole

    def _tiles(self, canvas: Tensor) -> "Iterator[tuple[Tensor, Tensor, _Place]]":
        """Rows and columns of each tile with REACH more all around, and where it lies."""
        height, width = canvas.shape[-2:]
        for top in range(0, height, self.tile):
            for left in range(0, width, self.tile):
                box = Box(top, min(top + self.tile, height), left, min(left + self.tile, width))
                around = box.widened(REACH)
                rows = torch.arange(around.top, around.bottom, device=canvas.device) % height
                columns = torch.arange(around.left, around.right, device=canvas.device) % width
                yield rows, columns, _Place(box, height)


@dataclass(frozen=True)
class _Place:
    """A tile of a canvas in pixels; `canvas` is the canvas' height, from which strides follow."""

    box: Box
    canvas: int

    def __call__(self, layer: Tensor, inside: bool = False) -> Tensor:
        """The tile's part of a layer of the whole canvas; or, `inside`, of a layer of the tile with REACH around it."""
        box, height = self.box, self.canvas
        if inside:
            box, height = Box(REACH, REACH + box.height, REACH, REACH + box.width), box.height + 2 * REACH
        return box.of(layer, height // layer.shape[-2])


def bytes_needed(descriptor: Descriptor, canvas: Size, channels: int, dtype: torch.dtype, copies: float) -> float:
    """About how much memory an optimisation takes on its finest level, beyond what the descriptor takes itself.

    Args:
        descriptor: on a torus.
        canvas: height and width.
        channels: of the canvas, 1 or 3.
        dtype: of the convolutions.
        copies: of the layers that are read, in float32, that these, their gradient and the loss take.
    """
    pixels = canvas[0] * canvas[1]
    side = -(-descriptor.smallest // STRIDE) * STRIDE
    probe = descriptor(torch.zeros(1, 3, side, side, device=next(descriptor.buffers()).device))
    features = sum(layer.numel() for layer in probe) / side**2  # numbers for each pixel
    of_optimiser = 4 * channels * (2 * history_for(canvas) + VECTORS)
    if pixels <= WHOLE:
        return pixels * (of_optimiser + features * dtype.itemsize * GRAPH_COPIES)
    graph = (TILE + 2 * REACH) ** 2 * features * dtype.itemsize * GRAPH_COPIES
    return graph + pixels * (of_optimiser + 4 * features * copies)


def history_for(canvas: Size) -> int:
    """Pairs of changes that L-BFGS remembers: fewer where each takes much memory."""
    return HISTORY if canvas[0] * canvas[1] <= WHOLE else HISTORY // 2


@torch.no_grad()
def sample_features(descriptor: Descriptor, sample: Tensor, depth: int | None = None) -> list[Tensor]:
    """Features of a sample without those that see its borders: it is mirrored there, REACH far, and these are cut off.

    Zeros around it, as VGG-19 was trained with, would be part of the statistics: of a sample of 64 pixels every feature
    of relu5_1 sees them.

    Args:
        descriptor: on a torus.
        sample: (1, C, H, W), C 1 or 3, any size.
        depth: how many of the layers; all without.

    Returns:
        (1, C_l, H_l, W_l) for each layer, at least one feature each.
    """
    height, width = sample.shape[-2:]
    rows, columns = (
        mirrored(torch.arange(-REACH, side + REACH + -side % STRIDE, device=sample.device), side)
        for side in (height, width)
    )
    x = sample[:, :, rows][..., columns].expand(-1, 3, -1, -1)
    cut = []
    for layer in descriptor(x.contiguous(memory_format=torch.channels_last), depth):
        s = len(rows) // layer.shape[-2]
        begin = REACH // s
        cut.append(layer[..., begin : begin + -(-height // s), begin : begin + -(-width // s)])
    return cut


def colour_moments(samples: Sequence[Tensor], weights: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Mean (C,) and covariance (C, C) of samples' colours, (1, C, h, w) each, averaged by weights that sum to 1."""
    colours = [sample.flatten(2)[0].cpu().double() for sample in samples]
    mean = torch.stack([w * c.mean(1) for w, c in zip(weights, colours, strict=True)]).sum(0)
    spreads = [w * torch.cov(c, correction=0).reshape(len(c), len(c)) for w, c in zip(weights, colours, strict=True)]
    return mean, torch.stack(spreads).sum(0)


def likely_colours(samples: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """How far a step may go in each direction of colour, (C, C): as the samples' colours vary, with a mean of 1.

    Without it a grey sample gets coloured grain, which the features hardly see. That is the same as to optimise
    colours in coordinates in which the samples' are independent (Olah et al. 2017, doi:10.23915/distill.00007).
    """
    _, covariance = colour_moments(samples, weights)
    mean = covariance.diagonal().mean().clamp_min(1e-12)
    return (covariance / mean + UNLIKELY * torch.eye(len(covariance)).double()).to(samples[0])


def noise_like(samples: Sequence[Tensor], weights: Sequence[float], size: Size, seed: int) -> Tensor:
    """Gaussian noise whose colours have the mean and the covariance of the samples' (mixed by their weights).

    Args:
        samples: each (1, C, h, w).
        weights: of the samples; they sum to 1.
        size: height and width.
        seed: drawn on the CPU, so that it does not depend on the device.

    Returns:
        (1, C, *size), in [0, 1].
    """
    mean, covariance = colour_moments(samples, weights)
    channels = len(mean)
    root = matrix_root(covariance)
    white = torch.randn(channels, *size, generator=Generator().manual_seed(seed))
    noise = torch.einsum("cd,dhw->chw", root.float(), white) + mean.float()[:, None, None]
    return noise.clamp_(0, 1)[None].to(samples[0])


def minimise(
    objective: Callable[[Tensor], tuple[float, Tensor]],
    start: Tensor,
    evaluations: int,
    pairs: "Pairs | None" = None,
    watch: Callable[[int, float], None] | None = None,
    likely: Tensor | None = None,
) -> Tensor:
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
        direction = _direction(downhill, pairs, likely).mul_(free)
        slope = _dot(downhill, direction)
        if not slope < 0:  # nowhere to go, or curvature that is none: begin anew
            if not pairs:
                break
            pairs.clear()
            continue
        length = 1.0
        for _ in range(TRIALS):
            x_new = (x + length * direction).clamp_(0, 1)
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
        product = _dot(change, turn)
        if product > 1e-10 * _dot(turn, turn):
            pairs.append((change, turn, 1 / product))
        x, loss, gradient = x_new, loss_new, gradient_new
        progress.show(x[0].float().cpu().numpy)
    return x


def _direction(gradient: Tensor, pairs: "Pairs", likely: Tensor | None) -> Tensor:
    """Minus the gradient, times the inverse Hessian that the pairs suggest (the two-loop recursion)."""

    def at_first(x: Tensor) -> Tensor:
        return x if likely is None else torch.einsum("cd,bdhw->bchw", likely, x)

    if not pairs:
        steepest = at_first(gradient)
        size = steepest.square().mean().sqrt().item()
        return steepest * (-FIRST_STEP / size if size > 0 else 0.0)
    q = -gradient
    shares = []
    for change, turn, rho in reversed(pairs):
        share = rho * _dot(change, q)
        q.sub_(turn, alpha=share)
        shares.append(share)
    _, turn, rho = pairs[-1]
    q = at_first(q) / (rho * _dot(turn, at_first(turn)))
    for (change, turn, rho), share in zip(pairs, reversed(shares), strict=True):
        q.add_(change, alpha=share - rho * _dot(turn, q))
    return q


def _dot(a: Tensor, b: Tensor) -> float:
    return torch.dot(a.flatten(), b.flatten()).item()


def optimise(
    descriptor: Descriptor,
    samples: Sequence[Tensor],
    weights: Sequence[float],
    pyramid: Sequence[Level],
    make_loss: Callable[[list[Tensor]], Loss],
    seed: int,
    steps: int,
    dtype: torch.dtype,
    watch: Watch | None = None,
    start: Tensor | None = None,
) -> Tensor:
    """Grow a texture, coarse to fine.

    Args:
        descriptor: on a torus.
        samples: each (1, C, h, w) in [0, 1], of one number of channels, 1 or 3.
        weights: of the samples; they sum to 1.
        pyramid: what `levels` makes of their sizes.
        make_loss: from the features of a sample to the loss.
        seed: of the noise from which the coarsest level starts.
        steps: evaluations of the loss on each level.
        dtype: of the convolutions.
        watch: is told of every evaluation.
        start: (1, C, h, w), a texture to refine, of the coarsest level's size; noise without.

    Returns:
        (1, C, H, W) in [0, 1], a torus of the finest level's size.
    """
    chance = Generator().manual_seed(seed)
    canvas: Tensor | None = None
    for number, level in enumerate(pyramid, 1):
        scaled = [resample(s, size, circular=False).clamp(0, 1) for s, size in zip(samples, level.samples, strict=True)]
        loss = Mixed([make_loss(sample_features(descriptor, s)) for s in scaled], weights)
        if canvas is None:
            canvas = noise_like(scaled, weights, level.canvas, seed) if start is None else start
        else:
            canvas = enlarged(canvas, level.canvas, chance)

        def told(step: int, value: float, number: int = number, size: Size = level.canvas) -> None:
            progress.report((number - 1) * steps + step, len(pyramid) * steps)
            if watch:
                watch(Progress(number, len(pyramid), step, steps, value, size))

        likely = likely_colours(scaled, weights)
        canvas = _turning(Objective(descriptor, loss, dtype), canvas, steps, chance, told, likely)
    assert canvas is not None  # a pyramid has at least one level
    return canvas


def enlarged(canvas: Tensor, size: Size, chance: Generator) -> Tensor:
    """The next level's start: no grid of the pixels it had may be left, for the loss would not mind it."""
    larger = resample(canvas, size, circular=True, smooth=True)
    noise = torch.randn(larger.shape, generator=chance).to(larger)
    return larger.add_(noise, alpha=NOISE * larger.std().item()).clamp_(0, 1)


def _turning(
    objective: Objective,
    canvas: Tensor,
    steps: int,
    chance: Generator,
    watch: Callable[[int, float], None],
    likely: Tensor,
) -> Tensor:
    """Minimise, and turn the torus every ROUND steps, so that the descriptor pools other pixels together.

    Average pooling treats the pixels of a square alike, and those on both sides of its border not: on one grid for all
    steps that grid can be seen. What L-BFGS knows of the curvature is kept; a turn changes it little.
    """
    pairs: Pairs = deque(maxlen=history_for((canvas.shape[2], canvas.shape[3])))
    for begin in range(0, steps, ROUND):
        down, right = torch.randint(STRIDE, (2,), generator=chance).tolist()
        objective.shift = (down, right)

        def told(step: int, loss: float, begin: int = begin) -> None:
            watch(begin + step, loss)

        canvas = minimise(objective, canvas, min(ROUND, steps - begin), pairs, told, likely)
    return canvas
