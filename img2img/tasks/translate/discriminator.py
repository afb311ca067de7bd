"""The PatchGAN discriminator of pix2pix: it judges patches, not images."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...core.blocks import activation_layer, check_choice, norm_layer
from .generator import GeneratorNorm

# (kernel, stride) of each convolution, by the side of the patch that one output judges.
LAYERS: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((1, 1),) * 3,
    16: ((4, 2),) * 1 + ((4, 1),) * 2,
    70: ((4, 2),) * 3 + ((4, 1),) * 2,
    286: ((4, 2),) * 5 + ((4, 1),) * 2,
}


def receptive_field(layers: Sequence[tuple[int, int]]) -> int:
    """Side in pixels of what one output sees, for convolutions given as (kernel, stride), the first one first."""
    side = 1
    for kernel, stride in reversed(layers):
        side = (side - 1) * stride + kernel
    return side


class PatchDiscriminator(nn.Module):
    """Tells real from generated patches of an image, given the input: D(x, y).

    The paper's four: C64-C128 of 1x1 (1 pixel), C64-C128 (16), C64-C128-C256-C512 (70), C64-C128-C256-C512-C512-C512
    (286), each followed by a convolution to one number; leaky ReLU (0.2), no norm behind the first convolution.

    Args:
        channels: of input and output together.
        patch: side of the patches in pixels: 1, 16, 70 or 286.
        width: feature maps of the first layer; they double with each up to 8 times as many.
        norm: `instance` or `batch`.

    Shape:
        x: (B, C, H, W), the input; y: (B, C', H, W), the real or generated output; C + C' = channels.
        returns: (B, 1, h, w), one score (logit) for each patch.

    Raises:
        ValueError: an argument that is no choice.

    Example:
        >>> PatchDiscriminator(channels=6)(torch.rand(1, 3, 256, 256), torch.rand(1, 3, 256, 256)).shape
        torch.Size([1, 1, 30, 30])

    References: Isola et al. 2017, arXiv:1611.07004, section 6.1.2.
    """

    def __init__(self, channels: int = 6, patch: int = 70, width: int = 64, norm: GeneratorNorm = "instance") -> None:
        super().__init__()
        if patch not in LAYERS:
            raise ValueError(f"patch must be one of {', '.join(map(str, LAYERS))} pixels, not {patch}")
        check_choice("norm", norm, GeneratorNorm)
        layers: list[nn.Module] = []
        c_in = channels
        for i, (kernel, stride) in enumerate(LAYERS[patch]):
            last = i == len(LAYERS[patch]) - 1
            c_out = 1 if last else width * min(2**i, 8)
            layers.append(nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 4))
            if not last:
                layers += [*(norm_layer(norm, c_out) if i else []), *activation_layer("leaky_relu")]
            c_in = c_out
        self.net = nn.Sequential(*layers)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.net(torch.cat((x, y), 1))
