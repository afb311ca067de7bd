"""What a texture is grown by, in PyTorch: any descriptor, any loss, any device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ....core.box import Box
from ....core.descriptor import Descriptor
from ....runtime import autocast, exactly, keep_big_buffers, require_memory
from ..job import LossName
from ..judge import Unseen, unseen
from ..loss import COPIES, Loss, make_loss
from ..pyramid import REACH, STRIDE, Size
from ..sample_features import sample_features
from .optimize import TILE, WHOLE, bytes_of_optimiser

GRAPH_COPIES = 10  # of the layers that are read, a graph from the pixels to the loss takes as much memory; measured


class TorchEye:
    """See `optimize.Eye`.

    Args:
        descriptor: on a torus.
        device: where to compute.
        dtype: of the convolutions.

    Raises:
        ValueError: the descriptor is not circular.
    """

    def __init__(self, descriptor: Descriptor, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        if not descriptor.circular:
            raise ValueError("textures are made on a torus: the descriptor has to be circular")
        keep_big_buffers()
        self.descriptor, self.device, self.dtype = descriptor.to(device), device, dtype
        self.smallest = descriptor.smallest

    @cached_property
    def judge(self) -> Unseen:
        """Layers that no loss sees."""
        return unseen(self.descriptor)

    def require(self, canvas: Size, channels: int, loss: LossName, what: str) -> None:
        needed = bytes_needed(self.descriptor, canvas, channels, self.dtype, COPIES[loss])
        require_memory(needed, self.device, what)

    def exactly(self) -> AbstractContextManager[None]:
        return exactly(self.device)

    def objective(
        self, samples: Sequence[NDArray[np.float32]], weights: Sequence[float], loss: LossName, seed: int
    ) -> Objective:
        make = partial(make_loss, loss, seed, self.descriptor.trust)
        losses = [make(sample_features(self.descriptor, self.placed(sample))) for sample in samples]
        return Objective(self.descriptor, Mixed(losses, weights), self.dtype)

    def placed(self, canvas: NDArray[np.float32]) -> Tensor:
        return torch.tensor(canvas, device=self.device)

    def array(self, canvas: Tensor) -> NDArray[np.float32]:
        found: NDArray[np.float32] = canvas.float().cpu().numpy()
        return found

    def judged(self, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        layers = sample_features(self.judge.descriptor, self.placed(image))
        return dict(zip(self.judge.names, map(self.array, layers), strict=True))


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
    """The loss of a canvas and its gradient, by PyTorch's autograd.

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

    def _tiles(self, canvas: Tensor) -> Iterator[tuple[Tensor, Tensor, _Place]]:
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
    of_optimiser = bytes_of_optimiser(canvas, channels)
    if pixels <= WHOLE:
        return of_optimiser + pixels * features * dtype.itemsize * GRAPH_COPIES
    graph = (TILE + 2 * REACH) ** 2 * features * dtype.itemsize * GRAPH_COPIES
    return graph + of_optimiser + 4 * pixels * features * copies
