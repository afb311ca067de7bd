"""AVIF, by Pillow (libavif)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np

from . import exif as exif_block
from .by_pillow import map_lazily, pixels_of, save, save_frames
from .container import Decoded, Opened, check_size, fitting_profile
from .formats import DEFAULT_QUALITY
from .picture import About, Picture
from .samples import in_8_bits, with_alpha
from .webp import exif_with_resolution

_CODE_POINTS = b"colrnclx"  # the box of H.273's code points; Pillow neither tells nor takes them
_USUAL = {(1, 13), (2, 2), (1, 2), (2, 13), (1, 1)}  # primaries and transfer of sRGB, or left open
_LONGEST_HEADER = 2**16


def open_file(data: bytes, max_pixels: int) -> Opened:
    """An AVIF file; one with more pixels than `max_pixels` is an ImageError before they are decoded."""
    from PIL.AvifImagePlugin import AvifImageFile

    image = AvifImageFile(BytesIO(data))
    check_size(*image.size, max_pixels)
    info = image.info
    lost = ("more than 8 bits a sample",) if _depth(data) > 8 else ()
    about = About(xmp=info.get("xmp"), cicp=_code_points(data), lost=lost)

    def frames() -> Iterator[Decoded]:
        film = AvifImageFile(BytesIO(data))
        for number in range(film.n_frames):
            film.seek(number)
            pixels = pixels_of(film)
            seconds = film.info.get("duration", 0) / 1000 if film.n_frames > 1 else 0.0
            own = replace(about, duration=seconds)
            yield Decoded(pixels, info.get("exif"), info.get("icc_profile"), about=own)

    return Opened(frames, image.n_frames, image.n_frames > 1)


def _depth(data: bytes) -> int:
    """Bits a sample, from the box that configures the decoder."""
    at = data.find(b"av1C", 0, _LONGEST_HEADER)
    if at < 0 or at + 7 > len(data):
        return 8
    flags = data[at + 6]
    return (12 if flags & 0x20 else 10) if flags & 0x40 else 8


def _code_points(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    at = data.find(_CODE_POINTS, 0, _LONGEST_HEADER)
    if at < 0 or at + 15 > len(data):
        return ()
    return unusual_code_points(*struct.unpack_from(">HH", data, at + 8))


def unusual_code_points(primaries: int, transfer: int) -> tuple[tuple[bytes, bytes], ...]:
    """H.273's code points as PNG's cICP has them, unless they are those of sRGB."""
    if (primaries, transfer) in _USUAL or max(primaries, transfer) > 255:
        return ()
    # Decoded pixels are RGB of full range, which PNG calls matrix 0, range 1.
    return ((b"cICP", bytes((primaries, transfer, 0, 1))),)


def encode(picture: Picture, quality: int | None, lost: list[str]) -> bytes:
    """An AVIF file; the quality is 1 to 100."""
    from PIL import AvifImagePlugin  # noqa: F401 - registers the encoder

    data = save(_pixels(picture), "AVIF", _profile(picture, lost), _options(picture, quality))
    return _with_code_points(data, picture, lost)


def encode_frames(frames: Sequence[Picture], loop: int, quality: int | None, lost: list[str], stream: BinaryIO) -> None:
    """An AVIF image sequence."""
    from PIL import AvifImagePlugin  # noqa: F401 - registers the encoder

    first, buffer = frames[0], BytesIO()
    if loop:
        lost.append("how often the animation is played")
    durations = [round(picture.about.duration * 1000) for picture in frames]
    options = _options(first, quality) | {"duration": durations}
    save_frames(map_lazily(_pixels, frames), "AVIF", _profile(first, lost), buffer, options)
    stream.write(_with_code_points(buffer.getvalue(), first, lost))


def _options(picture: Picture, quality: int | None) -> dict[str, Any]:
    subsampling = "4:0:0" if _is_grey(picture) else "4:4:4"
    options: dict[str, Any] = {"quality": quality or DEFAULT_QUALITY["avif"], "subsampling": subsampling}
    if exif := exif_with_resolution(picture):
        # AVIF turns pictures by its own means; given the field, Pillow would rewrite the whole block without it.
        options["exif"] = exif_block.without_orientation(exif)
    if picture.about.xmp:
        options["xmp"] = picture.about.xmp
    return options


def _is_grey(picture: Picture) -> bool:
    return picture.channels == 1 and picture.alpha is None  # Pillow has no AVIF of grey and alpha


def _pixels(picture: Picture) -> np.ndarray:
    coloured = _is_grey(picture) or picture.channels == 3
    samples = picture.samples if coloured else np.repeat(picture.samples, 3, axis=2)
    return in_8_bits(with_alpha(samples, picture.alpha))


def _profile(picture: Picture, lost: list[str]) -> bytes | None:
    profile = fitting_profile(picture.icc, 1 if _is_grey(picture) else 3)
    if picture.icc and not profile:
        lost.append("ICC profile (of grey)")
    return profile


def _with_code_points(data: bytes, picture: Picture, lost: list[str]) -> bytes:
    """The file with its code points set: they have a fixed place of a fixed length."""
    wanted = dict(picture.about.cicp)
    if not wanted:
        return data
    if len(wanted) > 1:
        lost.append("mastering display and light level (mDCV, cLLI)")
    at = data.find(_CODE_POINTS, 0, _LONGEST_HEADER)
    points = wanted.get(b"cICP")
    if points is None or at < 0:
        lost.append("code points of gamut and transfer (cICP, HDR)")
        return data
    return data[: at + 8] + struct.pack(">HH", points[0], points[1]) + data[at + 12 :]
