"""Noise as users' pictures have it: Gaussian, clipped to 8 bits, Poisson-like, blurred by a camera, from JPEG."""

from dataclasses import dataclass
from random import Random

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


@dataclass(frozen=True)
class NoiseMixture:
    """What share of the training images gets which noise; the rest gets plain Gaussian noise in floating point.

    Args:
        sigma_max: largest standard deviation, grey levels; levels are drawn as sigma_max * u^1.5, more often low.
        eight_bit: share whose Gaussian noise is clipped and rounded, as in a user's PNG.
        camera: share with signal-dependent noise (variance a x + b), clipped and rounded, half of it blurred as by a
            demosaicing filter, half of it JPEG-compressed.
        grey: share turned to grey, the same noise in all channels.
        clean: share of all with no noise.
    """

    sigma_max: float = 75.0
    eight_bit: float = 0.2
    camera: float = 0.15
    grey: float = 0.15
    clean: float = 0.0


def draw_sigma(n: int, sigma_max: float, generator: Generator) -> Tensor:
    """n noise levels in [0, 1] units, (n,)."""
    return torch.rand(n, generator=generator, device=generator.device) ** 1.5 * (sigma_max / 255)


def to_eight_bits(x: Tensor) -> Tensor:
    """Clip to [0, 1] and round to multiples of 1 / 255."""
    return (x.clamp(0, 1) * 255).round() / 255


def to_grey(x: Tensor) -> Tensor:
    """Luma (ITU-R BT.601, as Pillow's "L") in all three channels: (B, 3, H, W) to the same."""
    red, green, blue = x.split(1, 1)
    # Plain numbers: a tensor of the weights would make a GPU wait for its copy.
    return (0.299 * red + 0.587 * green + 0.114 * blue).expand_as(x)


def camera_noise(clean: Tensor, sigma: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Signal-dependent noise of variance a x + b, with sigma its root mean square for mid grey.

    Returns:
        the noise (B, C, H, W), and its local standard deviation averaged over channels (B, 1, H, W).

    References: Foi et al. 2008, "Practical Poissonian-Gaussian noise modeling and fitting".
    """
    n = len(clean)
    shot_share = torch.rand(n, 1, 1, 1, generator=generator, device=clean.device)
    variance = sigma.view(-1, 1, 1, 1) ** 2 * (shot_share * 2 * clean + 1 - shot_share)
    noise = torch.randn(clean.shape, generator=generator, device=clean.device)
    # A demosaiced or resized picture's noise is correlated over neighbours: blur it, keep its variance.
    width = 0.3 + 0.5 * torch.rand(n, generator=generator, device=clean.device)
    blurred = _blur_keeping_variance(noise, width)
    is_blurred = torch.rand(n, 1, 1, 1, generator=generator, device=clean.device) < 0.5
    noise = torch.where(is_blurred, blurred, noise)
    return noise * variance.sqrt(), variance.mean(1, keepdim=True).sqrt()


def _blur_keeping_variance(noise: Tensor, width: Tensor) -> Tensor:
    """Gaussian blur of each image by its own width (pixels), scaled so that white noise keeps its variance."""
    n, channels = noise.shape[:2]
    taps = torch.arange(-2, 3, device=noise.device, dtype=noise.dtype)
    line = torch.exp(-((taps / width.view(-1, 1)) ** 2) / 2)
    kernel = line[:, :, None] * line[:, None, :]
    kernel = kernel / kernel.square().sum((1, 2), keepdim=True).sqrt()
    weight = kernel.repeat_interleave(channels, 0)[:, None]
    padded = F.pad(noise, (2, 2, 2, 2), mode="reflect") if min(noise.shape[-2:]) > 2 else F.pad(noise, (2, 2, 2, 2))
    return F.conv2d(padded.reshape(1, -1, *padded.shape[-2:]), weight, groups=n * channels).view_as(noise)


def jpeg(x: Tensor, quality: Tensor) -> Tensor:
    """JPEG 4:2:0 there and back on the device of x.

    Args:
        x: (B, 3, H, W) in [0, 1], any size.
        quality: (B,) from 1 to 100, best on the CPU: kornia looks at its range, for which a GPU would have to wait.
    """
    from kornia.enhance import jpeg_codec_differentiable  # slow import, training only

    height, width = x.shape[-2:]
    padded = F.pad(x, (0, -width % 16, 0, -height % 16), mode="replicate")
    return jpeg_codec_differentiable(padded, quality)[..., :height, :width]


def degrade(clean: Tensor, mixture: NoiseMixture, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a noise level and a kind of noise for each image of a batch.

    Args:
        clean: (B, 3, H, W) in [0, 1].
        mixture: the shares.
        generator: on the device of clean; all randomness comes from it or from its seed.

    Returns:
        clean (some of it turned grey), noisy, both (B, 3, H, W), and the local noise level (B, 1, H, W).
    """

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=clean.device)

    n = len(clean)
    sigma = draw_sigma(n, mixture.sigma_max, generator)
    if mixture.clean:
        sigma = sigma * (rand(n) >= mixture.clean)
    grey = rand(n, 1, 1, 1) < mixture.grey
    clean = torch.where(grey, to_grey(clean), clean)
    noise = torch.randn(clean.shape, generator=generator, device=clean.device) * sigma.view(-1, 1, 1, 1)
    level = sigma.view(-1, 1, 1, 1).expand(-1, 1, *clean.shape[-2:]).clone()

    # Kinds take the first places of the batch, so that no work is done for images that do not need it. Counts are
    # dithered by the step's seed, known without waiting for the device: shares hold over steps for any batch size.
    dither = generator.initial_seed() * 0.6180339887 % 1
    camera = slice(0, int(n * mixture.camera + dither))
    eight_bit = slice(0, int(n * (mixture.camera + mixture.eight_bit) + dither))
    if camera.stop:
        noise[camera], level[camera] = camera_noise(clean[camera], sigma[camera], generator)
    noise = torch.where(grey, noise[:, :1].expand_as(noise), noise)
    noisy = clean + noise
    if eight_bit.stop:
        noisy[eight_bit] = to_eight_bits(noisy[eight_bit])
    compressed = slice(0, int(camera.stop / 2 + dither))
    if compressed.stop:
        seeded = Random(generator.initial_seed())
        quality = torch.tensor([seeded.uniform(60, 98) for _ in range(compressed.stop)])
        noisy[compressed] = to_eight_bits(jpeg(noisy[compressed], quality))
    return clean, noisy, level
