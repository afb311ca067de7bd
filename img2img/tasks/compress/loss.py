"""The codec's loss: rate + lambda * distortion, and that of the medians of its densities."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .hyperprior import Expected, HyperpriorCodec
from .latents import DISTORTION
from .model import Codec
from .prior import FactorizedPrior, gaussian_probability

WINDOW, LEAST_WINDOW = 11, 3  # pixels, of MS-SSIM's windows
COARSER = 4  # times that it halves a picture
LOW = 8  # pixels over which brightness and colours are compared
LARGEST_LOG2 = 30.0  # of a sigma, either way: what nobody has learnt yet must not become infinite


def round_through(x: Tensor) -> Tensor:
    """Rounded, with the gradient of x."""
    return x + (x.round() - x).detach()


def round_with_dead_zone(x: Tensor, dead: float) -> Tensor:
    """Rounded, but to the next whole number towards 0 where x is up to `dead` beyond the middle; no gradient."""
    return x.sign() * (x.abs() + 0.5 - dead).floor()


def weighed(x: Tensor, sigma: Tensor) -> Tensor:
    """Whole numbers for latents in steps, one nearer to zero where that saves more bits than it hurts.

    With the gradient of x.

    Args:
        x: latents, counted in steps from where they are expected.
        sigma: of the normal distribution expected there, in steps.
    """
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    near = x.round()
    lower = near - near.sign()
    saves = (gaussian_probability(lower, zero, sigma, one) / gaussian_probability(near, zero, sigma, one)).log2()
    chosen = torch.where(saves > DISTORTION * ((x - lower) ** 2 - (x - near) ** 2), lower, near)
    return x + (chosen - x).detach()


def noisy(x: Tensor, step: Tensor) -> Tensor:
    """x with the uniform noise that stands for rounding: a density has a gradient there."""
    return x + (torch.rand_like(x) - 0.5) * step


def bits(probability: Tensor, where: Tensor | None = None) -> Tensor:
    """Of each image in a batch: (B,); `where`: of these places (h, w) only."""
    each = -probability.log2()
    return (each if where is None else each * where).sum((1, 2, 3))


class CodecWithPrior(nn.Module):
    """A codec and the densities it is trained with.

    In training the rate comes from latents with uniform noise and the picture from rounded ones (Minnen & Singh 2020,
    section 3.3); in eval mode both come from rounded ones, as in use.

    Args:
        codec: the transforms, and what is expected of latents.
        prior: of the latents, or of the hyper-latents.
        dead: latents are rounded towards 0 where they are up to so much of a step beyond the middle between two whole
            numbers, about as an encoder does that looks at the bits; without gradient if more than 0.

    Attributes:
        weighs: latents that the codec expects are chosen as the encoder does it (latents.Chooser).

    Shape:
        x: (B, C, H, W) in [0, 1], H and W multiples of the stride; rate: (B,) in [0, 1].
        returns: x_hat (B, C, H, W), and bits per pixel (B,).
    """

    def __init__(self, codec: Codec, prior: FactorizedPrior, dead: float = 0.0) -> None:
        super().__init__()
        self.codec, self.prior, self.dead = codec, prior, dead
        self.weighs = False

    def forward(self, x: Tensor, rate: Tensor) -> tuple[Tensor, Tensor]:
        y = self.codec.analysis(x).float()
        x_hat, total = self.code(y, self.hyper(y), rate)
        return x_hat, total / (x.shape[-1] * x.shape[-2])

    def hyper(self, y: Tensor) -> Tensor | None:
        """Hyper-latents z of latents, for a codec that has such."""
        return self.codec.hyper_analysis(y).float() if isinstance(self.codec, HyperpriorCodec) else None

    def code(self, y: Tensor, z: Tensor | None, rate: Tensor) -> tuple[Tensor, Tensor]:
        """x_hat of latents and hyper-latents once they are rounded, and the bits of each image (B,)."""
        y_hat, total = self._factorized(y, rate) if z is None else self._hyperprior(y, z, rate)
        return self.codec.synthesis(y_hat), total

    def rounded(self, bins: Tensor) -> Tensor:
        """Latents in steps, as whole numbers."""
        return round_with_dead_zone(bins, self.dead) if self.dead else round_through(bins)

    def rounded_hyper(self, bins: Tensor) -> Tensor:
        """Hyper-latents likewise."""
        return round_through(bins)

    def _quantise(self, x: Tensor, step: Tensor, rounded: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Bins numbered from the medians, and the bits that they cost."""
        medians = self.prior.medians()
        bins = rounded((x - medians) / step)
        seen = noisy(x, step) if self.training else medians + bins * step
        return bins, bits(self.prior.probability(seen, step))

    def _factorized(self, y: Tensor, rate: Tensor) -> tuple[Tensor, Tensor]:
        step, step_back = self.codec.steps(rate)
        bins, total = self._quantise(y, step, self.rounded)
        return self.prior.medians() + bins * step_back, total

    def _hyperprior(self, y: Tensor, z: Tensor, rate: Tensor) -> tuple[Tensor, Tensor]:
        codec = self.codec
        assert isinstance(codec, HyperpriorCodec)
        hyper_step = codec.hyper_steps(rate)
        bins, total = self._quantise(z, hyper_step, self.rounded_hyper)
        z_hat = self.prior.medians() + bins * hyper_step
        step, step_back = codec.steps(rate)
        parts = list(zip(*(t.split(codec.slices, 1) for t in (y, step, step_back)), strict=True))
        restored, costs = [torch.zeros_like(part) for part, *_ in parts], [total]

        def code(i: int, expected: Expected, where: Tensor) -> Tensor:
            y_i, step_i, step_back_i = parts[i]
            sigma = expected.log2_sigma.clamp(-LARGEST_LOG2, LARGEST_LOG2).exp2()
            scaled = (y_i - expected.mu) / step_i
            bins = weighed(scaled, sigma / step_i) if self.weighs else self.rounded(scaled)
            y_hat = expected.mu + bins * step_i
            seen = noisy(y_i, step_i) if self.training else y_hat
            costs.append(bits(gaussian_probability(seen, expected.mu, sigma, step_i), where))
            restored[i] = restored[i] + (expected.mu + bins * step_back_i) * where
            return y_hat * where

        _, features = codec.code_slices(z_hat, rate, y.shape, code)
        return codec.refine(torch.cat(restored, 1), step, features), torch.stack(costs).sum(0)


@dataclass(frozen=True)
class Seen:
    """What is seen of a difference: structure; and what MS-SSIM hardly minds, brightness and colours of places.

    Args:
        similarity: squared grey levels that 1 - MS-SSIM counts as.
        mse: of the mean squared error, in squared grey levels.
        low: of that of means over LOW pixels.

    MS-SSIM sees pictures of at most 160 pixels a side by smaller windows; of those of at most 32 the mean squared error
    counts alone, and whole.

    Shape:
        found, true: (B, 3, H, W) in [0, 1]; returns (B,), in squared grey levels of 255.

    References: Wang et al. 2003, "Multiscale structural similarity for image quality assessment".
    """

    similarity: float = 1300.0
    mse: float = 0.1
    low: float = 3.0

    def __call__(self, found: Tensor, true: Tensor) -> Tensor:
        off = 255 * (found.float() - true)
        squares = off.square().mean((1, 2, 3))
        similarity = similarity_of(found, true)
        if similarity is None:
            return squares
        low = F.avg_pool2d(off, LOW).square().mean((1, 2, 3))
        return self.similarity * (1 - similarity) + self.mse * squares + self.low * low


def similarity_of(found: Tensor, true: Tensor) -> Tensor | None:
    """MS-SSIM (B,), with a gradient; None where there is no room for five scales."""
    from pytorch_msssim import ms_ssim

    window = min(WINDOW, (min(found.shape[-2:]) - 1) // 2**COARSER // 2 * 2 + 1)
    if window < LEAST_WINDOW:
        return None
    with torch.autocast(found.device.type, enabled=False):  # 1 - MS-SSIM is small: bf16 does not know it
        pair = found.float().clamp(0, 1), true.float()
        similarity: Tensor = ms_ssim(*pair, data_range=1.0, win_size=window, size_average=False)
    return similarity


class RateDistortion(nn.Module):
    """bpp + lambda * MSE of 0..255, at a rate drawn for each image.

    Divided by sqrt(lambda): rate and distortion both grow about so, and thus every rate weighs alike, as in BD-rate.

    Shape:
        batch: x (B, C, H, W) and rate (B,); returns scalars by name.
    """

    def __init__(self, model: CodecWithPrior) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        x, rate = batch
        x_hat, bpp = self.model(x, rate)
        weight = self.model.codec.lambda_at(rate)
        mse = (255 * (x_hat.float() - x)).square().mean((1, 2, 3))
        loss = ((bpp + weight * mse) * (0.01 / weight).sqrt()).mean()
        return {"loss": loss, "bpp": bpp.mean(), "mse": mse.mean()}


class Medians(nn.Module):
    """Moves the quantiles of each density to where it has its tails and its median (FactorizedPrior.quantile_loss)."""

    def __init__(self, prior: FactorizedPrior) -> None:
        super().__init__()
        self.quantiles = prior.quantiles
        self._prior = (prior,)  # in a tuple, so that the densities are not this module's parameters

    def forward(self, batch: object) -> dict[str, Tensor]:
        return {"loss": self._prior[0].quantile_loss()}
