"""Boxes of the ISO base media file format, in which JPEG XL, JPEG 2000 and HEIF keep what is not pixels."""

from __future__ import annotations

import struct
from collections.abc import Iterator

EXIF_ID = b"JpgTiffExif->JP2"
XMP_ID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
IPTC_ID = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each box that is whole."""
    position, end = start, len(data) if end is None else end
    while position + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, position)
        head = 8
        if length == 1 and position + 16 <= end:
            (length,) = struct.unpack_from(">Q", data, position + 8)
            head = 16
        elif not length:  # up to the end of the file
            length = end - position
        if length < head or position + length > end:
            return
        yield kind, data[position + head : position + length]
        position += length


def box(kind: bytes, content: bytes) -> bytes:
    """A box's bytes."""
    if len(content) + 8 < 2**32:
        return struct.pack(">I4s", len(content) + 8, kind) + content
    return struct.pack(">I4sQ", 1, kind, len(content) + 16) + content
