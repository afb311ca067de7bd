"""One suite that turns an image into a better or another image with trained networks.

`img2img.denoise(x)`, `translate`, `compress`, `decompress` and `texture` take a picture of any kind and answer in the
same; `img2img.Denoiser` and so on are the classes behind them (front.py); `img2img.process` is for services and
clusters: bytes in, bytes out (processing.py). All that can go wrong is an `img2img.Img2ImgError`.

Nothing is imported before it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import BitstreamError, ImageError, Img2ImgError, InputError, WeightsError
    from .front import (
        Compressor,
        Decompressor,
        Denoiser,
        Texture,
        Translator,
        compress,
        decompress,
        denoise,
        texture,
        translate,
    )
    from .processing import process

__version__ = "0.1.0"

__all__ = [
    "BitstreamError",
    "Compressor",
    "Decompressor",
    "Denoiser",
    "ImageError",
    "Img2ImgError",
    "InputError",
    "Texture",
    "Translator",
    "WeightsError",
    "__version__",
    "compress",
    "decompress",
    "denoise",
    "process",
    "texture",
    "translate",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "processing" if name == "process" else "errors" if name.endswith("Error") else "front"
    return getattr(import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
