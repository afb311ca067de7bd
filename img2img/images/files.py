"""Image files: the only place where bytes become pixels, and pixels bytes.

Reads and writes PNG, JPEG, WebP, AVIF and TIFF, told apart by their first bytes. What each decoder does with a
truncated file differs; here it is always an ImageError, never a picture that is half grey. (Not seen: a JPEG with
damage in the middle and a proper end.) Of several pages or frames the first is read.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import ImageError
from . import avif, jpeg, png, tiff, webp
from . import exif as exif_block
from .container import Decoded, fitting_profile
from .formats import DEFAULT_QUALITY, MAX_PIXELS, MAX_SIDE, detect
from .picture import Picture
from .samples import turned

_DECODERS: dict[str, Callable[[bytes, int], Decoded]] = {
    "png": png.decode,
    "jpg": jpeg.decode,
    "webp": webp.decode,
    "avif": avif.decode,
    "tiff": tiff.decode,
}
_ENCODERS: dict[str, Callable[[Picture, int], bytes]] = {
    "png": png.encode,
    "jpg": jpeg.encode,
    "webp": webp.encode,
    "avif": avif.encode,
    "tiff": tiff.encode,
}


def read_picture(source: Path | BinaryIO, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read one image.

    Palettes, bit depths below 8 and CMYK become 8-bit grey or RGB (CMYK through its ICC profile where it has one),
    depths of 9 to 15 bits become 16; AVIF of more than 8 bits is reduced to 8. The EXIF orientation is applied.
    Metadata that cannot be read is left out.

    Args:
        source: a file, or a stream open for reading bytes, which may be a pipe.
        max_pixels: larger images are refused before their pixels are decoded.

    Raises:
        ImageError: no image in a known format, damaged, or too large; one line without the path.
    """
    format, data = _read_bytes(source)
    try:
        decoded = _DECODERS[format](data, max_pixels)
        return _finish(decoded, format)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"not enough memory to decode this {format} file") from error
    except Exception as error:  # what a decoder raises on hostile bytes is anybody's guess
        raise ImageError(f"damaged {format} file: {_one_line(error)}") from error


def write_picture(picture: Picture, target: Path | BinaryIO, format: str, quality: int | None = None) -> None:
    """Write one image.

    PNG and TIFF keep everything. JPEG, WebP and AVIF have 8 bits a sample (rounded) and lose a little. JPEG has no
    alpha: the picture is laid on white; and no room for EXIF over 64 KiB, which is left out. WebP has no grey, which
    becomes RGB.

    Args:
        picture: what to write.
        target: a file, overwritten if it exists, or a stream open for writing bytes.
        format: `png`, `jpg`, `webp`, `avif` or `tiff`.
        quality: 1 to 100 for jpg, webp and avif, see DEFAULT_QUALITY; the others are lossless and have none.

    Raises:
        ImageError: the format cannot hold the picture, or the file cannot be written; one line without the path.
        ValueError: no such format or quality.
    """
    if format not in _ENCODERS:
        raise ValueError(f"no such format: {format}")
    if quality is not None and not 1 <= quality <= 100:
        raise ValueError(f"quality must be 1 to 100, not {quality}")
    if max(picture.width, picture.height) > MAX_SIDE.get(format, 2**31):
        raise ImageError(
            f"{format} has at most {MAX_SIDE[format]} pixels a side, this picture {picture.width}x{picture.height}"
        )
    try:
        data = _ENCODERS[format](picture, quality or DEFAULT_QUALITY.get(format, 0))
    except Exception as error:  # encoders raise as freely as decoders
        raise ImageError(f"cannot be written as {format}: {_one_line(error)}") from error
    if not isinstance(target, Path):
        target.write(data)
        return
    try:
        target.write_bytes(data)
    except OSError as error:
        raise ImageError(f"cannot be written: {error.strerror or error}") from error


def _read_bytes(source: Path | BinaryIO) -> tuple[str, bytes]:
    if isinstance(source, Path):
        try:
            with source.open("rb") as stream:
                return _read_bytes(stream)
        except OSError as error:
            raise ImageError(f"cannot be read: {error.strerror or error}") from error
    head = source.read(64)
    if not head:
        raise ImageError("empty file")
    format = detect(head)  # before the rest is read: it may be a video of many gigabytes
    return format, head + source.read()


def _finish(decoded: Decoded, format: str) -> Picture:
    pixels = decoded.pixels
    exif, orientation = exif_block.normalise(decoded.exif), decoded.orientation
    if exif is not None:
        found, exif = exif_block.upright(exif)
        orientation = found if found != 1 else orientation
    pixels = turned(pixels, orientation)
    colours = 1 if pixels.shape[2] < 3 else 3
    alpha = np.ascontiguousarray(pixels[..., -1]) if pixels.shape[2] in (2, 4) else None
    samples = np.ascontiguousarray(pixels[..., :colours])
    return Picture(samples, alpha, exif, fitting_profile(decoded.icc, colours), format)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
