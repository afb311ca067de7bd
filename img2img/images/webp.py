"""WebP, read by imagecodecs (Pillow's reader has a limit on pixels of its own), animations and writing by Pillow."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np

from ..errors import ImageError
from . import exif as exif_block
from .by_pillow import map_lazily, pixels_of, save, save_frames
from .container import Decoded, Opened, check_size, fitting_profile
from .formats import DEFAULT_QUALITY
from .picture import About, Picture
from .samples import in_8_bits, with_alpha

_PIXELS = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"}


def open_file(data: bytes, max_pixels: int) -> Opened:
    """A WebP file; one with more pixels than `max_pixels` is an ImageError before they are decoded."""
    if len(data) < 30 or len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise ImageError("truncated webp file")
    check_size(*_size(data), max_pixels)
    chunks = _chunks(data)
    kinds = [kind for kind, _ in chunks]
    said = {kind: content for kind, content in reversed(chunks) if kind not in _PIXELS}
    lost = tuple(f"WebP's chunk {kind.decode('latin-1')}" for kind in said if kind not in (b"EXIF", b"ICCP", b"XMP "))
    about = About(xmp=said.get(b"XMP "), lossless=b"VP8L" in kinds, lost=lost)
    exif, icc = said.get(b"EXIF"), said.get(b"ICCP")
    moving = kinds.count(b"ANMF")
    if moving < 2:
        return Opened(lambda: iter([Decoded(_decode(data), exif, icc, about=about)]))
    loop = next((struct.unpack_from("<H", body, 4)[0] for kind, body in chunks if kind == b"ANIM"), 0)
    # Of a frame its own chunks lie behind 16 bytes; one lossy frame makes the animation lossy.
    about = replace(about, lossless=all(b"VP8L" in body[16:64] for kind, body in chunks if kind == b"ANMF"))

    def frames() -> Iterator[Decoded]:
        from PIL.WebPImagePlugin import WebPImageFile

        image = WebPImageFile(BytesIO(data))
        for number in range(moving):
            image.seek(number)
            image.load()
            seconds = image.info.get("duration", 0) / 1000
            yield Decoded(pixels_of(image), exif, icc, about=replace(about, duration=seconds))

    return Opened(frames, moving, True, loop)


def _decode(data: bytes) -> np.ndarray:
    import imagecodecs

    pixels = np.asarray(imagecodecs.webp_decode(data))
    return pixels.reshape(*pixels.shape[:2], -1)


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


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks: list[tuple[bytes, bytes]] = []
    position, end = 12, 8 + int.from_bytes(data[4:8], "little")
    while position + 8 <= min(len(data), end):
        kind, length = struct.unpack_from("<4sI", data, position)
        chunks.append((kind, data[position + 8 : position + 8 + length]))
        position += 8 + length + length % 2
    return chunks


def encode(picture: Picture, quality: int | None, lost: list[str]) -> bytes:
    """A WebP file; the quality is 1 to 100, None lossless for what was so, else DEFAULT_QUALITY."""
    from PIL import WebPImagePlugin  # noqa: F401 - registers the encoder

    return save(_pixels(picture), "WEBP", _profile(picture, lost), _options(picture, quality))


def encode_frames(frames: Sequence[Picture], loop: int, quality: int | None, lost: list[str], stream: BinaryIO) -> None:
    """An animated WebP."""
    from PIL import WebPImagePlugin  # noqa: F401 - registers the encoder

    first = frames[0]
    durations = [round(picture.about.duration * 1000) for picture in frames]
    options = _options(first, quality) | {"loop": loop, "duration": durations}
    save_frames(map_lazily(_pixels, frames), "WEBP", _profile(first, lost), stream, options)


def _options(picture: Picture, quality: int | None) -> dict[str, Any]:
    lossless = quality is None and picture.about.lossless
    options: dict[str, Any] = {"quality": quality or DEFAULT_QUALITY["webp"], "lossless": lossless, "exact": lossless}
    return options | {"exif": exif_with_resolution(picture) or b"", "xmp": picture.about.xmp or b""}


def _pixels(picture: Picture) -> np.ndarray:
    samples = np.repeat(picture.samples, 3, axis=2) if picture.channels == 1 else picture.samples
    return in_8_bits(with_alpha(samples, picture.alpha))


def _profile(picture: Picture, lost: list[str]) -> bytes | None:
    profile = fitting_profile(picture.icc, 3)
    if picture.icc and not profile:
        lost.append("ICC profile (of grey)")
    return profile


def exif_with_resolution(picture: Picture) -> bytes | None:
    """The EXIF block of a format that has no other place for the resolution."""
    resolution = picture.about.resolution
    return exif_block.with_resolution(picture.exif, resolution) if resolution else picture.exif
