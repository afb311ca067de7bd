"""What a network costs and sees, layer by layer, counted while a picture without numbers goes through it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

CONVOLUTIONS = ("conv2d", "conv_transpose2d")
POOLINGS = ("max_pool2d", "max_pool2d_with_indices", "avg_pool2d")


@dataclass(frozen=True)
class Layer:
    """One layer of a network.

    Args:
        kind: `conv2d`, `linear`, `max_pool2d`, ...
        shape: of its output, without the batch: (C, H, W) or (N,).
        parameters: of the layer, bias included.
        multiplications: for one picture.
        field: side of the receptive field, in pixels of the picture.
        depth: how many layers with weights a number has gone through at most.
    """

    kind: str
    shape: tuple[int, ...]
    parameters: int
    multiplications: int
    field: int
    depth: int

    @property
    def activations(self) -> int:
        """Numbers in its output."""
        return int(torch.Size(self.shape).numel())


@dataclass(frozen=True)
class Reach:
    """What a tensor's number has seen: a field of so many pixels, with neighbours `jump` pixels apart."""

    field: float = 1
    jump: float = 1
    depth: int = 0


class Meter(TorchFunctionMode):
    """Within it every layer that is computed is counted.

    Receptive fields follow Araujo et al. 2019 ("Computing receptive fields of convolutional neural networks"): a
    kernel of k at jump j adds (k - 1) j pixels; where branches join, the largest counts.

    Args:
        side: of the picture, which no receptive field exceeds.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side, self.layers = side, list[Layer]()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        out = result[0] if isinstance(result, tuple) and result and isinstance(result[0], Tensor) else result
        if isinstance(out, Tensor):
            reaches = [tensor.reach for tensor in tensors_of(args) if hasattr(tensor, "reach")]
            if reaches:
                # depth may come from another branch than the field
                reach = Reach(*(max(getattr(r, name) for r in reaches) for name in ("field", "jump", "depth")))
                seen = self._count(getattr(func, "__name__", ""), args, kwargs, out, reach)
                out.reach = seen  # type: ignore[attr-defined]
        return result

    def _count(self, kind: str, args: tuple[Any, ...], kwargs: dict[str, Any], out: Tensor, reach: Reach) -> Reach:
        if kind in CONVOLUTIONS:
            weight, stride = args[1], first(args[3] if len(args) > 3 else kwargs.get("stride", 1))
            kernel, here = weight.shape[-1], out if kind == "conv2d" else args[0]
            work = weight.numel() * here.shape[-2] * here.shape[-1]
            jump = reach.jump * stride if kind == "conv2d" else reach.jump / stride
            field = reach.field + (kernel - 1) * (reach.jump if kind == "conv2d" else jump)
            bias = args[2] if len(args) > 2 else kwargs.get("bias")
            return self._add(kind, out, count(weight, bias), work, Reach(field, jump, reach.depth + 1))
        if kind == "linear":
            weight, bias = args[1], args[2] if len(args) > 2 else kwargs.get("bias")
            return self._add(
                kind, out, count(weight, bias), weight.numel(), Reach(self.side, reach.jump, reach.depth + 1)
            )
        if kind in POOLINGS:
            kernel = first(args[1] if len(args) > 1 else kwargs["kernel_size"])
            stride = first((args[2] if len(args) > 2 else kwargs.get("stride")) or kernel)
            seen = Reach(reach.field + (kernel - 1) * reach.jump, reach.jump * stride, reach.depth)
            return self._add(kind.removesuffix("_with_indices"), out, 0, 0, seen)
        if kind == "adaptive_avg_pool2d":
            bins = first(args[1])
            spread = args[0].shape[-1] - args[0].shape[-1] // max(1, bins)
            field = self.side if bins == 1 else reach.field + (args[0].shape[-1] - spread - 1) * reach.jump
            return self._add(kind, out, 0, 0, Reach(field, reach.jump, reach.depth))
        return reach

    def _add(self, kind: str, out: Tensor, parameters: int, work: int, reach: Reach) -> Reach:
        field = min(reach.field, self.side)
        self.layers.append(Layer(kind, tuple(out.shape[1:]), parameters, work, round(field), reach.depth))
        return Reach(field, reach.jump, reach.depth)


def tensors_of(args: Any) -> list[Tensor]:
    """The tensors among arguments, also those in lists, as torch.cat takes them."""
    found: list[Tensor] = []
    for each in args:
        if isinstance(each, Tensor):
            found.append(each)
        elif isinstance(each, list | tuple):
            found += tensors_of(each)
    return found


def first(value: Any) -> int:
    """A size given once or for both sides."""
    return int(value[0] if isinstance(value, list | tuple) else value)


def count(weight: Tensor, bias: Tensor | None) -> int:
    """Numbers in a weight and its bias."""
    return weight.numel() + (0 if bias is None else bias.numel())


def measured(build: Callable[[], nn.Module], shape: tuple[int, ...], *more: tuple[int, ...]) -> list[Layer]:
    """The layers of a network in the order in which a picture goes through them. Nothing is computed.

    Args:
        build: makes the network; its weights are never filled.
        shape: of the picture, (C, H, W).
        more: shapes of what else its forward takes, without the batch.
    """
    with torch.device("meta"):
        network = build().eval()
        picture, others = torch.empty(1, *shape), [torch.empty(1, *each) for each in more]
    picture.reach = Reach()  # type: ignore[attr-defined]
    with torch.no_grad(), Meter(shape[-1]) as meter:
        network(picture, *others)
    return meter.layers
