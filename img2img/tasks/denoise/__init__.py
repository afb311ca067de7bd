"""Noise removal: a U-Net of residual blocks that is told the noise level, and a small network that estimates it."""

from .model import DenoisingUNet, NoiseEstimator
from .pipeline import Denoiser

__all__ = ["Denoiser", "DenoisingUNet", "NoiseEstimator"]
