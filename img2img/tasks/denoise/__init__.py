"""Noise removal: a U-Net of residual blocks, told the noise level or finding it by an estimator beside it.

Its names are imported when they are first used: who only runs a network need not wait for PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .model import BlindDenoiser, DenoisingUNet, NoiseEstimator
    from .pipeline import Denoiser

__all__ = ["BlindDenoiser", "Denoiser", "DenoisingUNet", "NoiseEstimator"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(".pipeline" if name == "Denoiser" else ".model", __name__), name)
