"""The generator's parts, as engines find them in its weight file: at once, and as core.seamless puts them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ...checkpoints import Checkpoint, build
from ...engines.network import Network
from ...errors import WeightsError
from .shape import Shape

if TYPE_CHECKING:
    from torch import nn

    from .generator import UNetGenerator

LEVEL = 2 / 255  # what a grey level is in the output, -1 to 1; features are of that order, too


@cache
def parts_of(shape: Shape) -> dict[str, Network]:
    """All parts by their names, as core.seamless asks for them."""
    masks = [f"mask{scale}" for scale in shape.noisy]
    down = {s: _statistics("down", [n for n in shape.down_norms if n < s]) for s in range(shape.coarse + 1)}
    up = {
        s: [*down[shape.coarse], *_statistics("up", [n for n in shape.up_norms if n > s])]
        for s in range(-1, shape.coarse)
    }
    parts = {"whole": ["image", *masks], "middle": ["before", *masks], "out": ["features", "image", *up[-1]]}
    parts |= {f"down{scale}": ["image", *down[scale]] for scale in {*shape.down_norms, shape.coarse}}
    parts |= {f"up{scale}": ["features", "image", *up[scale]] for scale in shape.up_norms}
    return {name: _network(shape, name, inputs) for name, inputs in parts.items()}


def _network(shape: Shape, name: str, inputs: list[str]) -> Network:
    # Sizes of parts are whole numbers of coarse pixels; the network at once takes any.
    grain = {"whole": 1, "middle": shape.stride}.get(name, 2 ** (shape.coarse + 1))

    def examples(
        _header: Mapping[str, Any], random: np.random.Generator, height: int, width: int
    ) -> tuple[np.ndarray, ...]:
        height, width = (-(-side // grain) * grain for side in (height, width))
        masks = shape.masks(height, width, random if random.random() < 0.5 else None)
        given = {f"mask{scale}": mask for scale, mask in zip(shape.noisy, masks, strict=True)}
        coarse = (height // 2 ** (shape.coarse + 1), width // 2 ** (shape.coarse + 1))
        joined = shape.widths[shape.coarse] * (2 if shape.skip == "concat" else 1)
        maps = {
            "image": (shape.in_channels, height, width),
            "before": (shape.widths[shape.coarse], *coarse),
            "features": (joined, *coarse),
        }
        for word in inputs:
            if word in maps:
                given[word] = random.normal(0, 0.5, (1, *maps[word])).astype(np.float32)
            elif word not in given:
                coder, _, moment = word.partition("_")
                channels = shape.widths[int(coder.lstrip("downup"))]
                low = 0.5 if moment == "variance" else -0.5
                given[word] = random.uniform(low, low + 1, channels).astype(np.float32)
        return tuple(given[word] for word in inputs)

    return Network(name, _part(name), tuple(inputs), examples, level=LEVEL, keeps_memory=False)


def _statistics(coder: str, scales: list[int]) -> list[str]:
    """Names of the moments that norms at these scales normalise by."""
    return [f"{coder}{scale}_{moment}" for scale in scales for moment in ("mean", "variance")]


def _part(name: str) -> Callable[[Checkpoint], nn.Module]:
    """What builds a part of core.parts around the generator's network, its parameters called as in the weight file."""

    def make(checkpoint: Checkpoint) -> nn.Module:
        from torch import Tensor, nn

        from ...core import parts

        generator = generator_of(checkpoint)
        kinds = {"whole": parts.Whole, "middle": parts.Middle, "out": parts.Out}
        kind, scale = name.rstrip("0123456789"), name.lstrip("abcdefghijklmnopqrstuvwxyz")
        if kind in kinds:
            part: nn.Module = kinds[kind](generator.net)
        else:
            part = {"down": parts.Down, "up": parts.Up}[kind](generator.net, int(scale))

        class Named(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.generator = generator

            def forward(self, *inputs: Tensor) -> Any:
                return part(*inputs)

        return Named()

    return make


@lru_cache(maxsize=1)
def generator_of(checkpoint: Checkpoint) -> UNetGenerator:
    """The generator of a weight file; its parts are asked for one after another.

    Raises:
        WeightsError: it holds none, or tensors that do not fit.
    """
    from .generator import UNetGenerator

    return build(checkpoint, "generator", UNetGenerator).eval()


def shape_of(checkpoint: Checkpoint) -> Shape:
    """The generator's shape by its header.

    Raises:
        WeightsError: the file holds something else, or its header does not say.
    """
    checkpoint.require("generator")
    try:
        return Shape(**checkpoint.header["config"])
    except (KeyError, TypeError) as error:
        raise WeightsError(f"weights {checkpoint.called} do not fit the model that their header describes") from error


def networks(checkpoint: Checkpoint) -> tuple[Network, ...]:
    """All parts of a weight file's generator."""
    return tuple(parts_of(shape_of(checkpoint)).values())


def _classifier(checkpoint: Checkpoint) -> nn.Module:
    from .classifier import ColourClassifier

    return build(checkpoint, "classifier", ColourClassifier).eval()


def _lightness(_header: Mapping[str, Any], random: np.random.Generator, height: int, width: int) -> tuple[np.ndarray]:
    return (random.uniform(-1, 1, (1, 1, height, width)).astype(np.float32),)


# lightness (B, 1, H, W) to a and b (B, 2, H, W), all in [-1, 1]
CLASSIFIER = Network(
    "colours", _classifier, ("lightness",), _lightness, prefix="classifier", level=LEVEL, keeps_memory=False
)

NETWORKS = {"generator": networks, "classifier": (CLASSIFIER,)}
