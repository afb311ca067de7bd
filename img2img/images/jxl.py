"""JPEG XL: pixels by imagecodecs (libjxl), metadata from the container's boxes.

The beginning of the codestream is read by hand: imagecodecs tells neither the size before it decodes, nor colours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import ImageError
from . import exif as exif_block
from .avif import unusual_code_points
from .boxes import box, boxes
from .container import Decoded, Opened, check_size
from .formats import DEFAULT_QUALITY
from .picture import About, Picture, Scale
from .samples import in_whole_bytes, with_alpha
from .webp import exif_with_resolution

SIGNATURE = b"\0\0\0\x0cJXL \r\n\x87\n"
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_HIGHEST_DISTANCE = 25.0


@dataclass
class _Header:
    """What ISO/IEC 18181-1 writes before the pixels."""

    width: int
    height: int
    bits: int = 8
    floating: bool = False
    animated: bool = False
    icc: bool = False
    xyb: bool = True
    primaries: int = 1
    transfer: int = 13


class _Bits:
    """Numbers of the codestream, lowest bit first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data[:256], "little"), 8 * min(256, len(data))

    def take(self, count: int) -> int:
        if count > self._left:
            raise ImageError("truncated jxl file")
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return taken

    def choice(self, *options: tuple[int, int]) -> int:
        """One of four (offset, bits), chosen by two bits."""
        offset, bits = options[self.take(2)]
        return offset + self.take(bits)


def open_file(data: bytes, max_pixels: int) -> Opened:
    """A JPEG XL file; one with more pixels than `max_pixels` is an ImageError before they are decoded."""
    found = list(boxes(data)) if data.startswith(SIGNATURE) else [(b"jxlc", data)]
    stream = b"".join(body[4:] if kind == b"jxlp" else body for kind, body in found if kind in (b"jxlc", b"jxlp"))
    header = _header(stream)
    check_size(header.width, header.height, max_pixels)
    exif, about = _metadata(found)
    # What is coded with loss is coded in XYB, but for what was a JPEG.
    about = replace(about, lossless=not header.xyb and all(kind != b"jbrd" for kind, _ in found))
    if header.icc:
        about = replace(about, lost=(*about.lost, "ICC profile (libjxl's binding does not tell it)"))
    else:
        about = replace(about, cicp=unusual_code_points(header.primaries, header.transfer))
    if not header.animated:
        return Opened(lambda: iter([_decoded(_decode(data, None), header, exif, about)]))
    shape = _decode(data, None).shape  # only a whole decoding tells how many there are
    if len(shape) < 3 or shape[:2] == (header.height, header.width):
        return Opened(lambda: iter([_decoded(_decode(data, None), header, exif, about)]))
    count = shape[0]
    about = replace(about, duration=0.1, lost=(*about.lost, "timing of the frames"))

    def frames() -> Iterator[Decoded]:
        for number in range(count):
            yield _decoded(_decode(data, number), header, exif, about)

    return Opened(frames, count, True)


def _decode(data: bytes, index: int | None) -> np.ndarray:
    import imagecodecs

    return np.asarray(imagecodecs.jpegxl_decode(data, index=index))


def _decoded(pixels: np.ndarray, header: _Header, exif: bytes | None, about: About) -> Decoded:
    pixels = pixels.reshape(_with_channels(pixels))
    if np.issubdtype(pixels.dtype, np.floating):
        return Decoded(pixels, exif, about=about, scale=Scale(0.0, 1.0))
    bits = header.bits if pixels.dtype == np.uint16 and 8 < header.bits < 16 and pixels.max() < 2**header.bits else 0
    return Decoded(in_whole_bytes(pixels, bits) if bits else pixels, exif, about=about)


def _with_channels(pixels: np.ndarray) -> tuple[int, ...]:
    """(H, W, N) of what the decoder returned, which has no axis for one channel."""
    return (*pixels.shape, 1) if pixels.ndim == 2 else pixels.shape


def _header(stream: bytes) -> _Header:
    if stream[:2] != b"\xff\x0a":
        raise ImageError("damaged jxl file: no pixels")
    bits = _Bits(stream[2:])
    width, height = _size(bits)
    header = _Header(width, height)
    if bits.take(1):  # all as usual: 8 bits, sRGB
        return header
    if bits.take(1):  # further fields
        orientation = 1 + bits.take(3)
        if orientation >= 5:
            header.width, header.height = height, width
        if bits.take(1):
            _size(bits)
        if bits.take(1):
            raise ImageError("jxl files with a preview inside are not read")
        if bits.take(1):
            header.animated = True
            bits.choice((100, 0), (1000, 0), (1, 10), (1, 30))
            bits.choice((1, 0), (1001, 0), (1, 8), (1, 10))
            bits.choice((0, 0), (0, 3), (0, 16), (0, 32))
            bits.take(1)
    header.floating, header.bits = _depth(bits)
    bits.take(1)  # whether 16-bit buffers suffice
    for _ in range(bits.choice((0, 0), (1, 0), (2, 4), (1, 12))):
        if not _skip_extra_channel(bits):
            return header
    header.xyb = bool(bits.take(1))
    if bits.take(1):  # sRGB
        return header
    header.icc = bool(bits.take(1))
    space = _enumerated(bits)
    if header.icc:
        return header
    if space != 2:  # not XYB
        white = _enumerated(bits)
        if white == 2:
            return header  # of its own; seldom
        if space != 1:  # not grey
            header.primaries = _enumerated(bits)
            if header.primaries == 2:
                return header
            # Display P3 is a number of its own in H.273, here DCI's with the white of daylight.
            header.primaries = 12 if header.primaries == 11 and white == 1 else header.primaries
    if not bits.take(1):  # no gamma
        header.transfer = _enumerated(bits)
    return header


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.take(1)

    def side() -> int:
        return 8 * (1 + bits.take(5)) if small else bits.choice((1, 9), (1, 13), (1, 18), (1, 30))

    height = side()
    ratio = bits.take(3)
    if not ratio:
        return side(), height
    above, below = _RATIOS[ratio]
    return height * above // below, height


def _depth(bits: _Bits) -> tuple[bool, int]:
    if not bits.take(1):
        return False, bits.choice((8, 0), (10, 0), (12, 0), (1, 6))
    depth = bits.choice((32, 0), (16, 0), (24, 0), (1, 6))
    bits.take(4)
    return True, depth


def _skip_extra_channel(bits: _Bits) -> bool:
    """Whether it could be skipped: usual ones are 8-bit alpha; of others kind, depth and name follow."""
    if bits.take(1):
        return True
    kind = _enumerated(bits)
    _depth(bits)
    bits.choice((0, 0), (3, 0), (4, 0), (1, 3))
    for _ in range(bits.choice((0, 0), (0, 4), (16, 5), (48, 10))):
        bits.take(8)
    if kind == 0:
        bits.take(1)
    return kind in (0, 1, 3, 4)


def _enumerated(bits: _Bits) -> int:
    return bits.choice((0, 0), (1, 0), (2, 4), (18, 6))


def _metadata(found: list[tuple[bytes, bytes]]) -> tuple[bytes | None, About]:
    exif = xmp = None
    lost: list[str] = []
    for stored, body in found:
        kind, content = stored, body
        if kind == b"brob":
            import imagecodecs

            kind, content = body[:4], bytes(imagecodecs.brotli_decode(body[4:]))
        if kind == b"Exif" and len(content) > 8:
            exif = exif_block.normalise(content[4 + int.from_bytes(content[:4], "big") :])
            # The decoder has turned the picture by the codestream's word, which counts.
            exif = exif and exif_block.upright(exif)[1]
        elif kind == b"xml ":
            xmp = content
        elif kind in (b"jumb", b"jhgm"):
            lost.append({b"jumb": "content credentials (JUMBF)", b"jhgm": "gain map"}[kind])
    return exif, About(xmp=xmp, lost=tuple(lost))


def encode(picture: Picture, quality: int | None, lost: list[str]) -> bytes:
    """A JPEG XL file; the quality is 1 to 100, None lossless for what was so, else DEFAULT_QUALITY."""
    import imagecodecs

    quality = quality or (100 if picture.about.lossless else DEFAULT_QUALITY["jxl"])
    pixels = with_alpha(picture.samples, picture.alpha)
    pixels = pixels[..., 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels)
    options: dict[str, Any] = {"lossless": True} if quality == 100 else {"distance": _distance(quality)}
    stream = bytes(imagecodecs.jpegxl_encode(pixels, usecontainer=False, **options))
    exif = exif_with_resolution(picture)
    if not exif and not picture.about.xmp:
        return stream
    data = SIGNATURE + box(b"ftyp", b"jxl \0\0\0\0jxl ")
    if exif:
        data += box(b"Exif", bytes(4) + exif)
    if picture.about.xmp:
        data += box(b"xml ", picture.about.xmp)
    return data + box(b"jxlc", stream)


def _distance(quality: int) -> float:
    """Butteraugli's distance for JPEG's scale of quality, as cjxl has it."""
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09
    return min(_HIGHEST_DISTANCE, 53.0 / 3000.0 * quality**2 - 23.0 / 20.0 * quality + 25.0)
