"""The networks of a codec, as engines find them in its weight file: those whose rounding does not matter.

What a decoder expects of the symbols is no business of engines: exact.py computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ...checkpoints import Checkpoint, build
from ...engines.network import Network
from ...errors import WeightsError
from .shape import DETAIL, FACTORIZED, FACTORS, HYPERPRIOR, RESTORATION, SCALE, TUNING

if TYPE_CHECKING:
    from torch import nn

    from .model import Codec


@lru_cache(maxsize=1)
def codec_of(checkpoint: Checkpoint) -> Codec:
    """The module of a weight file; its parts are asked for one after another.

    Raises:
        WeightsError: it holds none, or tensors that do not fit.
    """
    from .hyperprior import KINDS

    kind = KINDS[checkpoint.header["network"]]
    try:
        codec = kind(**(checkpoint.header.get("config") or {}))
        codec.load_state_dict(checkpoint.part("codec"))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f"weights {checkpoint.called} do not fit the model that their header describes") from error
    return codec.eval()


def _part(method: str) -> Callable[[Checkpoint], nn.Module]:
    """A module that calls one method of the codec, its parameters called as in the weight file."""

    def build(checkpoint: Checkpoint) -> nn.Module:
        from torch import Tensor, nn

        class Part(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.codec = codec_of(checkpoint)

            def forward(self, *inputs: Tensor) -> Any:
                return getattr(self.codec, method)(*inputs)

        return Part()

    return build


Examples = Callable[[Mapping[str, Any], np.random.Generator, int, int], tuple[np.ndarray, ...]]


def _examples(*channels: Callable[[Mapping[str, Any]], int], strides: bool = False) -> Examples:
    """Random latents (or pixels, in [0, 1]) of so many channels, for a picture of a size; the second is per channel."""

    def make(header: Mapping[str, Any], random: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, ...]:
        stride = prod(header["config"].get("factors", FACTORS))
        rows, columns = (-(-side // stride) for side in (height, width))
        if strides:
            pixels = random.random((1, channels[0](header["config"]), rows * stride, columns * stride))
            return (pixels.astype(np.float32),)
        sizes = [(rows, columns), (1, 1), (rows, columns)][: len(channels)]
        counts = [count(header["config"]) for count in channels]
        maps = [random.normal(0, 1, (1, c, *size)) for c, size in zip(counts, sizes, strict=True)]
        return tuple(x.astype(np.float32) for x in maps)

    return make


def _colours(config: Mapping[str, Any]) -> int:
    return int(config.get("channels", 3))


def _latents(config: Mapping[str, Any]) -> int:
    return int(config["widths"][-1])


def _features(config: Mapping[str, Any]) -> int:
    return int(config.get("features", 128))


LATENT = SCALE / 255  # what a grey level is in latents, which an almost orthonormal transform makes of pixels
# x (B, C, H, W) in [0, 1], multiples of the stride, to latents y (B, M, h, w)
ANALYSIS = Network("analysis", _part("analysis"), ("x",), _examples(_colours, strides=True), level=LATENT)
# y_hat to x_hat, not clamped
SYNTHESIS = Network("synthesis", _part("synthesis"), ("y_hat",), _examples(_latents))
# y to z (B, hyper_channels, ceil(h / 4), ceil(w / 4))
HYPER_ANALYSIS = Network("hyper-analysis", _part("hyper_analysis"), ("y",), _examples(_latents), level=LATENT)
# y_hat, steps (B, M, 1, 1) and features of h_s (B, features, h, w) to a y_hat that is nearer to y
REFINE = Network(
    "refine", _part("refine"), ("y_hat", "step", "features"), _examples(_latents, _latents, _features), level=LATENT
)


def _detail_network(checkpoint: Checkpoint) -> nn.Module:
    from .detail import DetailNetwork

    return build(checkpoint, DETAIL, DetailNetwork)


def _restoration_network(checkpoint: Checkpoint) -> nn.Module:
    from .detail import RestorationNetwork

    return build(checkpoint, RESTORATION, RestorationNetwork)


def _decoded(header: Mapping[str, Any], random: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, ...]:
    """A picture of whole blocks, a rate at which something is added, and for detail noise."""
    rows, columns = (-(-side // WHOLE) * WHOLE for side in (height, width))
    fades = header["config"].get("fades")
    rate = random.random((1, 1, 1, 1)) * (fades[1] if fades else 1)
    maps = random.random((1, 3, rows, columns)), rate, random.normal(0, 1, (1, 1, rows, columns))
    return tuple(x.astype(np.float32) for x in (maps if fades else maps[:2]))


def _tuning_network(checkpoint: Checkpoint) -> nn.Module:
    from .tuning import TuningNetwork

    return build(checkpoint, TUNING, TuningNetwork)


def _tuned(header: Mapping[str, Any], random: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, ...]:
    """Latents and a rate."""
    size = (-(-height // prod(FACTORS)), -(-width // prod(FACTORS)))
    y = random.normal(0, 1, (1, header["config"]["latents"], *size))
    return y.astype(np.float32), random.random((1, 1, 1, 1)).astype(np.float32)


WHOLE = 16  # of which sides of what is decoded are multiples
# x_hat (B, 3, H, W) in [0, 1], rate (B, 1, 1, 1) and noise (B, 1, H, W) to what is to be added to x_hat
DETAIL_NETWORK = Network(DETAIL, _detail_network, ("x_hat", "rate", "noise"), _decoded, prefix=DETAIL)
# x_hat and rate alone to what was lost and can be known
RESTORATION_NETWORK = Network(RESTORATION, _restoration_network, ("x_hat", "rate"), _decoded, prefix=RESTORATION)
# y and rate to the latents to be coded
TUNING_NETWORK = Network(TUNING, _tuning_network, ("y", "rate"), _tuned, prefix=TUNING, level=LATENT)

NETWORKS = {
    DETAIL: (DETAIL_NETWORK,),
    RESTORATION: (RESTORATION_NETWORK,),
    TUNING: (TUNING_NETWORK,),
    FACTORIZED: (ANALYSIS, SYNTHESIS),
    HYPERPRIOR: (ANALYSIS, SYNTHESIS, HYPER_ANALYSIS, REFINE),
}
