"""What made-up detail is worth: how the picture looks to a network, as a whole and as texture; no tint, no lattice."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.descriptor import Descriptor
from ...core.luma import LUMA
from ...core.patch_gan import GANS, PatchDiscriminator, check_gan, frozen, generator_gan_loss
from .detail import DetailNetwork
from .shape import SCALE

LEVEL = 1 / 255
# Side of the windows, in the layer's own pixels, over which a layer's means and deviations count as one texture: 16
# pixels of the picture for the first three layers, 32 and 64 for the others.
WINDOWS = (16, 8, 4, 4, 4)
PERIOD = 16  # pixels after which a lattice is looked for: what blocks of latents and of sub-pixels divide
CELL = 8  # pixels of what the detail network puts in place of one of its coarsest pixels
FAINT = LEVEL / 2  # strength of a frequency that is not seen: what is weaker counts as no difference
WEAVE = 4.0  # squared grey levels of a pattern that a grey level of a weave counts as
CHANCE = 0.03  # share by which means of strength over 200 cells of a photograph's detail differ
LOW = 16  # pixels over which a mean has to stay what it is


class DetailBatch(NamedTuple):
    """What detail is learnt from.

    Args:
        x: (B, 3, H, W), pictures in [0, 1].
        x_hat: what a codec decoded.
        rate: (B, 1, 1, 1), at which it coded.
        noise: (B, 1, H, W).
    """

    x: Tensor
    x_hat: Tensor
    rate: Tensor
    noise: Tensor


@dataclass(frozen=True)
class Worth:
    """`[objective]` of a recipe: weights.

    Args:
        mse: of the mean squared error, divided by that of what was decoded: 1 is as near to the picture as before.
        features: of the distance in features, place by place.
        texture: of the distance of the features' local means and deviations.
        bands: of the ratio of frequencies' local strength.
        layers: how much each layer of the descriptor counts in both.
        tint: of means over LOW pixels that move, in squared grey levels.
        lattice: of what follows a grid, see there.
        gan: of the GAN; 0 trains without a discriminator.
        patch: of the discriminator: 1, 16, 70 or 286 pixels.
        width: of the discriminator.
        veil: grey levels of noise through which the discriminator sees pictures. Without it the traces of JPEG in the
            true ones soon tell all, and it has no more to say of the rest.
        lightness: only the lightness of detail counts, which is what looks take of it.
    """

    mse: float = 0.1
    features: float = 1.0
    texture: float = 1.0
    bands: float = 0.1
    layers: tuple[float, ...] = field(default=(1.0, 1.0, 1.0, 1.0, 1.0))
    tint: float = 0.02
    lattice: float = 0.1
    gan: float = 0.0
    patch: int = 70
    width: int = 32
    veil: float = 0.0
    lightness: bool = False

    def taken(self, detail: Tensor) -> Tensor:
        """What of detail (B, 3, H, W) counts."""
        return of_lightness(detail) if self.lightness else detail


class DetailObjective(nn.Module):
    """All of Worth, of a detail network. Keeps its pictures for the discriminator's turn.

    Args:
        detail: the network that is trained.
        descriptor: what sees the pictures; frozen, no part of this module.
        worth: weights.
        discriminator: only used here, not trained; None without a GAN.
        gan: `vanilla`, `lsgan` or `hinge`.

    Shape:
        batch: DetailBatch; returns scalars by name.

    Raises:
        ValueError: no such GAN.
    """

    def __init__(
        self,
        detail: DetailNetwork,
        descriptor: Descriptor,
        worth: Worth,
        discriminator: PatchDiscriminator | None = None,
        gan: str = "hinge",
    ) -> None:
        super().__init__()
        check_gan(gan)
        self.detail, self.worth, self.gan = detail, worth, gan
        self._others = (descriptor, discriminator)  # in a tuple, so that their parameters are not this module's
        self.fake: Tensor | None = None

    def forward(self, batch: DetailBatch) -> dict[str, Tensor]:
        x, x_hat, rate, noise = batch
        descriptor, discriminator = self._others
        detail = self.worth.taken(self.detail(x_hat, rate, noise).float())
        vivid = x_hat + detail
        # A descriptor's poolings have a grid of their own, and its filters a direction: seen from ever other places and
        # sides, what only pleases these comes out.
        place = torch.cat((torch.randint(PERIOD, (2,)), torch.randint(2, (3,)))).tolist()
        shown, true = seen_from(vivid, *place), seen_from(x, *place)
        with torch.no_grad():
            wanted = descriptor(true)
        found = descriptor(shown)
        losses = {
            "mse": error_ratio(vivid, x_hat, x),
            "features": by_layers(self.worth.layers, feature_errors(found, wanted)),
            "texture": by_layers(self.worth.layers, texture_errors(found, wanted)),
            "bands": band_error(shown, true),
            "tint": tint(detail),
            "lattice": lattice(detail),
        }
        if discriminator is not None:
            with frozen(discriminator):
                losses["gan"] = generator_gan_loss(judged(discriminator, x_hat, vivid, self.worth.veil), self.gan)
        self.fake = vivid.detach()
        total = torch.stack([getattr(self.worth, name) * loss for name, loss in losses.items()]).sum()
        return {"loss": total} | losses


class DetailDiscriminatorObjective(nn.Module):
    """Half of what D gets wrong of photographs and of pictures with made-up detail, given what was decoded.

    Args:
        discriminator: D.
        made_by: whose pictures are judged: those of the same step.
        gan: as in DetailObjective.

    Shape:
        as DetailObjective.

    Raises:
        RuntimeError: the other objective has not had its turn with this batch.
    """

    def __init__(self, discriminator: PatchDiscriminator, made_by: DetailObjective, gan: str = "hinge") -> None:
        super().__init__()
        self.discriminator, self.gan = discriminator, gan
        self._made_by = (made_by,)  # in a tuple, so that its parameters are not this module's

    def forward(self, batch: DetailBatch) -> dict[str, Tensor]:
        fake, self._made_by[0].fake = self._made_by[0].fake, None
        if fake is None:
            raise RuntimeError("the discriminator judges what was made of the same batch: run that first")
        veil = self._made_by[0].worth.veil
        real = GANS[self.gan](judged(self.discriminator, batch.x_hat, batch.x, veil), True)
        made = GANS[self.gan](judged(self.discriminator, batch.x_hat, fake, veil), False)
        return {"loss": (real + made) / 2, "real": real, "fake": made}


def of_lightness(detail: Tensor) -> Tensor:
    """What a look takes of detail (B, 3, H, W): its lightness alone, the same for each channel."""
    weights = torch.tensor(LUMA, device=detail.device).view(1, 3, 1, 1)
    return (weights * detail).sum(1, keepdim=True).expand_as(detail)


def seen_from(x: Tensor, top: int, left: int, upside_down: int, mirrored: int, turned: int) -> Tensor:
    """All but PERIOD rows and columns of (B, C, H, W), from one of the first PERIOD on, or seen from another side."""
    height, width = (side - PERIOD for side in x.shape[-2:])
    x = x[..., top : top + height, left : left + width]
    x = x.flip([axis for axis, wanted in ((2, upside_down), (3, mirrored)) if wanted])
    return x.transpose(2, 3) if turned else x


def judged(discriminator: PatchDiscriminator, x_hat: Tensor, picture: Tensor, veil: float = 0.0) -> Tensor:
    """What D says of a picture's patches: what was decoded, and what is beyond it, both of order one.

    `veil` is the standard deviation of noise over the latter, in grey levels.
    """
    beyond = picture - x_hat
    if veil:
        beyond = beyond + veil * LEVEL * torch.randn_like(beyond)
    score: Tensor = discriminator((x_hat - 0.5) * SCALE, beyond * (4 * SCALE))
    return score.float()


def error_ratio(vivid: Tensor, x_hat: Tensor, x: Tensor) -> Tensor:
    """Mean over images of MSE by MSE of what was decoded; where that is tiny, nothing counts as one grey level."""
    before = (x_hat - x).square().mean((1, 2, 3)) + LEVEL**2
    return ((vivid - x).square().mean((1, 2, 3)) / before).mean()


def by_layers(weights: Sequence[float], errors: Sequence[Tensor]) -> Tensor:
    """Weighted mean of scalars."""
    return torch.stack([weight * error for weight, error in zip(weights, errors, strict=True)]).sum() / sum(weights)


def feature_errors(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> list[Tensor]:
    """Of each layer |F - F_true|^2 / |F_true|^2, mean over images; what metrics.features judges by."""
    return [
        ((f.float() - w.float()).square().sum((1, 2, 3)) / w.float().square().sum((1, 2, 3))).mean()
        for f, w in zip(found, wanted, strict=True)
    ]


def texture_errors(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> list[Tensor]:
    """Of each layer how far local means and deviations of its features are off, as a share of the features' energy.

    A texture may have its blades of grass elsewhere; as many and as strong there must be.

    References: Qiu et al. 2023, arXiv:2310.03629 (Wasserstein distortion).
    """
    errors = []
    for f, w, window in zip(found, wanted, WINDOWS, strict=True):
        side = min(window, *f.shape[-2:])
        parts = zip(local_moments(f.float(), side), local_moments(w.float(), side), strict=True)
        off = torch.stack([(mine - theirs).square().mean((1, 2, 3)) for mine, theirs in parts]).sum(0)
        errors.append((off / w.float().square().mean((1, 2, 3))).mean())
    return errors


def band_error(vivid: Tensor, x: Tensor) -> Tensor:
    """How many times too strong or too weak each frequency is, locally: the mean size of the ratio's logarithm.

    Descriptors leave frequencies that are cheap to please them by: smooth places got a weave of 3.5 pixels. An eye sees
    it there and would not on a lawn; so does a ratio. Frequencies are those of a DCT of 8x8 pixels, of lightness and of
    two differences of colour; their strength is the root of the mean square over windows of 20 pixels.
    """
    ours, theirs = (local_strength(picture) for picture in (vivid, x))
    return (ours / theirs).log().abs().mean()


def local_strength(x: Tensor) -> Tensor:
    """Of each band and channel over windows: (B, 3 * 63, h', w'), of pictures (B, 3, H, W), sides at least 20."""
    channels = torch.stack((x.mean(1), x[:, 0] - x[:, 1], x[:, 2] - x[:, 1]), 1)
    bands = F.conv2d(channels, dct().to(x).repeat(3, 1, 1, 1), stride=4, groups=3)
    return (F.avg_pool2d(bands.square(), 4, 2) + FAINT**2).sqrt()


@cache
def dct() -> Tensor:
    """The orthonormal DCT-II of 8x8 pixels but for the mean: (63, 1, 8, 8)."""
    place = torch.arange(8)
    basis = torch.cos(math.pi / 8 * (place + 0.5) * place[:, None]) * (2 / 8) ** 0.5
    basis[0] /= 2**0.5
    return torch.einsum("ux,vy->uvxy", basis, basis).reshape(64, 1, 8, 8)[1:]


def local_moments(x: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over windows of `side`, each half over the one before: (B, C, h', w')."""
    stride = max(1, side // 2)
    mean, square = F.avg_pool2d(x, side, stride), F.avg_pool2d(x * x, side, stride)
    return mean, ((square - mean * mean).clamp_min(0) + 1e-4).sqrt()


def tint(detail: Tensor) -> Tensor:
    """Mean square of what detail (B, C, H, W) adds to means over LOW pixels, in squared grey levels."""
    return F.avg_pool2d(detail, min(LOW, *detail.shape[-2:])).square().mean() / LEVEL**2


def lattice(detail: Tensor) -> Tensor:
    """What of detail follows a grid: a pattern that repeats, and strength or slopes that differ by the place in it.

    A pattern is what means over all repetitions of PERIOD have beyond what they have by chance, in squared grey levels.
    A weave has none: each of its threads may be light or dark. But it is stronger, or steeper, at some places of each
    CELL than at others, on average over all; that is in grey levels, beyond CHANCE of the mean.

    Args:
        detail: (B, C, H, W), sides multiples of PERIOD and more than one.
    """
    mean, count = by_place(detail, PERIOD)
    by_chance = detail.square().mean((1, 2, 3)) / count
    pattern = F.relu(mean.square().mean((1, 2, 3)) - by_chance).mean() / LEVEL**2
    height, width = (side - CELL for side in detail.shape[-2:])
    here = detail[..., :height, :width]
    below, beside = detail[..., 1 : height + 1, :width], detail[..., :height, 1 : width + 1]
    return pattern + WEAVE * sum(uneven(strength.abs()) for strength in (here, below - here, beside - here))


def by_place(x: Tensor, period: int) -> tuple[Tensor, int]:
    """Means of (B, C, H, W) over all repetitions of a period, (B, C, period, period), and how many there are."""
    batch, channels, height, width = x.shape
    rows, columns = height // period, width // period
    return x.reshape(batch, channels, rows, period, columns, period).mean((2, 4)), rows * columns


def uneven(strength: Tensor) -> Tensor:
    """How much means over all cells differ by the place in a cell, in grey levels, beyond CHANCE of the mean."""
    by_cell = by_place(strength.mean(1, keepdim=True), CELL)[0]
    mean = by_cell.mean((2, 3), keepdim=True)
    return F.relu((by_cell - mean).abs().mean((1, 2, 3)) - CHANCE * mean.flatten()).mean() / LEVEL
