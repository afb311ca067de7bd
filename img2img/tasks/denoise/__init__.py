"""Noise removal: a U-Net of residual blocks that is told the noise level, and a small network that estimates it."""

from .model import DenoisingUNet, NoiseEstimator


__all__ = ["DenoisingUNet", "NoiseEstimator"]
