"""Texture synthesis from a sample: by its patches, or by statistics of a frozen network's features."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...core.descriptor import Descriptor
    from ...descriptors.by_name import load_descriptor
    from .methods.network import TextureNetwork
    from .pipeline import Texture

__all__ = ["Descriptor", "Texture", "TextureNetwork", "load_descriptor"]

_HOMES = {
    "Descriptor": "..core.descriptor",
    "load_descriptor": "..descriptors.by_name",
    "TextureNetwork": "methods.network",
    "Texture": "pipeline",
}


def __getattr__(name: str) -> Any:
    """These need PyTorch, which textures by patches do without: imported when they are asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
