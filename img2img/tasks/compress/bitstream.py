"""The `.i2i` file: bytes to header, metadata, alpha and coded tiles, and back. What the tiles mean the pipeline knows.

`docs/i2i.md` specifies it byte by byte. Version 2 is written, 1 and 2 are read: version 1 held each tile as a whole and
in squares, version 2 holds the first layer of all tiles, then the second, ..., and very small pictures losslessly.

No file may be slow to read: it has only as many tiles as its pixels allow, see `_check_tiles`.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ...errors import BitstreamError, FormatError, TooLargeError, TruncatedError
from ...images import MAX_PIXELS
from . import lossless

MAGIC = b"\x89i2i"
VERSION = 2
TILE_UNIT = 16
MAX_TILE = 1024  # side of a tile of version 1
TILE_PIXELS = 2**20  # of a tile at most, so that a reader's memory is bounded
PIXELS_A_TILE = 2**15  # at least, on average: tiles of 256 pixels take 1.5 times as long as those of 1024
SPARE_TILES, SPARE_LARGE_TILES = 2, 64  # beyond that; version 1 had strips in tiles that they fill little of
LEAST_SIDE = 8  # of a picture in tiles; a thinner one is stored losslessly
MAX_LAYERS = 16

_MAX_METADATA = 16 * 2**20
_MAX_VARINT = 2**32 - 1
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_ICC, _EXIF, _ALPHA, _TILES, _LOSSLESS = b"i", b"e", b"A", b"T", b"L"
_TITLES = {_ICC: "ICC profile", _EXIF: "EXIF block", _ALPHA: "alpha", _TILES: "tiles", _LOSSLESS: "lossless picture"}
_COLOUR, _DEEP = 1, 2
_PNG_SIGNATURE, _PNG_GREY = b"\x89PNG\r\n\x1a\n", 0
_LEAST_TILE = 9  # bytes of a tile without payload in version 1


@dataclass(frozen=True)
class Header:
    """What a file says of itself first.

    Args:
        width: in pixels.
        height: in pixels.
        channels: 1 for grey or 3 for RGB; alpha is not counted.
        bits: of a sample, 8 or 16.
        model: name of the model that its tiles are coded with; empty if the picture is stored losslessly.
        model_hash: first 8 bytes of the SHA-256 of the model's file of weights.
        rate: 0 to 65535, see Codec.
        tile: width and height of a tile in pixels, multiples of TILE_UNIT; those at the right and at the bottom are
            what is left.
        version: of the format.

    Raises:
        ValueError: a value that no file can have.
    """

    width: int
    height: int
    channels: int
    bits: int
    model: str = ""
    model_hash: bytes = b""
    rate: int = 0
    tile: tuple[int, int] = (0, 0)
    version: int = VERSION

    def __post_init__(self) -> None:
        if not all(1 <= side <= _MAX_VARINT for side in (self.width, self.height)):
            raise ValueError(f"{self.width}x{self.height} pixels cannot be")
        if self.channels not in (1, 3) or self.bits not in (8, 16) or not 0 <= self.rate <= 65535:
            raise ValueError(f"{self.channels} channels of {self.bits} bits at rate {self.rate} cannot be")
        if self.lossless and self.version > 1:
            if self.model_hash or self.rate or self.tile != (0, 0):
                raise ValueError("what is stored losslessly has neither a model's hash, nor a rate, nor tiles")
            return
        if not NAME.match(self.model) or len(self.model_hash) != 8:
            raise ValueError(f"a model has a name of 1 to 64 letters, digits or ._- and 8 bytes, not {self.model!r}")
        _check_tiles(self)

    @property
    def lossless(self) -> bool:
        """Whether the picture is stored as it is, without a model."""
        return not self.model

    @property
    def tile_count(self) -> int:
        """How many tiles cover the picture."""
        return 0 if self.lossless else count_tiles(self.width, self.height, self.tile)


def count_tiles(width: int, height: int, tile: tuple[int, int]) -> int:
    """How many tiles cover a picture."""
    return -(-width // tile[0]) * -(-height // tile[1])


def _check_tiles(header: Header) -> None:
    """Bound the work of a reader by the pixels of a picture.

    Raises:
        ValueError: the tiles are too large, too many, or in a picture too thin for them.
    """
    width, height = header.tile
    named, size = f"tiles of {width}x{height} pixels", f"{header.width}x{header.height} pixels"
    if min(width, height) < TILE_UNIT or width % TILE_UNIT or height % TILE_UNIT or width * height > TILE_PIXELS:
        raise ValueError(f"{named} cannot be")
    large = False
    if header.version == 1:
        if width != height:
            raise ValueError(f"{named} cannot be")
        large = width == MAX_TILE
    elif min(header.width, header.height) < LEAST_SIDE:
        raise ValueError(f"{size} in tiles cannot be: too thin")
    spare = SPARE_LARGE_TILES if large else SPARE_TILES
    if header.tile_count > spare + header.width * header.height // PIXELS_A_TILE:
        raise ValueError(f"{size} in {header.tile_count} tiles cannot be: too many")


class Tile(NamedTuple):
    """One tile's coded symbols.

    Args:
        layers: what is added to decode the first slice of latents, the second, ...; a tile of version 1 is one layer.
            Of a truncated file those that are there.
        check: CRC-32 of the symbols themselves.
    """

    layers: tuple[bytes, ...]
    check: int

    @property
    def payload(self) -> bytes:
        """What coder.Decoder takes: the layers, the first last."""
        return b"".join(self.layers)[::-1]


@dataclass(frozen=True, eq=False)
class Stream(Header):
    """Everything in a file.

    Args:
        icc: ICC profile.
        exif: EXIF block without JPEG's marker.
        alpha: (H, W), uint8 or uint16 as `bits` says.
        layers: of a whole tile.
        tiles: row by row from the top left, `tile_count` of them.
        samples: (H, W, C) of a picture that is stored losslessly.
        missing: how many bytes of the tiles a truncated file lacks; what they held is not in `tiles`.

    Raises:
        ValueError: these do not fit the header.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    alpha: np.ndarray | None = None
    layers: int = 1
    tiles: tuple[Tile, ...] = ()
    samples: np.ndarray | None = None
    missing: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        kind, shape = np.dtype(f"u{self.bits // 8}"), (self.height, self.width)
        for what, array, wanted in (("alpha", self.alpha, shape), ("samples", self.samples, (*shape, self.channels))):
            if array is not None and (array.shape != wanted or array.dtype != kind):
                raise ValueError(f"{what} must be {kind} {wanted}, not {array.dtype} {array.shape}")
        if self.lossless != (self.samples is not None):
            raise ValueError("samples are for what is stored losslessly, and only for that")
        if len(self.tiles) != self.tile_count:
            raise ValueError(f"this picture has {self.tile_count} tiles, not {len(self.tiles)}")
        if not 1 <= self.layers <= MAX_LAYERS or (not self.missing and self.incomplete):
            raise ValueError(f"tiles have 1 to {MAX_LAYERS} layers, and all of a picture's have as many")

    @property
    def incomplete(self) -> int:
        """How many tiles lack layers."""
        return sum(len(tile.layers) != self.layers for tile in self.tiles)


def write_stream(stream: Stream) -> bytes:
    """The bytes of a file.

    Raises:
        BitstreamError: the metadata are larger than a file can hold.
    """
    if stream.version != VERSION:
        stream = replace(stream, version=VERSION)  # which checks it anew
    parts = [_pack_header(stream)]
    for kind, content in ((_ICC, stream.icc), (_EXIF, stream.exif)):
        if content is not None:
            if len(content) > _MAX_METADATA:
                raise BitstreamError(f"the {_TITLES[kind]} is larger than the 16 MiB that an .i2i file holds")
            parts.append(_pack_section(kind, content))
    if stream.alpha is not None:
        parts.append(_pack_section(_ALPHA, lossless.encode_png(stream.alpha)))
    if stream.samples is not None:
        content = lossless.encode(stream.samples)
        parts.append(_with_crc(_LOSSLESS + _varint(len(content)) + content))
    else:
        parts += _pack_tiles(stream)
    return b"".join(parts)


def _pack_tiles(stream: Stream) -> list[bytes]:
    layers = [tile.layers[i] for i in range(stream.layers) for tile in stream.tiles]
    lengths = b"".join(_varint(len(layer)) for layer in layers)
    checks = b"".join(struct.pack("<I", tile.check) for tile in stream.tiles)
    return [_with_crc(_TILES + _varint(stream.layers) + lengths + checks), _with_crc(b"".join(layers))]


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
    contents = {kind: content for kind, _, content in _sections(cursor, header)}
    return Metadata(header, *_profiles(contents), alpha=_ALPHA in contents)


def section_sizes(data: bytes) -> dict[str, int]:
    """Bytes of each part of a file, nothing is decoded: `header`, `ICC profile`, `EXIF block`, `alpha`, `tiles`.

    `lossless picture` instead of `tiles` if it has none.

    Raises:
        BitstreamError: see read_stream; the tiles and alpha themselves are not looked into.
    """
    cursor = _Cursor(data)
    header = _unpack_header(cursor)
    sizes = {"header": cursor.position}
    for kind, start, _ in _sections(cursor, header):
        sizes[_TITLES[kind]] = cursor.position - start
    return sizes if header.lossless else sizes | {_TITLES[_TILES]: len(data) - cursor.position + len(_TILES)}


def read_stream(data: bytes, max_pixels: int = MAX_PIXELS, partial: bool = False) -> Stream:
    """Take a file apart. All checksums are verified, and nothing is read or allocated by an unchecked number.

    Args:
        data: a whole file.
        max_pixels: a larger picture is refused before anything of it is decoded.
        partial: of a file that ends within its tiles take what is there.

    Raises:
        BitstreamError: not an .i2i file, of a newer version, truncated, damaged, or too large; one line without path.
    """
    cursor = _Cursor(data)
    header = _unpack_header(cursor)
    _check_size(header, max_pixels)
    contents = {kind: content for kind, _, content in _sections(cursor, header)}
    tiles = _NO_TILES
    if not header.lossless:
        tiles = (
            _whole_tiles(cursor, header, partial) if header.version == 1 else _layered_tiles(cursor, header, partial)
        )
    if cursor.left:
        raise BitstreamError(f"damaged .i2i file: {cursor.left} bytes too many after the end of the picture")
    icc, exif = _profiles(contents)
    alpha = _decode_alpha(contents[_ALPHA], header) if _ALPHA in contents else None
    samples = None
    if header.lossless:
        kind = header.width, header.height, header.channels, header.bits
        samples = lossless.decode(contents[_LOSSLESS], *kind, "the picture")
    return Stream(**vars(header), **tiles._asdict(), icc=icc, exif=exif, alpha=alpha, samples=samples)


def _profiles(contents: dict[bytes, bytes]) -> tuple[bytes | None, bytes | None]:
    icc, exif = (
        _inflate(contents[kind], _MAX_METADATA, f"the {_TITLES[kind]}") if kind in contents else None
        for kind in (_ICC, _EXIF)
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
            raise TruncatedError(f"truncated .i2i file: it ends within {what}")
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
        raise FormatError("empty file")
    if cursor.take(min(len(MAGIC), cursor.left), "the header") != MAGIC:
        raise FormatError("not an .i2i file")
    (version,) = cursor.take(1, "the header")
    if version > VERSION:
        raise BitstreamError(
            f"version {version} of the .i2i format, made by a newer img2img; this one reads version {VERSION}"
        )
    name = cursor.take(cursor.take(1, "the header")[0], "the header")
    coded = bool(name) or version < 2
    model_hash = cursor.take(8, "the header") if coded else b""
    width, height = cursor.varint("the header"), cursor.varint("the header")
    (flags,) = cursor.take(1, "the header")
    rate, tile = 0, (0, 0)
    if coded:
        (rate,) = struct.unpack("<H", cursor.take(2, "the header"))
        tile = _unpack_tile(cursor, version)
    cursor.verify(0, "the header")
    if not 1 <= version <= VERSION or flags & ~(_COLOUR | _DEEP):
        raise BitstreamError(f"damaged .i2i file: there is no version {version} with flags {flags}")
    channels, bits = 3 if flags & _COLOUR else 1, 16 if flags & _DEEP else 8
    try:
        return Header(width, height, channels, bits, name.decode("ascii", "replace"), model_hash, rate, tile, version)
    except ValueError as error:
        raise BitstreamError(f"damaged .i2i file: {error}") from error


def _unpack_tile(cursor: _Cursor, version: int) -> tuple[int, int]:
    if version < 2:
        side = cursor.varint("the header")
        return side, side
    return cursor.varint("the header") * TILE_UNIT, cursor.varint("the header") * TILE_UNIT


def _pack_header(header: Header) -> bytes:
    flags = (_COLOUR if header.channels == 3 else 0) | (_DEEP if header.bits == 16 else 0)
    name = header.model.encode("ascii")
    size = _varint(header.width) + _varint(header.height) + bytes([flags])
    fields = struct.pack("<BB", VERSION, len(name)) + name + header.model_hash + size
    if not header.lossless:
        fields += struct.pack("<H", header.rate) + b"".join(_varint(side // TILE_UNIT) for side in header.tile)
    return _with_crc(MAGIC + fields)


def _check_size(header: Header, max_pixels: int) -> None:
    pixels = header.width * header.height
    if pixels > max_pixels:
        raise TooLargeError(
            f"{header.width}x{header.height} = {pixels / 1e6:.4g} megapixels, more than the limit of "
            f"{max_pixels / 1e6:.4g}; raise {{0}}",
            "max_pixels",
        )


def _sections(cursor: _Cursor, header: Header) -> Iterator[tuple[bytes, int, bytes]]:
    """Kind, start and content of each section of a known kind, up to the tiles, whose kind is read, too.

    A lossless picture comes instead of the tiles.
    """
    met: set[bytes] = set()
    while _LOSSLESS not in met:
        start, kind = cursor.position, cursor.take(1, "the list of sections")
        if kind in (_TILES, _LOSSLESS) and (kind == _LOSSLESS) != header.lossless:
            raise BitstreamError(f"damaged .i2i file: the header says nothing of the {_TITLES[kind]}")
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


class _Tiles(NamedTuple):
    """The fields of Stream about tiles."""

    layers: int
    tiles: tuple[Tile, ...]
    missing: int


_NO_TILES = _Tiles(1, (), 0)


def _whole_tiles(cursor: _Cursor, header: Header, partial: bool) -> _Tiles:
    """The tiles of version 1: each by itself with its length and checksums."""
    count, tiles = header.tile_count, []
    if count * _LEAST_TILE > cursor.left and not partial:
        raise TruncatedError(f"truncated .i2i file: {cursor.left} bytes cannot hold {count} tiles")
    for number in range(1, count + 1):
        what, start = f"tile {number} of {count}", cursor.position
        try:
            length = cursor.varint(what)
            (check,) = struct.unpack("<I", cursor.take(4, what))
            payload = cursor.take(length, what)
            cursor.verify(start, what)
        except TruncatedError:
            if not partial:
                raise
            cursor.take(cursor.left, what)
            break
        tiles.append(Tile((payload[::-1],), check))
    missing = count - len(tiles)
    return _Tiles(1, (*tiles, *[Tile((), 0)] * missing), _LEAST_TILE * missing)


def _layered_tiles(cursor: _Cursor, header: Header, partial: bool) -> _Tiles:
    """The tiles of version 2: lengths and checks of all, then the first layer of each, the second of each, ..."""
    what, start, count = "the table of tiles", cursor.position - len(_TILES), header.tile_count
    layers = cursor.varint(what)
    if not 1 <= layers <= MAX_LAYERS:
        raise BitstreamError(f"damaged .i2i file: tiles have 1 to {MAX_LAYERS} layers, not {layers}")
    if count * (layers + 4) > cursor.left:
        raise TruncatedError(f"truncated .i2i file: {cursor.left} bytes cannot hold {count} tiles")
    lengths = [cursor.varint(what) for _ in range(layers * count)]
    checks = struct.unpack(f"<{count}I", cursor.take(4 * count, what))
    cursor.verify(start, what)
    begin, missing = cursor.position, sum(lengths) + 4 - cursor.left
    if missing > 0 and not partial:
        raise TruncatedError(
            f"truncated .i2i file: the last {missing} bytes are missing; {{0}} shows the others", "partial"
        )
    found: list[tuple[bytes, ...]] = [()] * count
    for i, length in enumerate(lengths):
        if length > cursor.left:
            cursor.take(cursor.left, what)
            break
        found[i % count] += (cursor.take(length, what),)
    if missing <= 0:
        cursor.verify(begin, "the tiles")
    else:
        cursor.take(cursor.left, what)
    return _Tiles(layers, tuple(map(Tile, found, checks)), max(0, missing))


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


def _decode_alpha(content: bytes, header: Header) -> np.ndarray:
    raw = header.height * (header.width * header.bits // 8 + 1)
    png = _inflate(content, raw + raw // 16 + 2**16, "the alpha")
    ihdr = struct.pack(">I4sIIBB", 13, b"IHDR", header.width, header.height, header.bits, _PNG_GREY)
    if not png.startswith(_PNG_SIGNATURE + ihdr):
        raise BitstreamError("damaged .i2i file: the alpha is no grey PNG of the picture's size and bits")
    return lossless.decode(png, header.width, header.height, 1, header.bits, "the alpha")[..., 0]


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _with_crc(data: bytes) -> bytes:
    return data + struct.pack("<I", zlib.crc32(data))
