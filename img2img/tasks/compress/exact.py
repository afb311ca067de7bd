"""Parameter networks in integer arithmetic: the same numbers on every device, thread count and library version.

What a decoder expects of a latent must be what the encoder expected, to the last bit, or it reads garbage. Floating
point does not promise that: sums come out differently in another order. Here all numbers are integers, carried by
float64: as long as every partial sum stays below 2^53 each is exact, in whatever order it is taken, fused or not.

References: Balle et al. 2019, "Integer networks for data compression with latent-variable models".
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FRACTION = 10  # binary digits after the point, of features and latents
WEIGHT_FRACTION = 16  # of weights
LARGEST = 2.0**23  # of features: 8192


def divide(x: Tensor, shift: int | Tensor) -> Tensor:
    """x / 2^shift, rounded to an integer, halves up. Exact, for powers of two divide without rounding."""
    scale = 2.0**-shift if isinstance(shift, int) else torch.ldexp(torch.ones_like(shift, dtype=x.dtype), -shift)
    return (x * scale).add_(0.5).floor_()


class IntegerNetwork:
    """A Sequential of Conv2d, ReLU and PixelShuffle, run on integers.

    Args:
        network: its weights are rounded to multiples of 2^-16, biases likewise.

    Raises:
        ValueError: another layer, or weights so large that a sum could pass 2^53.

    Shape:
        x: (B, C, H, W) float64 on the CPU, whole numbers that count 2^-10; returns the same kind.
    """

    def __init__(self, network: nn.Sequential) -> None:
        self.layers: list[tuple[Tensor, Tensor, nn.Conv2d] | nn.Module] = []
        for layer in network:
            if isinstance(layer, nn.Conv2d):
                weight = (layer.weight.detach().cpu().double() * 2**WEIGHT_FRACTION).round()
                assert layer.bias is not None
                bias = (layer.bias.detach().cpu().double() * 2 ** (WEIGHT_FRACTION + FRACTION)).round()
                if weight.abs().sum((1, 2, 3)).max() * LARGEST + bias.abs().max() + 2**WEIGHT_FRACTION >= 2.0**53:
                    raise ValueError("weights too large for exact sums")
                self.layers.append((weight, bias, layer))
            elif isinstance(layer, nn.ReLU | nn.PixelShuffle):
                self.layers.append(layer)
            else:
                raise ValueError(f"no integer arithmetic for {type(layer).__name__}")

    def __call__(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            if isinstance(layer, tuple):
                weight, bias, conv = layer
                total = F.conv2d(x, weight, bias, conv.stride, conv.padding)
                x = divide(total, WEIGHT_FRACTION).clamp_(-LARGEST, LARGEST)
            else:
                x = layer(x)
        return x


def interpolate(table: Tensor, rate: int) -> Tensor:
    """Between the levels of an integer table (levels, channels) at a rate of 0 ... 65535: (channels,) int64."""
    place = rate * (len(table) - 1)
    below = min(place // 65535, len(table) - 2)
    share = place - below * 65535
    low, high = table[below].long(), table[below + 1].long()
    return (low * (65535 - share) + high * share + 32767) // 65535
