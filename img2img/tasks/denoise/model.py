"""The denoising U-Net, the noise-level estimator, and both as one network that is told nothing."""

import torch
from torch import Tensor, nn

from ...core.encoder_decoder import Encoder, EncoderDecoder, Layout
from ...core.padding import pad_to_multiple


def noise_map(sigma: Tensor, like: Tensor) -> Tensor:
    """The noise level as further image channels (FFDNet): (B,) or (B, L, H, W) to (B, L, H, W), L = 1 for (B,)."""
    levels = sigma if sigma.ndim == 4 else sigma.view(-1, 1, 1, 1)
    return levels.expand(-1, -1, *like.shape[-2:]).to(like.dtype)


class DenoisingUNet(nn.Module):
    """U-Net that predicts the noise of an image and subtracts it: x_hat = y - f(y, sigma).

    Residual blocks at 1/2, 1/4 and 1/8 of the size (pixel-unshuffled first, as FFDNet: at full resolution a
    convolution costs four times as much and sees half as far), additive skips. No biases: with ReLU the network then
    scales with its input, f(a y, a sigma) = a f(y, sigma), and holds at levels it was not trained on (Mohan 2020).

    Args:
        channels: image channels C, 1 for grey or 3 for RGB.
        widths: feature maps per scale, finest (1/2) first.
        blocks: residual blocks per scale, on the way down and again on the way up; at the coarsest once.
        levels: channels of the noise level: 1, or one for each image channel.

    Shape:
        noisy: (B, C, H, W), sRGB values in [0, 1] plus noise; any H, W >= 1.
        sigma: (B,), or (B, levels, H, W) where the level varies; standard deviation in the same units (15 grey levels
            are 15 / 255).
        returns: (B, C, H, W), not clamped.

    Example:
        >>> model = DenoisingUNet(channels=1, widths=(8, 16), blocks=1)
        >>> model(torch.rand(2, 1, 33, 50), torch.tensor([0.1, 0.2])).shape
        torch.Size([2, 1, 33, 50])

    References: Ronneberger et al. 2015, arXiv:1505.04597 (U-Net); Zhang et al. 2018, arXiv:1710.04026 (FFDNet);
        Zhang et al. 2021, arXiv:2008.13751 (DRUNet); Mohan et al. 2020, arXiv:1906.05478 (no biases).
    """

    def __init__(
        self,
        channels: int = 3,
        widths: tuple[int, ...] = (64, 128, 192),
        blocks: int | tuple[int, ...] = (1, 2, 3),
        levels: int = 1,
    ) -> None:
        super().__init__()
        deeper = len(widths) - 1
        layout = Layout(
            widths=tuple(widths),
            blocks=tuple(blocks) if not isinstance(blocks, int) else blocks,
            factors=(2,) * len(widths),
            block="residual",
            down=("unshuffle", *["conv"] * deeper),  # type: ignore[arg-type]
            up=("shuffle", *["transposed"] * deeper),  # type: ignore[arg-type]
            kernels=(3, *[2] * deeper),
            skip="add",
            bias=False,
        )
        self.noise = EncoderDecoder(channels + levels, channels, layout)

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        return noisy - self.noise(torch.cat((noisy, noise_map(sigma, noisy)), 1))


class NoiseEstimator(nn.Module):
    """Estimates the local noise level of an image: log sigma for each 16x16 pixels.

    An encoder of the shared core whose coarsest features are read out by a 1x1 convolution. It has biases, unlike the
    denoiser: it must tell noise from texture by its absolute look.

    Args:
        channels: image channels C.
        widths: feature maps at 1/2, 1/4, 1/8 and 1/16 of the size.
        levels: 1, a level for all image channels, or one for each.

    Shape:
        noisy: (B, C, H, W) in [0, 1]; any H, W >= 1.
        returns: (B, levels, ceil(H / 16), ceil(W / 16)), natural logarithm of sigma (of values in [0, 1]).

    Example:
        >>> NoiseEstimator()(torch.rand(1, 3, 40, 50)).shape
        torch.Size([1, 1, 3, 4])
    """

    def __init__(self, channels: int = 3, widths: tuple[int, ...] = (32, 48, 64, 64), levels: int = 1) -> None:
        super().__init__()
        layout = Layout(
            widths=tuple(widths),
            blocks=1,
            factors=(2,) * len(widths),
            block="plain",
            down=("unshuffle", *["conv"] * (len(widths) - 1)),  # type: ignore[arg-type]
            kernels=(3, *[2] * (len(widths) - 1)),
        )
        self.stride = layout.stride
        self.encoder = Encoder(channels, layout)
        self.readout = nn.Conv2d(widths[-1], levels, 1)
        nn.init.constant_(self.readout.bias, -2.5)  # type: ignore[arg-type]  # exp(-2.5) * 255 = 21 grey levels

    def forward(self, noisy: Tensor) -> Tensor:
        features, _ = self.encoder(pad_to_multiple(noisy, self.stride))
        return self.readout(features[-1])


class BlindDenoiser(nn.Module):
    """Estimates the noise of a photograph, then removes it: x_hat = unet(y, sigma(y)).

    The estimator says how strong the noise is in each colour, for every 16x16 pixels; the U-Net is told so. Both are
    trained together, so that the map may also say what kind of noise it is.

    Args:
        widths, blocks: of the U-Net.

    Shape:
        noisy: (B, 3, H, W), sRGB values in [0, 1]; any H, W >= 1.
        amount: (B, 1, 1, 1), by which the noise map is multiplied: more than 1 takes away more than was found.
        returns: (B, 3, H, W), not clamped.

    Example:
        >>> BlindDenoiser(widths=(8, 16), blocks=1)(torch.rand(2, 3, 33, 50), torch.ones(2, 1, 1, 1)).shape
        torch.Size([2, 3, 33, 50])

    References: Guo et al. 2019, arXiv:1807.04686 (CBDNet).
    """

    def __init__(self, widths: tuple[int, ...] = (64, 128, 192), blocks: int | tuple[int, ...] = (2, 2, 3)) -> None:
        super().__init__()
        self.estimator = NoiseEstimator(levels=3)
        self.unet = DenoisingUNet(widths=widths, blocks=blocks, levels=3)

    def forward(self, noisy: Tensor, amount: Tensor) -> Tensor:
        return self.unet(noisy, amount * spread(self.estimator(noisy), noisy))


def spread(log_sigma: Tensor, like: Tensor) -> Tensor:
    """What an estimator says of each 16x16 pixels, as a noise level (B, L, H, W) for every pixel of an image."""
    height, width = like.shape[-2:]
    level = nn.functional.interpolate(log_sigma.float().exp(), scale_factor=16, mode="bilinear", align_corners=False)
    return level[..., :height, :width]
