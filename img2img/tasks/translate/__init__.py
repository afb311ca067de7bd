"""Image translation by pix2pix: a U-Net generator against a discriminator of patches, trained on pairs."""

from .discriminator import PatchDiscriminator
from .generator import UNetGenerator
from .pipeline import Translator

__all__ = ["PatchDiscriminator", "Translator", "UNetGenerator"]
