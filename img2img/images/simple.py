"""Formats that hold pixels and little else: BMP by Pillow, QOI by imagecodecs, Netpbm by hand.

Netpbm (PBM, PGM, PPM, PAM) by hand, since Pillow cuts 16-bit colour to 8 and imagecodecs does not know it.
"""

from __future__ import annotations

import re
import struct
from io import BytesIO

import numpy as np

from ..errors import ImageError
from .by_pillow import pixels_of
from .container import Decoded, Opened, check_size, single
from .picture import About, Resolution
from .samples import in_whole_bytes

_TOKEN = re.compile(rb"(?:\s|#[^\n\r]*[\n\r])*([0-9]+)")
_COMMENT = re.compile(rb"#[ \t]?([^\n\r]*)")
_PAM_DEPTHS = {1, 2, 3, 4}


def open_bmp(data: bytes, max_pixels: int) -> Opened:
    """A BMP file; one with more pixels than `max_pixels` is an ImageError before they are decoded."""
    from PIL.BmpImagePlugin import BmpImageFile

    image = BmpImageFile(BytesIO(data))
    check_size(*image.size, max_pixels)
    dpi = image.info.get("dpi", (0, 0))
    resolution = Resolution(dpi[0] / 0.0254, dpi[1] / 0.0254, "metre") if all(d > 1 for d in dpi) else None

    def decode() -> Decoded:
        grey = image.mode == "1" or (image.mode == "L")
        mode = "L" if grey else "RGBA" if image.mode == "RGBA" else "RGB"
        shown = image if image.mode == mode else image.convert(mode)
        return Decoded(pixels_of(shown), about=About(resolution=resolution))

    return single(decode)


def open_qoi(data: bytes, max_pixels: int) -> Opened:
    """A QOI file; one with more pixels than `max_pixels` is an ImageError before they are decoded."""
    if len(data) < 22 or not data.rstrip(b"\0\1").startswith(b"qoif"):
        raise ImageError("truncated qoi file")
    width, height = struct.unpack_from(">II", data, 4)
    check_size(width, height, max_pixels)

    def decode() -> Decoded:
        import imagecodecs

        pixels = np.asarray(imagecodecs.qoi_decode(data))
        return Decoded(pixels.reshape(*pixels.shape[:2], -1))

    return single(decode)


def open_netpbm(data: bytes, max_pixels: int) -> Opened:
    """A file of Netpbm, binary or in digits; one with more pixels than `max_pixels` is an ImageError."""
    if data[:2] == b"P7":
        return _open_pam(data, max_pixels)
    kind = int(data[1:2])
    numbers: list[int] = []
    position = 2
    while len(numbers) < (2 if kind in (1, 4) else 3):
        found = _TOKEN.match(data, position)
        if not found:
            raise ImageError("damaged pnm file: no header")
        numbers.append(int(found[1]))
        position = found.end()
    width, height = numbers[:2]
    top = numbers[2] if len(numbers) > 2 else 1
    check_size(width, height, max_pixels)
    _check_top(top)
    comments = tuple(c.decode("utf-8", "replace") for c in _COMMENT.findall(data[:position]) if c.strip())
    depth = 3 if kind in (3, 6) else 1
    about = About(comments=comments)

    def decode() -> Decoded:
        if kind in (1, 4):
            return Decoded(_bits(data, kind, position, width, height), about=about)
        if kind in (2, 3):
            digits = np.array(data[position:].split()[: width * height * depth], dtype=np.int64)
            return Decoded(_stretched(digits, (height, width, depth), top), about=about)
        return Decoded(_samples(data, position + 1, (height, width, depth), top), about=about)

    return single(decode)


def _open_pam(data: bytes, max_pixels: int) -> Opened:
    head, found, _ = data[: 2**16].partition(b"ENDHDR\n")
    words = dict(line.split(None, 1) for line in head.splitlines()[1:] if len(line.split(None, 1)) == 2)
    try:
        width, height, depth, top = (int(words[key]) for key in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    except (KeyError, ValueError) as error:
        raise ImageError("damaged pam file: no header") from error
    check_size(width, height, max_pixels)
    _check_top(top)
    if not found or depth not in _PAM_DEPTHS:
        raise ImageError(f"pam files of {depth} channels are not read")
    start = len(head) + len(found)
    return single(lambda: Decoded(_samples(data, start, (height, width, depth), top)))


def _check_top(top: int) -> None:
    if not 1 <= top <= 65535:
        raise ImageError(f"damaged pnm file: samples up to {top}")


def _samples(data: bytes, start: int, shape: tuple[int, int, int], top: int) -> np.ndarray:
    kind = np.dtype("u1" if top < 256 else ">u2")
    count = int(np.prod(shape))
    if len(data) - start < count * kind.itemsize:
        raise ImageError("truncated pnm file")
    return _stretched(np.frombuffer(data, kind, count, start), shape, top)


def _stretched(values: np.ndarray, shape: tuple[int, int, int], top: int) -> np.ndarray:
    if values.size < int(np.prod(shape)):
        raise ImageError("truncated pnm file")
    values = values.reshape(shape)
    white = 255 if top < 256 else 65535
    kind = np.uint8 if top < 256 else np.uint16
    if top == white:
        return values.astype(kind)
    if values.max() > top:
        raise ImageError("damaged pnm file: a sample is brighter than white")
    if (top + 1) & top == 0:
        return in_whole_bytes(values, top.bit_length())
    return np.rint(values * (white / top)).astype(kind)


def _bits(data: bytes, kind: int, position: int, width: int, height: int) -> np.ndarray:
    """Ink is 1."""
    if kind == 1:
        digits = re.sub(rb"[^01]", b"", data[position:])[: width * height]
        ink: np.ndarray = np.frombuffer(digits, np.uint8) - ord("0")
    else:
        stride = (width + 7) // 8
        packed = np.frombuffer(data[position + 1 : position + 1 + stride * height], np.uint8)
        if packed.size < stride * height:
            raise ImageError("truncated pbm file")
        ink = np.unpackbits(packed.reshape(height, stride), axis=1)[:, :width]
    if ink.size < width * height:
        raise ImageError("truncated pbm file")
    return ((1 - ink.reshape(height, width, 1)) * 255).astype(np.uint8)
