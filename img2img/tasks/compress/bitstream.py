"""The `.i2i` file: bytes to header, metadata, alpha and coded tiles, and back. What the tiles mean the pipeline knows.

Numbers are little-endian and unsigned; a varint has 7 bits a byte, lowest first, the top bit set in all bytes but the
last; it is as short as can be and below 2**32. A CRC is CRC-32 as in PNG and zlib.

=========  ===========================================================================================================
bytes      file
=========  ===========================================================================================================
4          magic: 89 69 32 69 (hexadecimal)
1          version of the format: 1
1, n       length and name of the model, 1 to 64 of a-z A-Z 0-9 . _ -
8          first bytes of the SHA-256 of the model's file of weights
varint     width in pixels, at least 1
varint     height
1          flags: 1 colour (else grey), 2 16 bits a sample (else 8); all others 0
2          rate: 0 (fewest bits) to 65535 (most)
varint     side of a tile in pixels, a multiple of 16 from 16 to 1024, so that a reader's memory is bounded; at most
           2 + width * height / 2^15 tiles, with a side of 1024 at most 64 + that, so that its time is bounded, too
4          CRC of everything so far
sections   any number, each kind at most once
tiles      one section of kind T; the file ends with it
=========  ===========================================================================================================

=========  ===========================================================================================================
bytes      section
=========  ===========================================================================================================
1          kind, an ASCII letter; one that a reader does not know it skips if it is a small letter, else it gives up
varint, n  length and content
4          CRC of kind, length and content
=========  ===========================================================================================================

=========  ===========================================================================================================
kind       content
=========  ===========================================================================================================
i          ICC profile, compressed by zlib; at most 16 MiB
e          EXIF block without JPEG's marker, compressed by zlib; at most 16 MiB
A          alpha, a grey PNG of the picture's size and bits, compressed by zlib (which shortens what is constant)
T          no length and no CRC of its own; but for each tile, row by row from the top left:
           varint, the length n of its payload;
           4 bytes, the CRC of its decoded symbols as 32-bit integers, in the order in which they are coded;
           n bytes, the payload, see coder.py;
           4 bytes, the CRC of these three.
=========  ===========================================================================================================
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import NamedTuple

import numpy as np

from ...errors import BitstreamError, ImageError
from ...images import MAX_PIXELS, read_picture

MAGIC = b"\x89i2i"
VERSION = 1
MAX_TILE, TILE_UNIT = 1024, 16
PIXELS_A_TILE = 2**15  # at least, on average: tiles of 256 pixels take 1.5 times as long as those of 1024
SPARE_TILES, SPARE_LARGE_TILES = 2, 64  # beyond that; strips are in tiles of MAX_TILE, though they fill little of them

_MAX_METADATA = 16 * 2**20
_MAX_VARINT = 2**32 - 1
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_ICC, _EXIF, _ALPHA, _TILES = b"i", b"e", b"A", b"T"
_TITLES = {_ICC: "ICC profile", _EXIF: "EXIF block", _ALPHA: "alpha", _TILES: "tiles"}
_COLOUR, _DEEP = 1, 2
_PNG_SIGNATURE, _PNG_GREY = b"\x89PNG\r\n\x1a\n", 0
_LEAST_TILE = 9  # bytes of a tile without payload


@dataclass(frozen=True)
class Header:
    """What a file says of itself first.

    Args:
        model: name of the model that its tiles are coded with.
        model_hash: first 8 bytes of the SHA-256 of the model's file of weights.
        width: in pixels.
        height: in pixels.
        channels: 1 for grey or 3 for RGB; alpha is not counted.
        bits: of a sample, 8 or 16.
        rate: 0 to 65535, see Codec.
        tile: side of a tile in pixels, a multiple of TILE_UNIT up to MAX_TILE; those at the right and at the bottom
            are what is left.

    Raises:
        ValueError: a value that no file can have.
    """

    model: str
    model_hash: bytes
    width: int
    height: int
    channels: int
    bits: int
    rate: int
    tile: int

    def __post_init__(self) -> None:
        if not NAME.match(self.model) or len(self.model_hash) != 8:
            raise ValueError(f"a model has a name of 1 to 64 letters, digits or ._- and 8 bytes, not {self.model!r}")
        if not all(1 <= side <= _MAX_VARINT for side in (self.width, self.height)):
            raise ValueError(f"{self.width}x{self.height} pixels cannot be")
        if not 1 <= self.tile <= MAX_TILE or self.tile % TILE_UNIT:
            raise ValueError(f"tiles of {self.tile} pixels cannot be")
        if self.channels not in (1, 3) or self.bits not in (8, 16) or not 0 <= self.rate <= 65535:
            raise ValueError(f"{self.channels} channels of {self.bits} bits at rate {self.rate} cannot be")
        if not may_have(self.width, self.height, self.tile):
            raise ValueError(f"{self.width}x{self.height} pixels in {self.tile_count} tiles cannot be: too many")

    @property
    def tile_count(self) -> int:
        """How many tiles cover the picture."""
        return count_tiles(self.width, self.height, self.tile)


def count_tiles(width: int, height: int, tile: int) -> int:
    """How many tiles of a side cover a picture."""
    return -(-width // tile) * -(-height // tile)


def may_have(width: int, height: int, tile: int) -> bool:
    """Whether a file may hold a picture in tiles of this side: if they are so many that they cost much, it may not."""
    spare = SPARE_LARGE_TILES if tile == MAX_TILE else SPARE_TILES
    return count_tiles(width, height, tile) <= spare + width * height // PIXELS_A_TILE


class Tile(NamedTuple):
    """One tile's coded symbols, and the CRC-32 of the symbols themselves."""

    payload: bytes
    check: int


@dataclass(frozen=True, eq=False)
class Stream(Header):
    """Everything in a file.

    Args:
        icc: ICC profile.
        exif: EXIF block without JPEG's marker.
        alpha: (H, W), uint8 or uint16 as `bits` says.
        tiles: row by row from the top left, `tile_count` of them.

    Raises:
        ValueError: these do not fit the header.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    alpha: np.ndarray | None = None
    tiles: tuple[Tile, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        kind, shape, alpha = np.dtype(f"u{self.bits // 8}"), (self.height, self.width), self.alpha
        if alpha is not None and (alpha.shape != shape or alpha.dtype != kind):
            raise ValueError(f"alpha must be {kind} {shape}, not {alpha.dtype} {alpha.shape}")
        if len(self.tiles) != self.tile_count:
            raise ValueError(f"this picture has {self.tile_count} tiles, not {len(self.tiles)}")


def write_stream(stream: Stream) -> bytes:
    """The bytes of a file.

    Raises:
        BitstreamError: the metadata are larger than a file can hold.
    """
    parts = [_pack_header(stream)]
    for kind, content in ((_ICC, stream.icc), (_EXIF, stream.exif)):
        if content is not None:
            if len(content) > _MAX_METADATA:
                raise BitstreamError(f"the {_TITLES[kind]} is larger than the 16 MiB that an .i2i file holds")
            parts.append(_pack_section(kind, content))
    if stream.alpha is not None:
        parts.append(_pack_section(_ALPHA, _encode_alpha(stream.alpha)))
    parts.append(_TILES)
    parts += [
        _with_crc(_varint(len(tile.payload)) + struct.pack("<I", tile.check) + tile.payload) for tile in stream.tiles
    ]
    return b"".join(parts)


def read_header(data: bytes) -> Header:
    """What a file says of itself; its first 100 bytes are enough.

    Raises:
        BitstreamError: not an .i2i file, of a newer version, truncated or damaged in the header.
    """
    return _unpack_header(_Cursor(data))


class Metadata(NamedTuple):
    """What a file holds beside its pixels; whether there is alpha, but not alpha itself."""

    header: Header
    icc: bytes | None
    exif: bytes | None
    alpha: bool


def read_metadata(data: bytes) -> Metadata:
    """Header, ICC profile and EXIF block of a file; alpha and tiles are not looked into.

    Raises:
        BitstreamError: see read_stream.
    """
    cursor = _Cursor(data)
    header = _unpack_header(cursor)
    contents = {kind: content for kind, _, content in _sections(cursor)}
    return Metadata(header, *_profiles(contents), alpha=_ALPHA in contents)


def section_sizes(data: bytes) -> dict[str, int]:
    """Bytes of each part of a file: `header`, `ICC profile`, `EXIF block`, `alpha`, `tiles`; nothing is decoded.

    Raises:
        BitstreamError: see read_stream; the tiles and alpha themselves are not looked into.
    """
    cursor = _Cursor(data)
    _unpack_header(cursor)
    sizes = {"header": cursor.position}
    for kind, start, _ in _sections(cursor):
        sizes[_TITLES[kind]] = cursor.position - start
    return sizes | {_TITLES[_TILES]: len(data) - cursor.position + len(_TILES)}


def read_stream(data: bytes, max_pixels: int = MAX_PIXELS) -> Stream:
    """Take a file apart. All checksums are verified, and nothing is read or allocated by an unchecked number.

    Args:
        data: a whole file.
        max_pixels: a larger picture is refused before anything of it is decoded.

    Raises:
        BitstreamError: not an .i2i file, of a newer version, truncated, damaged, or too large; one line without path.
    """
    cursor = _Cursor(data)
    header = _unpack_header(cursor)
    _check_size(header, max_pixels)
    contents = {kind: content for kind, _, content in _sections(cursor)}
    tiles = tuple(_tiles(cursor, header.tile_count))
    icc, exif = (
        _inflate(contents[kind], _MAX_METADATA, f"the {_TITLES[kind]}") if kind in contents else None
        for kind in (_ICC, _EXIF)
    )
    alpha = _decode_alpha(contents[_ALPHA], header) if _ALPHA in contents else None
    return Stream(**vars(header), icc=icc, exif=exif, alpha=alpha, tiles=tiles)


def _profiles(contents: dict[bytes, bytes]) -> tuple[bytes | None, bytes | None]:
    icc, exif = (
        _inflate(contents[kind], _MAX_METADATA, _TITLES[kind]) if kind in contents else None for kind in (_ICC, _EXIF)
    )
    return icc, exif


class _Cursor:
    """Reads forward through the bytes and never beyond them."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self.position = 0

    @property
    def left(self) -> int:
        return len(self._data) - self.position

    def take(self, count: int, what: str) -> bytes:
        if count > self.left:
            raise BitstreamError(f"truncated .i2i file: it ends within {what}")
        self.position += count
        return bytes(self._data[self.position - count : self.position])

    def varint(self, what: str) -> int:
        value = 0
        for shift in range(0, 35, 7):
            (byte,) = self.take(1, what)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value > _MAX_VARINT or (shift and not byte):
                    break
                return value
        raise BitstreamError(f"damaged .i2i file: a number in {what} is none")

    def verify(self, start: int, what: str) -> None:
        """Read the CRC of all bytes from `start` to here."""
        found = zlib.crc32(self._data[start : self.position])
        if struct.unpack("<I", self.take(4, what))[0] != found:
            raise BitstreamError(f"damaged .i2i file: wrong checksum of {what}")


def _unpack_header(cursor: _Cursor) -> Header:
    if not cursor.left:
        raise BitstreamError("empty file")
    if cursor.take(min(len(MAGIC), cursor.left), "the header") != MAGIC:
        raise BitstreamError("not an .i2i file")
    (version,) = cursor.take(1, "the header")
    if version > VERSION:
        raise BitstreamError(
            f"version {version} of the .i2i format, made by a newer img2img; this one reads version {VERSION}"
        )
    name = cursor.take(cursor.take(1, "the header")[0], "the header")
    model_hash = cursor.take(8, "the header")
    width, height = cursor.varint("the header"), cursor.varint("the header")
    (flags,) = cursor.take(1, "the header")
    (rate,) = struct.unpack("<H", cursor.take(2, "the header"))
    tile = cursor.varint("the header")
    cursor.verify(0, "the header")
    if version != VERSION or flags & ~(_COLOUR | _DEEP):
        raise BitstreamError(f"damaged .i2i file: there is no version {version} with flags {flags}")
    channels, bits = 3 if flags & _COLOUR else 1, 16 if flags & _DEEP else 8
    try:
        return Header(name.decode("ascii", "replace"), model_hash, width, height, channels, bits, rate, tile)
    except ValueError as error:
        raise BitstreamError(f"damaged .i2i file: {error}") from error


def _pack_header(header: Header) -> bytes:
    flags = (_COLOUR if header.channels == 3 else 0) | (_DEEP if header.bits == 16 else 0)
    name = header.model.encode("ascii")
    return _with_crc(
        MAGIC
        + struct.pack("<BB", VERSION, len(name))
        + name
        + header.model_hash
        + _varint(header.width)
        + _varint(header.height)
        + struct.pack("<BH", flags, header.rate)
        + _varint(header.tile)
    )


def _check_size(header: Header, max_pixels: int) -> None:
    pixels = header.width * header.height
    if pixels > max_pixels:
        raise BitstreamError(
            f"{header.width}x{header.height} = {pixels / 1e6:.1f} megapixels, more than the limit of "
            f"{max_pixels / 1e6:.1f}; raise --max-pixels"
        )


def _sections(cursor: _Cursor) -> Iterator[tuple[bytes, int, bytes]]:
    """Kind, start and content of each section of a known kind, up to the tiles, whose kind is read, too."""
    met = set()
    while True:
        start, kind = cursor.position, cursor.take(1, "the list of sections")
        if kind == _TILES:
            return
        what = f"the {_TITLES[kind]}" if kind in _TITLES else f"the section of kind {ascii(kind)[1:]}"
        content = cursor.take(cursor.varint(what), what)
        cursor.verify(start, what)
        if kind in met:
            raise BitstreamError(f"damaged .i2i file: {what} twice")
        met.add(kind)
        if kind in _TITLES:
            yield kind, start, content
        elif not kind.islower():
            raise BitstreamError(f"made by a newer img2img: this one does not know {what}")


def _pack_section(kind: bytes, content: bytes) -> bytes:
    compressed = zlib.compress(content, 9)
    return _with_crc(kind + _varint(len(compressed)) + compressed)


def _tiles(cursor: _Cursor, count: int) -> Iterator[Tile]:
    if count * _LEAST_TILE > cursor.left:
        raise BitstreamError(f"truncated .i2i file: {cursor.left} bytes cannot hold {count} tiles")
    for number in range(1, count + 1):
        what, start = f"tile {number} of {count}", cursor.position
        length = cursor.varint(what)
        (check,) = struct.unpack("<I", cursor.take(4, what))
        payload = cursor.take(length, what)
        cursor.verify(start, what)
        yield Tile(payload, check)
    if cursor.left:
        raise BitstreamError(f"damaged .i2i file: {cursor.left} bytes too many after the last tile")


def _inflate(content: bytes, limit: int, what: str) -> bytes:
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(content, limit + 1)
    except zlib.error as error:
        raise BitstreamError(f"damaged .i2i file: {what} cannot be decompressed") from error
    if len(inflated) > limit:
        raise BitstreamError(f"damaged .i2i file: {what} is larger than {limit} bytes")
    if not inflater.eof or inflater.unused_data:
        raise BitstreamError(f"damaged .i2i file: {what} has a wrong length")
    return inflated


def _encode_alpha(alpha: np.ndarray) -> bytes:
    import imagecodecs

    # Not by write_picture, which is in haste: masks become half as long. By way of one dimension, as there.
    return bytes(imagecodecs.png_encode(np.ravel(alpha).reshape(alpha.shape), level=9))


def _decode_alpha(content: bytes, header: Header) -> np.ndarray:
    raw = header.height * (header.width * header.bits // 8 + 1)
    png = _inflate(content, raw + raw // 16 + 2**16, "the alpha")
    ihdr = struct.pack(">I4sIIBB", 13, b"IHDR", header.width, header.height, header.bits, _PNG_GREY)
    if not png.startswith(_PNG_SIGNATURE + ihdr):
        raise BitstreamError("damaged .i2i file: the alpha is no grey PNG of the picture's size and bits")
    try:
        picture = read_picture(BytesIO(png), max_pixels=header.width * header.height)
    except ImageError as error:
        raise BitstreamError(f"damaged .i2i file: the alpha is no whole PNG: {error}") from error
    if picture.alpha is not None or (picture.height, picture.width) != (header.height, header.width):
        raise BitstreamError("damaged .i2i file: the alpha is a PNG that is transparent or turned")
    return picture.samples[..., 0]


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _with_crc(data: bytes) -> bytes:
    return data + struct.pack("<I", zlib.crc32(data))
