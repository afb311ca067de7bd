"""Losses: of generator and discriminator a conditional GAN and L1, of a classifier of colours their cross-entropy."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.patch_gan import GANS, PatchDiscriminator, check_gan, frozen, generator_gan_loss
from .classifier import ColourClassifier
from .coding import AB
from .generator import UNetGenerator

Batch = tuple[Tensor, Tensor]

NEAR = 0.5  # deviation, in steps of the classes, by which a colour belongs to classes around it
UNIFORM = 0.5  # share of an even distribution in that which weights are taken from (the paper's lambda)


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


class ColourObjective(nn.Module):
    """Cross-entropy between the classes that a classifier gives and those that the colours belong to.

    Rare colours count more: most of a photograph is greyish, and a classifier that says so is nearly always right.

    Args:
        classifier: that is trained.
        shares: how often each class occurs in the training pictures, (Q,), sum 1 (`shares_of`).

    Shape:
        batch: lightness (B, 1, H, W) and a, b (B, 2, H, W), in [-1, 1]; H and W even. Returns scalars by name.

    References: Zhang et al. 2016, arXiv:1603.08511, eq. 2 to 4.
    """

    weights: Tensor

    def __init__(self, classifier: ColourClassifier, shares: Tensor) -> None:
        super().__init__()
        self.classifier = classifier
        rarity = 1 / ((1 - UNIFORM) * shares + UNIFORM / len(shares))
        self.register_buffer("weights", rarity / (shares * rarity).sum())

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch
        wanted = belonging(self.classifier, F.avg_pool2d(y, 2))
        errors = -(wanted * self.classifier.logits(x).float().log_softmax(1)).sum(1)
        counts = torch.einsum("bqhw,q->bhw", wanted, self.weights)
        return {"loss": (counts * errors).mean(), "entropy": errors.detach().mean()}


def belonging(classifier: ColourClassifier, ab: Tensor) -> Tensor:
    """How far colours, (B, 2, H, W) in [-1, 1], belong to each class: (B, Q, H, W), sums 1."""
    classes = classifier.classes
    apart = (ab * AB)[:, None] - classes[:, :, None, None]
    return (-apart.square().sum(2) / (2 * (NEAR * classifier.step) ** 2)).softmax(1)


def shares_of(classifier: ColourClassifier, chroma: Iterable[Tensor]) -> Tensor:
    """How often each class occurs in colours (B, 2, H, W) of pictures, smoothed as far as colours belong to classes."""
    counts = torch.stack([belonging(classifier, ab).mean((0, 2, 3)) for ab in chroma]).sum(0)
    return counts / counts.sum()
