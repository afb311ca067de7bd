"""JPEG 2000 (JP2 and bare codestreams), by imagecodecs (OpenJPEG); metadata from the boxes of a JP2."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from ..errors import ImageError
from .boxes import EXIF_ID, IPTC_ID, XMP_ID, boxes
from .container import Decoded, Opened, check_size, single
from .picture import About, Resolution
from .samples import in_whole_bytes

_STREAM = b"\xff\x4f\xff\x51"


def open_file(data: bytes, max_pixels: int) -> Opened:
    """A JPEG 2000 file; one with more pixels than `max_pixels` is an ImageError before they are decoded."""
    at = data.find(_STREAM)
    if at < 0 or at + 44 > len(data):
        raise ImageError("damaged jpeg 2000 file: no pixels")
    right, bottom, left, top = struct.unpack_from(">IIII", data, at + 8)
    check_size(right - left, bottom - top, max_pixels)
    (count,) = struct.unpack_from(">H", data, at + 40)
    depth = data[at + 42] if at + 42 < len(data) else 7
    bits, signed = (depth & 0x7F) + 1, bool(depth & 0x80)
    if bits > 16 or signed:
        raise ImageError(f"jpeg 2000 with {bits}-bit {'signed ' if signed else ''}samples is not read")
    icc, exif, about = _metadata(data) if at >= 12 else (None, None, About())

    def decode() -> Decoded:
        import imagecodecs

        pixels = np.asarray(imagecodecs.jpeg2k_decode(data))
        pixels = in_whole_bytes(pixels.reshape(*pixels.shape[:2], -1), bits)
        further = pixels[..., 4:] if count > 4 else None
        return Decoded(pixels[..., :4], exif, icc, about=about, further=further)

    return single(decode)


def _metadata(data: bytes) -> tuple[bytes | None, bytes | None, About]:
    icc = exif = None
    said: dict[str, Any] = {}
    lost: list[str] = []
    for kind, content in boxes(data):
        if kind == b"jp2h":
            icc, said["resolution"] = _header(content)
        elif kind == b"uuid" and content[:16] == EXIF_ID:
            exif = content[16:]
        elif kind == b"uuid" and content[:16] == XMP_ID:
            said["xmp"] = content[16:]
        elif kind == b"uuid" and content[:16] == IPTC_ID:
            said["iptc"] = content[16:]
        elif kind not in (b"jP  ", b"ftyp", b"jp2c"):
            lost.append(f"JPEG 2000's box {kind.decode('latin-1').strip()}")
    return icc, exif, About(**said, lost=tuple(dict.fromkeys(lost)))


def _header(content: bytes) -> tuple[bytes | None, Resolution | None]:
    icc = resolution = None
    for kind, inner in boxes(content):
        if kind == b"colr" and inner[:1] in (b"\2", b"\3"):
            icc = inner[3:]
        elif kind == b"res ":
            for _, values in boxes(inner):
                if len(values) >= 10:
                    above_y, below_y, above_x, below_x, power_y, power_x = struct.unpack_from(">HHHHbb", values)
                    if above_x and below_x and above_y and below_y:
                        x, y = above_x / below_x * 10.0**power_x, above_y / below_y * 10.0**power_y
                        resolution = Resolution(x, y, "metre")
    return icc, resolution
