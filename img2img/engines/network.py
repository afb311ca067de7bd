"""What a pipeline asks of an engine, and what an engine must know of a network. Imports neither PyTorch nor others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import onnx
    from torch import nn

    from ..checkpoints import Checkpoint


@dataclass(frozen=True, eq=False)
class Network:
    """One network of a weight file, as PyTorch builds it and as a graph of it is made and checked.

    Args:
        name: of the graph: `weights/TASK/WEIGHTS.NAME.onnx`.
        build: the module in eval mode with its weights, from their checkpoint. What it imports, it imports itself, so
            that nobody waits for PyTorch who does not use it.
        inputs: names of the module's arguments, in their order.
        examples: arguments for a picture of (height, width), from a checkpoint's header and random numbers: what a
            graph is traced with and compared on. Axes 0, 2 and 3 of every argument may have any size later.
        prefix: what names of the module's parameters lack of those in the weight file.
        level: what one grey level of 255 is in the network's output.
        relative: whether that counts in shares of each result's largest value, whose size depends on the picture.
        graph: makes the graph, without tensors, where no exporter can trace it from the module.
        keeps_memory: whether onnxruntime keeps what a run took for the next one. That is faster for the equal tiles of
            a picture; of a picture that is computed whole it takes a third more.
        most_threads: how many onnxruntime may use at most; without, as many as there are.
    """

    name: str
    build: Callable[[Checkpoint], nn.Module]
    inputs: tuple[str, ...]
    examples: Callable[[Mapping[str, Any], np.random.Generator, int, int], tuple[np.ndarray, ...]]
    prefix: str = ""
    level: float = 1 / 255
    relative: bool = False
    graph: Callable[[Checkpoint], onnx.ModelProto] | None = None
    keeps_memory: bool = True
    most_threads: int | None = None


class Runner(Protocol):
    """A network that is ready: arrays in, an array out (or a tuple of them where the module returns several)."""

    def __call__(self, *inputs: np.ndarray) -> Any: ...


class Engine(Protocol):
    """Runs networks.

    Attributes:
        name: `torch` or `onnx`.
        device: `cpu`, `cuda` or `mps`: where it runs them.
    """

    @property
    def name(self) -> str: ...

    @property
    def device(self) -> str: ...

    def expect(self, pixels: int) -> None:
        """Hear how large the next picture is, before it is computed."""
        ...

    def load(self, checkpoint: Checkpoint, network: Network) -> Runner:
        """Make a network ready.

        Raises:
            WeightsError: the weights are damaged, or do not hold this network.
        """
        ...
