"""Losses of the denoisers."""

from collections.abc import Callable

from torch import Tensor, nn

from .model import BlindDenoiser, DenoisingUNet, spread


def l1(denoised: Tensor, clean: Tensor) -> Tensor:
    """Mean absolute error. It weighs strong noise less against weak noise than MSE: its gradient does not grow."""
    return (denoised - clean).abs().mean()


def negative_psnr(denoised: Tensor, clean: Tensor) -> Tensor:
    """Minus each image's PSNR, averaged: every noise level weighs alike, which is how the benchmarks count.

    An error of half a grey level is added, or nearly clean images would outweigh all others; the factor gives a
    gradient of about the size of `l1`'s, so that clipping means the same.

    References: Chen et al. 2021, arXiv:2105.06086 (HINet), which trains with it.
    """
    mse = (denoised - clean).square().mean((1, 2, 3)) + (0.5 / 255) ** 2
    return 0.02 * mse.log().mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"l1": l1, "psnr": negative_psnr}


class DenoisingObjective(nn.Module):
    """A loss between the clean and the denoised image.

    Args:
        model: the denoiser.
        loss: `l1` or `psnr`.

    Shape:
        batch: clean and noisy (B, C, H, W), sigma (B, 1, H, W); returns scalars by name.

    Raises:
        ValueError: no such loss.
    """

    def __init__(self, model: DenoisingUNet, loss: str = "l1") -> None:
        super().__init__()
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, not {loss!r}")
        self.model, self.loss = model, LOSSES[loss]

    def forward(self, batch: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        clean, noisy, sigma = batch
        return {"loss": self.loss(self.model(noisy, sigma).float(), clean)}


class BlindObjective(nn.Module):
    """The loss of the denoised picture, and a tenth of the estimator's error in the logarithm of the noise level.

    What the noise level is, the pair itself says: the root mean square of the difference in each 16x16 pixels.

    Shape:
        batch: clean and noisy (B, 3, H, W), H and W multiples of 16; returns scalars by name.
    """

    floor = 0.25 / 255
    share = 0.002  # L1 is about 0.01, the logarithm's error about 0.3

    def __init__(self, model: BlindDenoiser, loss: str = "l1") -> None:
        super().__init__()
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, not {loss!r}")
        self.model, self.loss = model, LOSSES[loss]

    def forward(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        clean, noisy = batch
        log_sigma = self.model.estimator(noisy).float()
        denoised = self.model.unet(noisy, spread(log_sigma, noisy)).float()
        there = nn.functional.avg_pool2d((noisy - clean).square(), 16).sqrt().clamp_min(self.floor)
        level = (log_sigma - there.log()).abs().mean()
        loss = self.loss(denoised, clean)
        return {"loss": loss + self.share * level, "picture": loss, "level": level}
