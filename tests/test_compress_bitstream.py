"""The container of `.i2i` files: what goes in comes out, and no damage gets through or costs anything."""

import random
import struct
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.errors import BitstreamError, TruncatedError
from img2img.tasks.compress import lossless
from img2img.tasks.compress.bitstream import (
    MAGIC,
    MAX_TILE,
    Stream,
    Tile,
    read_header,
    read_stream,
    section_sizes,
    write_stream,
)

HASH = bytes(range(8))
# full_stream() when version 1 was new. zlib may one day write other bytes; it will read these.
FIRST_FILE = """
    89693269010a636f6465632d66617374000102030405060728180100802021685883691278da2b28ca4fcbcc492d20930200
    51571a7aec5b08c8650d78daf3f4d462c00f00187d00bdd10650d4416a78daeb0cf073e7e592e2626060e0f5f4700902d21a
    402cc1012418d6be7f2003a4f43c5d1c4334ce27a724a8086508acec4be5d048f9e3b0c6a9f3e193d7ec47b49e48b8ed53b3
    aba813581d90f8a19a8d21b48673e141cf639c20133c5dfd5cd6392534010056de1edf9734cdb4540affffffffcd072cd8be
    6f9f6209c2da4e37700bfefffffff5b165224a58b7916af1d875fbe274
"""


def stream_of(
    width: int = 40, height: int = 24, tile: tuple[int, int] = (32, 32), bits: int = 8, layers: int = 1, **others: Any
) -> Stream:
    """A picture in tiles with layers of 10, 11, ... bytes."""
    header = {"model": "codec-fast", "model_hash": HASH, "channels": 3, "rate": 32768} | others
    count = -(-width // tile[0]) * -(-height // tile[1])
    tiles = tuple(
        Tile(tuple(random.Random(i + k).randbytes(10 + i % 200 + k) for k in range(layers)), 2**32 - 1 - i)
        for i in range(count)
    )
    fields = {"tiles": tiles, "layers": layers} | header
    return Stream(width=width, height=height, tile=tile, bits=bits, **fields)


def lossless_stream(width: int = 40, height: int = 24, channels: int = 3, bits: int = 8, **others: Any) -> Stream:
    """A picture without a model."""
    shape = (height, width, channels)
    samples = np.random.default_rng(width).integers(0, 2**bits, shape).astype(f"u{bits // 8}")
    return Stream(width=width, height=height, channels=channels, bits=bits, samples=samples, **others)


def full_stream() -> Stream:
    """All kinds of sections and two tiles."""
    alpha = np.arange(40 * 24, dtype=np.uint8).reshape(24, 40)
    return stream_of(icc=b"profile" * 9, exif=b"II*\0" + bytes(30), alpha=alpha)


def closed(data: bytes) -> bytes:
    """With its checksum."""
    return data + struct.pack("<I", zlib.crc32(data))


def varint(value: int) -> bytes:
    return bytes([value & 127 | 128]) + varint(value >> 7) if value > 127 else bytes([value])


def header_bytes(
    width: int = 40, height: int = 24, tile: int = 32, flags: int = 1, version: int = 1, name: bytes = b"codec-fast"
) -> bytes:
    sides = varint(width) + varint(height)
    fields = bytes([version, len(name)]) + name + HASH + sides + bytes([flags]) + b"\0\x80" + varint(tile)
    return closed(b"\x89i2i" + fields)


def section(kind: bytes, content: bytes, compressed: bool = True) -> bytes:
    content = zlib.compress(content) if compressed else content
    return closed(kind + varint(len(content)) + content)


def tile_bytes(payload: bytes, check: int = 7) -> bytes:
    """Of version 1."""
    return closed(varint(len(payload)) + struct.pack("<I", check) + payload)


TILES = b"T" + tile_bytes(b"one") + tile_bytes(b"two")


def new_header(width: int = 40, height: int = 24, tile: tuple[int, int] = (2, 2), name: bytes = b"codec-fast") -> bytes:
    """Of version 2; the tile in units of 16 pixels. Without a name of a picture that is stored losslessly."""
    fields = bytes([2, len(name)]) + name + (HASH if name else b"") + varint(width) + varint(height) + b"\1"
    return closed(b"\x89i2i" + fields + (b"\0\x80" + varint(tile[0]) + varint(tile[1]) if name else b""))


def layer_bytes(*layers: tuple[bytes, ...], checks: tuple[int, ...] = (7, 7), count: int | None = None) -> bytes:
    """Layer after layer, each of it with the bytes of every tile."""
    lengths = b"".join(varint(len(piece)) for layer in layers for piece in layer)
    table = b"T" + varint(len(layers) if count is None else count) + lengths + struct.pack(f"<{len(checks)}I", *checks)
    return closed(table) + closed(b"".join(piece for layer in layers for piece in layer))


LAYERS = layer_bytes((b"one", b"two"), (b"", b"more"))


def grey_png(height: int = 24, width: int = 40, kind: str = "u1", chunks: bytes = b"") -> bytes:
    data = bytes(imagecodecs.png_encode(np.ones((height, width), kind)))
    return data[:33] + chunks + data[33:]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def assert_equal(one: Stream, other: Stream) -> None:
    none = {"alpha": None, "samples": None}
    assert vars(one) | none == vars(other) | none
    for mine, theirs in ((one.alpha, other.alpha), (one.samples, other.samples)):
        assert (mine is None) == (theirs is None)
        if mine is not None and theirs is not None:
            np.testing.assert_array_equal(mine, theirs)
            assert mine.dtype == theirs.dtype


@contextmanager
def frugal(limit: int = 2**20) -> Iterator[None]:
    """Neither more than a second nor more than `limit` bytes."""
    tracemalloc.start()
    start = time.perf_counter()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
        assert time.perf_counter() - start < 1
    finally:
        tracemalloc.stop()


# --- Round trips ---


@settings(max_examples=80, deadline=None)
@given(
    width=st.integers(8, 120), height=st.integers(8, 60), layers=st.integers(1, 5),
    tile=st.sampled_from([(64, 64), (80, 96), (128, 64), (2048, 512)]),
    channels=st.sampled_from([1, 3]), bits=st.sampled_from([8, 16]), rate=st.integers(0, 65535), alpha=st.booleans(),
    icc=st.none() | st.binary(max_size=300), exif=st.none() | st.binary(max_size=300),
)  # fmt: skip
def test_everything_comes_back(width: int, height: int, bits: int, alpha: bool, **others: Any) -> None:
    samples = np.random.default_rng(width).integers(0, 2**bits, (height, width)).astype(f"u{bits // 8}")
    stream = stream_of(width, height, bits=bits, alpha=samples if alpha else None, **others)
    data = write_stream(stream)
    assert_equal(read_stream(data), stream)
    assert vars(read_header(data)).items() <= vars(stream).items()


def test_the_bytes_are_as_described() -> None:
    alpha = np.arange(24 * 40, dtype=np.uint8).reshape(24, 40)
    png = bytes(imagecodecs.png_encode(alpha))
    metadata = section(b"e", b"EXIF") + section(b"i", b"profile") + section(b"A", png)
    data = header_bytes() + metadata + b"T" + tile_bytes(b"one", 1) + tile_bytes(b"", 2**32 - 1)
    expected = stream_of(
        exif=b"EXIF", icc=b"profile", alpha=alpha, tiles=(Tile((b"eno",), 1), Tile((b"",), 2**32 - 1)), version=1
    )
    assert_equal(read_stream(data), expected)
    data = new_header() + metadata + layer_bytes((b"one", b"two"), (b"", b"more"), checks=(1, 2**32 - 1))
    tiles = (Tile((b"one", b""), 1), Tile((b"two", b"more"), 2**32 - 1))
    assert_equal(read_stream(data), replace(expected, version=2, layers=2, tiles=tiles))
    assert tiles[1].payload == b"eromowt"


def test_the_first_files_stay_readable() -> None:
    """Version 1 as it was written first: if this fails, files are lost."""
    turned = tuple(Tile((tile.layers[0][::-1],), tile.check) for tile in full_stream().tiles)
    assert_equal(read_stream(bytes.fromhex(FIRST_FILE)), replace(full_stream(), version=1, tiles=turned))


def test_a_small_file_has_little_around_its_payload() -> None:
    tile = Tile((bytes(1000),) * 5, 1)
    size = len(write_stream(stream_of(768, 512, tile=(768, 512), layers=5, tiles=(tile,))))
    assert size < 5000 + 64
    opaque = np.full((512, 768), 255, np.uint8)
    file = write_stream(stream_of(768, 512, tile=(768, 512), layers=5, tiles=(tile,), alpha=opaque))
    assert len(file) < size + 200


def test_alpha_may_be_a_view_of_any_strides() -> None:
    base = np.random.default_rng(0).integers(0, 65536, (80, 48)).astype(np.uint16)
    for alpha in (base.T[::2, ::2], base[:1, :1], base[::-1][:, :1], base.T[:1]):
        stream = lossless_stream(alpha.shape[1], alpha.shape[0], bits=16, alpha=alpha)
        assert_equal(read_stream(write_stream(stream)), stream)


def test_the_header_needs_only_the_first_hundred_bytes() -> None:
    assert read_header(write_stream(full_stream())[:100]).model == "codec-fast"
    size = 2**32 - 1, 2**32 - 1
    for largest in (header_bytes(*size, MAX_TILE, name=b"m" * 64), new_header(*size, (64, 64), name=b"m" * 64)):
        assert len(largest) <= 100
        assert read_header(largest).width == 2**32 - 1


def test_sizes_of_sections_add_up_to_the_file() -> None:
    data = write_stream(full_stream())
    sizes = section_sizes(data)
    assert list(sizes) == ["header", "ICC profile", "EXIF block", "alpha", "tiles"]
    assert sum(sizes.values()) == len(data)
    assert sizes["tiles"] == 1 + 1 + 2 * (1 + 4) + 4 + 10 + 11 + 4
    assert list(section_sizes(write_stream(stream_of()))) == ["header", "tiles"]
    data = write_stream(lossless_stream(exif=b"EXIF"))
    assert list(section_sizes(data)) == ["header", "EXIF block", "lossless picture"]
    assert sum(section_sizes(data).values()) == len(data)


def test_the_work_of_a_reader_is_bounded_by_the_pixels() -> None:
    """Tiles of 256 pixels and the strips that version 1 wrote are read; anything in more pieces is no file."""
    assert stream_of(10_000, 6_000, tile=(256, 256)).tile_count == 960
    assert stream_of(65_536, 1, tile=(MAX_TILE, MAX_TILE), version=1).tile_count == 64
    assert stream_of(10**6, 8, tile=(65_536, 16)).tile_count == 16
    for width, height, tile, version in (
        (70_000, 1, (MAX_TILE, MAX_TILE), 1), (1024, 1024, (160, 160), 1), (1024, 1024, (16, 1024), 2),
        (65_536, 8, (MAX_TILE, MAX_TILE), 2), (33, 16, (16, 16), 2),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="too many"):
            stream_of(width, height, tile=tile, version=version)
    with pytest.raises(ValueError, match="1000000x7 pixels in tiles cannot be: too thin"):
        stream_of(10**6, 7, tile=(65_536, 16))


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 70), height=st.integers(1, 40), channels=st.sampled_from([1, 3]),
    bits=st.sampled_from([8, 16]), icc=st.none() | st.binary(max_size=300), flat=st.booleans(),
)  # fmt: skip
def test_what_is_lossless_comes_back(flat: bool, **others: Any) -> None:
    stream = lossless_stream(**others)
    assert stream.samples is not None
    stream.samples[:] = stream.samples[0, 0] if flat else stream.samples
    data = write_stream(stream)
    assert_equal(read_stream(data), stream)
    assert vars(read_header(data)).items() <= vars(stream).items()
    if flat:
        assert len(data) < 300 + 2 * len(others["icc"] or b"")


def test_a_lossless_picture_must_be_what_the_header_says() -> None:
    def file(samples: np.ndarray, kind: bytes = b"L") -> bytes:
        content = lossless.encode(samples)
        return new_header(name=b"") + closed(kind + varint(len(content)) + content)

    noise = np.random.default_rng(0).integers(0, 256, (24, 40, 3)).astype(np.uint8)
    np.testing.assert_array_equal(read_stream(file(noise)).samples, noise)
    for wrong in (noise[:20], noise[:, :20], noise.astype(np.uint16)):
        with (
            frugal(2**21),
            pytest.raises(BitstreamError, match=r"the picture is (of another size|no picture of 8 bits|no whole)"),
        ):
            read_stream(file(wrong))
    for damaged in (new_header(name=b"") + LAYERS, new_header() + file(noise)[len(new_header(name=b"")) :]):
        with pytest.raises(BitstreamError, match=r"the header says nothing of the (tiles|lossless picture)"):
            read_stream(damaged)
    with pytest.raises(BitstreamError, match="1 bytes too many after the end of the picture"):
        read_stream(file(noise) + b"?")
    with pytest.raises(BitstreamError, match="no picture of 8 bits"):
        read_stream(new_header(name=b"") + section(b"L", b"GIF89a", compressed=False))


# --- Parts of files ---


@pytest.mark.parametrize("layers", [1, 3])
def test_of_a_truncated_file_what_is_there_can_be_had(layers: int) -> None:
    stream = stream_of(70, 60, tile=(48, 64), layers=layers, icc=b"profile")
    data = write_stream(stream)
    begin = len(data) - section_sizes(data)["tiles"]
    with pytest.raises(TruncatedError, match="it ends within"):
        read_stream(data[:begin], partial=True)
    whole = [tile.layers for tile in stream.tiles]
    seen = set()
    for length in range(len(data) - 4 - sum(len(b"".join(tile)) for tile in whole), len(data)):
        with pytest.raises(TruncatedError, match=rf"the last {len(data) - length} bytes are missing; partial"):
            read_stream(data[:length])
        part = read_stream(data[:length], partial=True)
        assert (part.missing, part.icc) == (len(data) - length, b"profile")
        found = [tile.layers for tile in part.tiles]
        assert all(full[: len(some)] == some for full, some in zip(whole, found, strict=True))
        counts = [len(some) for some in found]
        assert max(counts) - min(counts) <= 1  # one layer of all tiles comes before the next
        seen.add(tuple(counts))
    assert len(seen) == 2 * layers + 1
    assert read_stream(data, partial=True).missing == 0


def test_of_a_truncated_file_of_version_1_whole_tiles_can_be_had() -> None:
    data = header_bytes() + TILES
    part = read_stream(data[:-1], partial=True)
    assert part.tiles == (Tile((b"eno",), 7), Tile((), 0))
    assert (part.missing > 0, part.incomplete) == (True, 1)
    damaged = bytearray(data[:-1])
    damaged[len(header_bytes()) + 8] ^= 1
    with pytest.raises(BitstreamError, match="wrong checksum of tile 1"):
        read_stream(bytes(damaged), partial=True)


# --- Damage ---


def every_kind() -> list[bytes]:
    """A file of version 1, one in layers, one without loss."""
    drawn = lossless_stream(icc=b"profile")
    return [bytes.fromhex(FIRST_FILE), write_stream(replace(full_stream(), exif=None)), write_stream(drawn)]


@pytest.mark.parametrize("data", every_kind(), ids=["first", "layers", "lossless"])
def test_every_truncation_is_an_error(data: bytes) -> None:
    with frugal():
        for length in range(len(data) - 1, -1, -1 - len(data) // 400):
            with pytest.raises(TruncatedError if length > 3 else BitstreamError) as error:
                read_stream(data[:length])
            assert "\n" not in str(error.value)


@pytest.mark.parametrize("data", every_kind()[:2], ids=["first", "layers"])
def test_every_flip_in_every_byte_is_an_error(data: bytes) -> None:
    for place in range(len(data)):
        for flip in (*(1 << bit for bit in range(8)), 0xFF):
            damaged = bytearray(data)
            damaged[place] ^= flip
            with pytest.raises(BitstreamError) as error:
                read_stream(bytes(damaged))
            assert "\n" not in str(error.value)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.sampled_from([b"", MAGIC, MAGIC + b"\1", header_bytes(), header_bytes() + b"T"]))
def test_noise_is_an_error(noise: bytes, beginning: bytes) -> None:
    with pytest.raises(BitstreamError):
        read_stream(beginning + noise)
    if len(beginning) < len(header_bytes()):
        with pytest.raises(BitstreamError):
            read_header(beginning + noise)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty file"),
        (b"\x89i2", "not an .i2i file"),
        (b"\x89PNG\r\n\x1a\n", "not an .i2i file"),
        (MAGIC, "truncated .i2i file: it ends within the header"),
        (header_bytes(version=3), "version 3 of the .i2i format, made by a newer img2img; this one reads version 2"),
        (MAGIC + b"\x09future", "version 9 of the .i2i format, made by a newer img2img"),
        (header_bytes(version=0), "damaged .i2i file: there is no version 0"),
        (header_bytes(flags=4), "damaged .i2i file: there is no version 1 with flags 4"),
        (header_bytes(width=0), "damaged .i2i file: 0x24 pixels"),
        (header_bytes(tile=0), "damaged .i2i file: tiles of 0x0 pixels"),
        (header_bytes(tile=40), "damaged .i2i file: tiles of 40x40 pixels"),
        (header_bytes(tile=MAX_TILE + 16), "damaged .i2i file: tiles of 1040x1040 pixels"),
        (header_bytes(name=b""), "damaged .i2i file: a model has a name"),
        (header_bytes(name=b"\x1b[2J\n"), "damaged .i2i file: a model has a name"),
        (header_bytes(name=b"\xff"), "damaged .i2i file: a model has a name"),
        (header_bytes(width=2**32), "damaged .i2i file: a number in the header"),
        (header_bytes().replace(b"\x28\x18", b"\xa8\x00\x18"), "damaged .i2i file: a number in the header"),
        (header_bytes()[:-1] + b"?", "damaged .i2i file: wrong checksum of the header"),
        (header_bytes(), "truncated .i2i file: it ends within the list of sections"),
        (header_bytes() + b"i", "truncated .i2i file: it ends within the ICC profile"),
        (header_bytes() + section(b"e", b"x")[:-1] + b"?" + TILES, "wrong checksum of the EXIF block"),
        (header_bytes() + section(b"e", b"x") * 2 + TILES, "the EXIF block twice"),
        (
            header_bytes() + section(b"i", b"not zlib", compressed=False) + TILES,
            "the ICC profile cannot be decompressed",
        ),
        (header_bytes() + section(b"i", zlib.compress(b"x") + b"y", False) + TILES, "ICC profile has a wrong length"),
        (header_bytes() + section(b"i", zlib.compress(b"x")[:-1], False) + TILES, "ICC profile has a wrong length"),
        (
            header_bytes() + section(b"Q", b"x") + TILES,
            "made by a newer img2img: this one does not know the section of kind 'Q'",
        ),
        (header_bytes() + section(b"\0", b"x") + TILES, "section of kind '.x00'"),
        (header_bytes() + section(b"q", b"x") * 2 + TILES, "the section of kind 'q' twice"),
        (header_bytes() + section(b"q", b"x")[:-1] + b"?" + TILES, "wrong checksum of the section of kind 'q'"),
        (header_bytes() + section(b"A", grey_png(25, 40)) + TILES, "alpha is no grey PNG of the picture's size"),
        (header_bytes() + section(b"A", grey_png(40, 24)) + TILES, "alpha is no grey PNG of the picture's size"),
        (header_bytes() + section(b"A", grey_png(kind="u2")) + TILES, "alpha is no grey PNG of the picture's size"),
        (header_bytes() + section(b"A", b"") + TILES, "alpha is no grey PNG"),
        (header_bytes() + section(b"A", grey_png()[:-30]) + TILES, "alpha is no whole picture: truncated png file"),
        (header_bytes() + section(b"A", grey_png()[:60] + b"??" + grey_png()[62:]) + TILES, "alpha is no whole"),
        (header_bytes() + section(b"A", grey_png(chunks=png_chunk(b"tRNS", b"\0\1"))) + TILES, "alpha is of another"),
        (header_bytes() + b"T" + tile_bytes(b"one"), "truncated .i2i file"),
        (header_bytes() + b"T" + tile_bytes(b"one")[:-1] + b"?" * 10, "wrong checksum of tile 1 of 2"),
        (header_bytes() + b"T" + tile_bytes(b"one") + b"\x80\0" + bytes(9), "a number in tile 2 of 2"),
        (header_bytes() + TILES + b"?", "damaged .i2i file: 1 bytes too many after the end"),
        (header_bytes() + TILES + TILES, "bytes too many after the end"),
        (new_header(tile=(0, 2)) + LAYERS, "damaged .i2i file: tiles of 0x32 pixels"),
        (new_header(tile=(1024, 65)) + LAYERS, "damaged .i2i file: tiles of 16384x1040 pixels cannot be"),
        (new_header(40, 7) + LAYERS, "damaged .i2i file: 40x7 pixels in tiles cannot be: too thin"),
        (new_header() + LAYERS + b"?", "damaged .i2i file: 1 bytes too many after the end"),
        (new_header() + LAYERS[:-1] + b"?", "damaged .i2i file: wrong checksum of the tiles"),
        (new_header() + LAYERS[:5] + b"?" + LAYERS[6:], "damaged .i2i file: wrong checksum of the table of tiles"),
        (new_header() + layer_bytes((b"one", b"two"), count=0), "tiles have 1 to 16 layers, not 0"),
        (new_header() + layer_bytes((b"one", b"two"), count=17), "tiles have 1 to 16 layers, not 17"),
        (new_header() + LAYERS[:-5], "truncated .i2i file: the last 5 bytes are missing; partial"),
        (new_header() + LAYERS[:7], "truncated .i2i file: 5 bytes cannot hold 2 tiles"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_error_says_what_is_wrong(data: bytes, message: str) -> None:
    with frugal(), pytest.raises(BitstreamError, match=message) as error:
        read_stream(data)
    assert "\n" not in str(error.value)
    assert str(error.value).isprintable()


def test_alpha_that_asks_to_be_turned_is_refused() -> None:
    orientation = struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, 0x0112, 3, 1, 6, 0)
    png = grey_png(chunks=png_chunk(b"eXIf", orientation))
    with pytest.raises(BitstreamError, match="alpha is of another size"):
        read_stream(header_bytes() + section(b"A", png) + TILES)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (header_bytes(2**32 - 1, 2**32 - 1, 1024) + TILES, "megapixels, more than the limit of 200"),
        (header_bytes(2**32 - 1, 1, tile=16) + TILES, "4294967295x1 pixels in 268435456 tiles cannot be: too many"),
        (header_bytes(1024, 1024, tile=160) + TILES, "1024x1024 pixels in 49 tiles cannot be: too many"),
        (header_bytes(40, 24, tile=16) + TILES, "40x24 pixels in 6 tiles cannot be: too many"),
        (header_bytes(4_000_000, 1, tile=1024) + TILES, "4000000x1 pixels in 3907 tiles cannot be: too many"),
        (header_bytes(20000, 10000, tile=192) + TILES, "bytes cannot hold 5565 tiles"),
        (header_bytes() + b"i" + varint(2**32 - 1) + TILES, "it ends within the ICC profile"),
        (header_bytes() + b"z" + varint(2**32 - 1) + TILES, "it ends within the section of kind 'z'"),
        (header_bytes() + b"A" + varint(2**31) + TILES, "it ends within the alpha"),
        (header_bytes() + b"T" + varint(2**32 - 1) + TILES, "it ends within tile 1 of 2"),
        # Alpha of 20000x10000 pixels, whose PNG is truncated.
        (header_bytes(20000, 10000, 1024) + section(b"A", grey_png()) + b"T" + tile_bytes(b"") * 200, "no grey PNG"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_huge_numbers_cost_nothing(data: bytes, message: str) -> None:
    with frugal(), pytest.raises(BitstreamError, match=message):
        read_stream(data)


@pytest.mark.parametrize("kind", [b"i", b"e"])
def test_metadata_that_explode_are_stopped(kind: bytes) -> None:
    bomb = section(kind, bytes(17 * 2**20))
    with frugal(36 * 2**20), pytest.raises(BitstreamError, match="is larger than 16777216 bytes"):
        read_stream(header_bytes() + bomb + TILES)


def test_alpha_that_explodes_is_stopped() -> None:
    data = header_bytes() + section(b"A", grey_png() + bytes(10**7)) + TILES
    with frugal(), pytest.raises(BitstreamError, match="alpha is larger than"):
        read_stream(data)


def test_the_limit_on_pixels_is_the_callers() -> None:
    data = write_stream(full_stream())
    assert read_stream(data, max_pixels=40 * 24).width == 40
    with pytest.raises(BitstreamError, match=r"40x24 = 0\.00096 megapixels"):
        read_stream(data, max_pixels=40 * 24 - 1)


def test_sections_of_the_future_are_skipped_if_they_are_marked_so() -> None:
    data = header_bytes() + section(b"x", b"depth map") + section(b"e", b"EXIF") + section(b"y", b"") + TILES
    tiles = (Tile((b"eno",), 7), Tile((b"owt",), 7))
    assert_equal(read_stream(data), stream_of(exif=b"EXIF", tiles=tiles, version=1))
    assert list(section_sizes(data)) == ["header", "EXIF block", "tiles"]


# --- Misuse ---


@pytest.mark.parametrize(
    "change",
    [
        {"model": "a b"}, {"model": ""}, {"model_hash": b"1234567"}, {"width": 0}, {"height": 2**32}, {"tile": (0, 32)},
        {"tile": (MAX_TILE, MAX_TILE + 16)}, {"tile": (32, 24)}, {"tile": (16, 16)}, {"tile": (32, 48), "version": 1},
        {"channels": 4}, {"bits": 12}, {"bits": 16}, {"rate": 65536}, {"rate": -1}, {"tiles": ()}, {"layers": 0},
        {"layers": 2}, {"layers": 17}, {"samples": np.zeros((24, 40, 3), np.uint8)},
        {"alpha": np.zeros((40, 24), np.uint8)}, {"alpha": np.zeros((24, 40), np.uint16)},
    ],
)  # fmt: skip
def test_impossible_streams_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        replace(full_stream(), **change)


def test_metadata_too_large_for_a_reader_are_not_written() -> None:
    with pytest.raises(BitstreamError, match="EXIF block is larger than the 16 MiB"):
        write_stream(stream_of(exif=bytes(2**24 + 1)))
    assert len(read_stream(write_stream(stream_of(exif=bytes(2**24)))).exif or b"") == 2**24
