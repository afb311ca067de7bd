"""Pictures, and image files as other programs write them, for the tests of reading and writing."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import tifffile
from PIL import Image, ImageCms

from img2img.images import Picture, read_picture, write_picture

LOSSLESS = ("png", "tiff")
ALL = ("png", "jpg", "webp", "avif", "tiff")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY_PROFILE = SRGB[:16] + b"GRAY" + SRGB[20:]
CMYK_PROFILE = SRGB[:16] + b"CMYK" + SRGB[20:]  # no colour engine can use it


def random_samples(height: int, width: int, channels: int, bits: int, seed: int = 0) -> np.ndarray:
    kind = np.uint8 if bits == 8 else np.uint16
    return np.random.default_rng(seed).integers(0, 2**bits, (height, width, channels)).astype(kind)


def smooth_picture(channels: int = 3, bits: int = 8, alpha: bool = False, **metadata: Any) -> Picture:
    """Slow gradients, which lossy formats keep within a few levels."""
    y, x = np.mgrid[0:40, 0:64]
    planes = np.stack([x * 4, y * 5 + 20, 240 - x - y][:channels], axis=2).clip(0, 255).astype(np.uint8)
    transparency = (y * 6).astype(np.uint8) if alpha else None
    if bits == 16:
        planes = planes.astype(np.uint16) * 257
        transparency = None if transparency is None else transparency.astype(np.uint16) * 257
    return Picture(planes, transparency, **metadata)


def camera_exif(orientation: int | None = None, endian: str = "<") -> bytes:
    """An EXIF block as a camera writes it: model, exposure, place; without JPEG's marker."""
    exif = Image.Exif()
    exif.endian = endian
    exif[0x0110] = "Camera 1"
    if orientation is not None:
        exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0x829A] = 0.004
    exif.get_ifd(0x8769)[0x927C] = b"maker note of some length"
    exif.get_ifd(0x8825)[1] = "N"
    return exif.tobytes()[6:]


def parsed(block: bytes | None) -> Image.Exif:
    assert block is not None
    exif = Image.Exif()
    exif.load(block)
    return exif


def encoded(picture: Picture, format: str, quality: int | None = None) -> bytes:
    stream = io.BytesIO()
    write_picture(picture, stream, format, quality)
    return stream.getvalue()


def decoded(data: bytes, **options: Any) -> Picture:
    return read_picture(io.BytesIO(data), **options)


def by_pillow(image: Image.Image, codec: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, codec, **options)
    return stream.getvalue()


def by_tifffile(pixels: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)
    return stream.getvalue()


def png_of_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_header(width: int, height: int, bits: int = 8, colours: int = 2) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
