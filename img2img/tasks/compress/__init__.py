"""Learned compression: GDN transforms, entropy models, and the `.i2i` file.

Its names are imported when they are first used: what only reads a file's header need not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .hyperprior import HyperpriorCodec
    from .model import Codec
    from .pipeline import Coded, Compressor, Decoded, Decompressor, Target, View

__all__ = ["Codec", "Coded", "Compressor", "Decoded", "Decompressor", "HyperpriorCodec", "Target", "View"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = {"Codec": "model", "HyperpriorCodec": "hyperprior"}.get(name, "pipeline")
    return getattr(import_module(f".{home}", __name__), name)
