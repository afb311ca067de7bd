"""Texture synthesis from a sample: statistics of a frozen network's features, and pictures that have them."""

from .descriptor import Descriptor, load_descriptor
from .methods.network import TextureNetwork
from .pipeline import Texture

__all__ = ["Descriptor", "Texture", "TextureNetwork", "load_descriptor"]
