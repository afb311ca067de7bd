"""Pixels from Pillow and to it.

The decoders' classes are called directly, not through PIL.Image.open: its limit on pixels is global to the process, and
it would try formats outside the allow-list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from .picture import Picture

BAND_PIXELS = 2**20


def pixels_of(image: Image.Image, convert: Callable[[Image.Image], Image.Image] | None = None) -> np.ndarray:
    """A Pillow image of 8 bits as (H, W, N), in bands: numpy's way from Pillow holds all pixels three times."""
    channels = 3 if convert else len(image.getbands())
    pixels = np.empty((image.height, image.width, channels), np.uint8)
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        pixels[top : top + rows] = np.asarray(convert(band) if convert else band).reshape(-1, image.width, channels)
    return pixels


def cmyk_converter(icc: bytes | None) -> Callable[[Image.Image], Image.Image]:
    """From inks to sRGB, by their ICC profile if there is one that can be read."""
    from PIL import ImageCms

    if icc:
        try:
            profile = ImageCms.ImageCmsProfile(BytesIO(icc))
            transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), "CMYK", "RGB")
            return lambda band: ImageCms.applyTransform(band, transform) or band
        except (ImageCms.PyCMSError, OSError):
            pass  # an unreadable profile is as good as none
    return lambda band: band.convert("RGB")


def save(pixels: np.ndarray, codec: str, icc: bytes | None, options: dict[str, Any]) -> bytes:
    """(H, W, 1 to 4) uint8 samples in a format of Pillow's; `options` are its encoder's."""
    stream = BytesIO()
    as_image(pixels).save(stream, codec, icc_profile=icc, **options)
    return stream.getvalue()


def save_frames(
    frames: Sequence[np.ndarray], codec: str, icc: bytes | None, stream: BinaryIO, options: dict[str, Any]
) -> None:
    """Frames as `save` takes one, in an animation; each is taken when the encoder asks for it."""
    _Film(frames).save(stream, codec, save_all=True, icc_profile=icc, **options)


def map_lazily(function: Callable[[Picture], np.ndarray], pictures: Sequence[Picture]) -> Sequence[np.ndarray]:
    """A sequence that computes each item when it is asked for."""
    return _Mapped(function, pictures)


class _Mapped(Sequence[Any]):
    def __init__(self, function: Callable[[Picture], np.ndarray], pictures: Sequence[Picture]) -> None:
        self._function, self._pictures = function, pictures

    def __getitem__(self, index: Any) -> Any:
        return self._function(self._pictures[index])

    def __len__(self) -> int:
        return len(self._pictures)


def as_image(pixels: np.ndarray) -> Image.Image:
    """(H, W, 1 to 4) uint8 samples for Pillow."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))


class _Film(Image.Image):
    """What Pillow's encoders take for an animated image: it shows one frame at a time, and holds no more."""

    def __init__(self, frames: Sequence[np.ndarray]) -> None:
        super().__init__()
        self.n_frames, self.is_animated = len(frames), len(frames) > 1
        self._frames, self._shown = frames, -1
        self.seek(0)

    def seek(self, frame: int) -> None:
        if frame >= self.n_frames:
            raise EOFError
        if frame != self._shown:
            image = as_image(self._frames[frame])
            self.im, self._mode, self._size, self._shown = image.im, image.mode, image.size, frame

    def tell(self) -> int:
        return self._shown
