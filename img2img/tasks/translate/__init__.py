"""Image translation by pix2pix: a U-Net generator against a discriminator of patches, trained on pairs.

Its names are imported when they are first used: who only runs a network need not wait for PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...core.patch_gan import PatchDiscriminator
    from .generator import UNetGenerator
    from .pipeline import Translator

__all__ = ["PatchDiscriminator", "Translator", "UNetGenerator"]

_HOMES = {"PatchDiscriminator": "...core.patch_gan", "Translator": ".pipeline", "UNetGenerator": ".generator"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
