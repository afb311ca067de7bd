"""Parameter networks in integer arithmetic: the same numbers on every device, thread count and library version.

What a decoder expects of a latent must be what the encoder expected, to the last bit, or it reads garbage. Floating
point does not promise that: sums come out differently in another order. Here all numbers are integers, carried by
float64: as long as every partial sum stays below 2^53 each is exact, in whatever order it is taken, fused or not.
NumPy alone, so that every engine is served by the same code.

References: Balle et al. 2019, "Integer networks for data compression with latent-variable models".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

FRACTION = 10  # binary digits after the point, of features and latents
WEIGHT_FRACTION = 16  # of weights
LARGEST = 2.0**23  # of features: 8192

Layer = Literal["conv", "relu", "shuffle"]  # a 3x3 or 1x1 convolution of stride 1; ReLU; sub-pixels of a factor of 2


def divide(x: np.ndarray, shift: int | np.ndarray) -> np.ndarray:
    """x / 2^shift, rounded to an integer, halves up. Exact, for powers of two divide without rounding."""
    scaled = x * np.ldexp(1.0, np.negative(shift))
    scaled += 0.5
    return np.floor(scaled, out=scaled)


class Convolution:
    """A convolution of stride 1 that keeps the size, run on integers.

    Args:
        weight: (O, I, k, k), k odd; rounded to multiples of 2^-16.
        bias: (O,), likewise.

    Raises:
        ValueError: weights so large that a sum could pass 2^53.
    """

    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        self.weight = np.rint(weight.astype(np.float64) * 2**WEIGHT_FRACTION)
        self.bias = np.rint(bias.astype(np.float64) * 2 ** (WEIGHT_FRACTION + FRACTION))
        largest = np.abs(self.weight).sum((1, 2, 3)).max() * LARGEST + np.abs(self.bias).max() + 2**WEIGHT_FRACTION
        if largest >= 2.0**53:
            raise ValueError("weights too large for exact sums")
        # One matrix for each tap, in memory as they are multiplied.
        self.taps = np.ascontiguousarray(self.weight.transpose(2, 3, 0, 1))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Whole numbers (I, h, w) that count 2^-10 to (O, h, w)."""
        height, width = x.shape[1:]
        side = len(self.taps)
        # Lines one behind the other, with zeros around: what a tap sees of all pixels is then one slice, not a copy.
        pad, line = side // 2, width + side - 1
        flat = np.zeros((len(x), (height + side - 1) * line + side - 1))
        framed = flat[:, : (height + side - 1) * line].reshape(len(x), height + side - 1, line)
        framed[:, pad : pad + height, pad : pad + width] = x
        total = np.empty((len(self.bias), height * line))
        total[:] = self.bias[:, None]
        for row in range(side):
            for column in range(side):
                begin = row * line + column
                total += self.taps[row, column] @ flat[:, begin : begin + height * line]
        kept = total.reshape(len(total), height, line)[..., :width]
        return np.clip(divide(kept, WEIGHT_FRACTION), -LARGEST, LARGEST)


def convolution(tensors: Mapping[str, np.ndarray], name: str) -> Convolution:
    """The convolution of these parameters, NAME.weight and NAME.bias.

    Raises:
        KeyError: there are none.
        ValueError: they are too large.
    """
    return Convolution(tensors[f"{name}.weight"], tensors[f"{name}.bias"])


class IntegerNetwork:
    """Convolutions, ReLUs and pixel shuffles one after another, run on integers.

    Args:
        layers: what each is.
        tensors: of a weight file or a module, by name: NAME.NUMBER.weight and NAME.NUMBER.bias of each convolution.
        name: of the network.
        first: the number of the first layer.

    Raises:
        KeyError: a tensor is missing.
        ValueError: weights so large that a sum could pass 2^53.

    Shape:
        x: (C, H, W) float64, whole numbers that count 2^-10; returns the same kind.
    """

    def __init__(self, layers: Sequence[Layer], tensors: Mapping[str, np.ndarray], name: str, first: int = 0) -> None:
        self.layers: list[Callable[[np.ndarray], np.ndarray]] = [
            convolution(tensors, f"{name}.{number}") if layer == "conv" else {"relu": relu, "shuffle": shuffle}[layer]
            for number, layer in enumerate(layers, first)
        ]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        for layer in self.layers:
            x = layer(x)
        return x


def relu(x: np.ndarray) -> np.ndarray:
    """What is negative becomes 0."""
    return np.maximum(x, 0)


def shuffle(x: np.ndarray) -> np.ndarray:
    """Sub-pixels: (4 C, H, W) to (C, 2 H, 2 W), as PyTorch's PixelShuffle(2)."""
    channels, height, width = x.shape
    parts = x.reshape(channels // 4, 2, 2, height, width)
    return parts.transpose(0, 3, 1, 4, 2).reshape(channels // 4, 2 * height, 2 * width)


def interpolate(table: np.ndarray, rate: int) -> np.ndarray:
    """Between the levels of an integer table (levels, channels) at a rate of 0 ... 65535: (channels,) int64."""
    place = rate * (len(table) - 1)
    below = min(place // 65535, len(table) - 2)
    share = place - below * 65535
    low, high = table[below].astype(np.int64), table[below + 1].astype(np.int64)
    between: np.ndarray = (low * (65535 - share) + high * share + 32767) // 65535
    return between
