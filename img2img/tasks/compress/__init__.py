"""Learned compression: GDN transforms, entropy models, and the `.i2i` file."""

from .hyperprior import HyperpriorCodec
from .model import Codec
from .pipeline import Coded, Compressor, Decompressor, Target

__all__ = ["Codec", "Coded", "Compressor", "Decompressor", "HyperpriorCodec", "Target"]
