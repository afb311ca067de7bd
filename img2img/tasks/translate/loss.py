"""Losses of generator and discriminator: a conditional GAN and L1."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .discriminator import PatchDiscriminator
from .generator import UNetGenerator

Batch = tuple[Tensor, Tensor]


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


class GeneratorObjective(nn.Module):
    """weight * cGAN + l1 * L1. Keeps the generated images for the discriminator's turn: G runs once a step.

    Departure: G has its turn before D, in the paper after it.

    Args:
        generator: G.
        discriminator: D, only used here, not trained; None for L1 alone.
        gan: `vanilla`, `lsgan` or `hinge`.
        l1: weight of the mean absolute error of values in [-1, 1], as in the paper.
        weight: of the GAN's part.

    Shape:
        batch: x and y in [-1, 1], (B, C, H, W) and (B, C', H, W); returns scalars by name.

    Raises:
        ValueError: no such GAN.
    """

    def __init__(
        self,
        generator: UNetGenerator,
        discriminator: PatchDiscriminator | None,
        gan: str = "vanilla",
        l1: float = 100.0,
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        check_gan(gan)
        self.generator, self.gan, self.l1, self.weight = generator, gan, l1, weight
        self._discriminator = (discriminator,)  # in a tuple, so that its parameters are not this module's
        self.fake: Tensor | None = None

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch
        fake = self.generator(x)
        l1 = (fake.float() - y).abs().mean()
        losses = {"loss": self.l1 * l1, "l1": l1}
        (discriminator,) = self._discriminator
        if discriminator is not None:
            with frozen(discriminator):
                gan = generator_gan_loss(discriminator(x, fake).float(), self.gan)
            losses |= {"loss": losses["loss"] + self.weight * gan, "gan": gan}
        self.fake = fake.detach()
        return losses


class DiscriminatorObjective(nn.Module):
    """Half of what D gets wrong of real and of generated images; halved so that D learns more slowly than G (paper).

    Args:
        discriminator: D.
        made_by: whose generated images are judged: those of the same step, from before G's parameters changed.
        gan: as in GeneratorObjective.

    Shape:
        as GeneratorObjective.

    Raises:
        ValueError: no such GAN.
        RuntimeError: the generator's objective has not had its turn with this batch.
    """

    def __init__(self, discriminator: PatchDiscriminator, made_by: GeneratorObjective, gan: str = "vanilla") -> None:
        super().__init__()
        check_gan(gan)
        self.discriminator, self.gan = discriminator, gan
        self._made_by = (made_by,)  # in a tuple, so that the generator's parameters are not this module's

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch
        fake, self._made_by[0].fake = self._made_by[0].fake, None
        if fake is None:
            raise RuntimeError("the discriminator judges what the generator made of the same batch: run that first")
        # One after the other, not as one batch: a batch norm would see real and generated images mixed.
        real_loss = GANS[self.gan](self.discriminator(x, y).float(), True)
        fake_loss = GANS[self.gan](self.discriminator(x, fake).float(), False)
        return {"loss": (real_loss + fake_loss) / 2, "real": real_loss, "fake": fake_loss}
