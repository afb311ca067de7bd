"""The PatchGAN discriminator of pix2pix, which judges patches, not images, and what it and its opponent minimise."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from .blocks import activation_layer, check_choice, norm_layer

DiscriminatorNorm = Literal["instance", "batch", "spectral"]

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
        norm: `instance` or `batch`, of features; or `spectral`, of weights (Miyato 2018), which leaves it to D to see
            how much contrast a picture has.

    Shape:
        x: (B, C, H, W), the input; y: (B, C', H, W), the real or generated output; C + C' = channels.
        returns: (B, 1, h, w), one score (logit) for each patch.

    Raises:
        ValueError: an argument that is no choice.

    Example:
        >>> PatchDiscriminator(channels=6)(torch.rand(1, 3, 256, 256), torch.rand(1, 3, 256, 256)).shape
        torch.Size([1, 1, 30, 30])

    References: Isola et al. 2017, arXiv:1611.07004, section 6.1.2; Miyato et al. 2018, arXiv:1802.05957.
    """

    def __init__(
        self, channels: int = 6, patch: int = 70, width: int = 64, norm: DiscriminatorNorm = "instance"
    ) -> None:
        super().__init__()
        if patch not in LAYERS:
            raise ValueError(f"patch must be one of {', '.join(map(str, LAYERS))} pixels, not {patch}")
        check_choice("norm", norm, DiscriminatorNorm)
        layers: list[nn.Module] = []
        c_in = channels
        for i, (kernel, stride) in enumerate(LAYERS[patch]):
            last = i == len(LAYERS[patch]) - 1
            c_out = 1 if last else width * min(2**i, 8)
            convolution = nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 4)
            layers.append(spectral_norm(convolution) if norm == "spectral" else convolution)
            if not last:
                of_features = norm_layer(norm, c_out) if i and norm != "spectral" else []
                layers += [*of_features, *activation_layer("leaky_relu")]
            c_in = c_out
        self.net = nn.Sequential(*layers)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.net(torch.cat((x, y), 1))


def vanilla(score: Tensor, real: bool) -> Tensor:
    """Cross entropy between a score (logit) and what the patch is (Goodfellow 2014, arXiv:1406.2661)."""
    return F.binary_cross_entropy_with_logits(score, torch.full_like(score, float(real)))


def lsgan(score: Tensor, real: bool) -> Tensor:
    """Squared distance of a score from 1 (real) or 0 (Mao 2017, arXiv:1611.04076)."""
    return (score - float(real)).square().mean()


def hinge(score: Tensor, real: bool) -> Tensor:
    """How far a score is from being above 1 (real) or below -1 (Lim & Ye 2017, arXiv:1705.02894)."""
    return F.relu(1 - score if real else 1 + score).mean()


GANS: dict[str, Callable[[Tensor, bool], Tensor]] = {"vanilla": vanilla, "lsgan": lsgan, "hinge": hinge}


def check_gan(gan: str) -> None:
    """Raise ValueError naming the choices."""
    if gan not in GANS:
        raise ValueError(f"loss must be one of {', '.join(GANS)}, not {gan!r}")


def generator_gan_loss(score: Tensor, gan: str) -> Tensor:
    """The generator's part of the GAN's loss, non-saturating: -log D instead of log(1 - D), as in the paper."""
    return -score.mean() if gan == "hinge" else GANS[gan](score, True)


@contextmanager
def frozen(net: nn.Module) -> Iterator[None]:
    """Within it a network's parameters get no gradients; what it is given does."""
    before = [(parameter, parameter.requires_grad) for parameter in net.parameters()]
    net.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, required in before:
            parameter.requires_grad_(required)
