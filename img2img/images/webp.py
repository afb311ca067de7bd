"""WebP, read by imagecodecs (Pillow's reader has a limit on pixels of its own) and written by Pillow."""

import struct

import numpy as np

from ..errors import ImageError
from .by_pillow import save
from .container import Decoded, check_size, fitting_profile
from .picture import Picture
from .samples import in_8_bits, with_alpha


def decode(data: bytes, max_pixels: int) -> Decoded:
    """What a WebP file holds; one with more pixels than `max_pixels` is an ImageError before they are decoded."""
    import imagecodecs

    if len(data) < 30 or len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise ImageError("truncated webp file")
    check_size(*_size(data), max_pixels)
    chunks = _metadata(data)
    pixels = imagecodecs.webp_decode(data)
    return Decoded(pixels.reshape(*pixels.shape[:2], -1), chunks.get(b"EXIF"), chunks.get(b"ICCP"))


def _size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ImageError("damaged webp file: no header")


def _metadata(data: bytes) -> dict[bytes, bytes]:
    chunks: dict[bytes, bytes] = {}
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        if kind in (b"EXIF", b"ICCP"):
            chunks.setdefault(kind, data[position + 8 : position + 8 + length])
        position += 8 + length + length % 2
    return chunks


def encode(picture: Picture, quality: int) -> bytes:
    """A WebP file; the quality is 1 to 100."""
    from PIL import WebPImagePlugin  # noqa: F401 - registers the encoder

    samples = np.repeat(picture.samples, 3, axis=2) if picture.channels == 1 else picture.samples
    pixels = in_8_bits(with_alpha(samples, picture.alpha))
    return save(pixels, "WEBP", fitting_profile(picture.icc, 3), {"quality": quality, "exif": picture.exif or b""})
