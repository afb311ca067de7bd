"""A descriptor's networks, as engines find them in weight files: Gram matrices and their loss' gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...checkpoints import Checkpoint, build
from ...core.vgg_shape import Shape
from ...engines.network import Network
from .terms import terms_of

if TYPE_CHECKING:
    import onnx
    from torch import nn

# A twentieth of these may a result differ by, as a share of its largest value. Gradients by more than sums: a ReLU
# whose input is zero but for rounding fires in one engine and not in the other, and single pixels differ by that.
SUM, SLOPE = 0.002, 0.2


def networks(checkpoint: Checkpoint) -> tuple[Network, ...]:
    """What graphs are made of for a descriptor: the classes of gradient.py say what they take and give."""
    channels = Shape.of(checkpoint.header).channels
    numbers = range(len(terms_of(len(channels))))
    given = {word: tuple(f"{word}_{i}" for i in numbers) for word in ("target", "matrix")}
    parts = (
        _network("sums", "GramSums", ("image", "here", "there"), _for_sums, SUM),
        _network("gradient", "GramGradient", ("image", "weights", *given["target"]), _for_gradient, SLOPE),
        _network("slopes", "GramSlopes", ("image", "here", *given["matrix"]), _for_slopes, SLOPE),
        _network("unseen", "Unseen", ("image",), lambda *picture: (_image(*picture),), SUM),
    )
    # onnxruntime shares the rows of a Gram matrix among threads. One that has a single row sums it in another order.
    return tuple(replace(part, most_threads=max(1, min(channels) // 2)) for part in parts)


def _network(name: str, module: str, inputs: tuple[str, ...], examples: Any, level: float) -> Network:
    def build_module(checkpoint: Checkpoint) -> nn.Module:
        from ...core.descriptor import VGG
        from . import gradient

        built: nn.Module = getattr(gradient, module)(build(checkpoint, "vgg", VGG))
        return built.eval()

    def graph(checkpoint: Checkpoint) -> onnx.ModelProto:
        from . import graph

        model: onnx.ModelProto = getattr(graph, name)(Shape.of(checkpoint.header))
        return model

    return Network(name, build_module, inputs, examples, level=level, relative=True, graph=graph)


NETWORKS = {"vgg": networks}  # by what a weight file's header calls its network

Arrays = tuple[np.ndarray, ...]


def _image(header: Mapping[str, Any], random: np.random.Generator, height: int, width: int) -> np.ndarray:
    least = Shape.of(header).smallest
    return random.random((1, 3, max(height, least), max(width, least)), dtype=np.float32)


def _mask(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A rectangle of ones."""
    mask = np.zeros((1, 1, *image.shape[2:]), np.float32)
    (top, bottom), (left, right) = (sorted(random.integers(0, side, 2).tolist()) for side in image.shape[2:])
    mask[..., top : bottom + 1, left : right + 1] = 1
    return mask


def _matrices(header: Mapping[str, Any], random: np.random.Generator) -> list[np.ndarray]:
    channels = Shape.of(header).channels
    sides = [channels[term.layer] for term in terms_of(len(channels))]
    return [random.random((side, side), dtype=np.float32) for side in sides]


def _for_sums(header: Mapping[str, Any], random: np.random.Generator, height: int, width: int) -> Arrays:
    image = _image(header, random, height, width)
    return image, _mask(image, random), _mask(image, random)


def _for_gradient(header: Mapping[str, Any], random: np.random.Generator, height: int, width: int) -> Arrays:
    targets = _matrices(header, random)
    weights = np.array([1 / target.size**2 for target in targets], np.float32)
    return _image(header, random, height, width), weights, *targets


def _for_slopes(header: Mapping[str, Any], random: np.random.Generator, height: int, width: int) -> Arrays:
    image = _image(header, random, height, width)
    return image, _mask(image, random), *(matrix / np.float32(len(matrix) ** 2) for matrix in _matrices(header, random))
