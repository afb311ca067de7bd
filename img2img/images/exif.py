"""EXIF blocks, kept byte for byte except for what describes the old pixels: orientation, size, thumbnail.

An EXIF block is a small TIFF file: a header with the byte order, then directories of fields. Only the directory table
is edited here, never rewritten from parsed values, so that fields nobody knows (maker notes) survive. By hand, since
the libraries that write EXIF (Pillow, piexif) write it anew from what they parsed.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import BinaryIO, Literal, NamedTuple, TypeAlias

from .picture import Resolution

ORIENTATION = 0x0112
_DESCRIPTION = 0x010E
_EXIF, _GPS, _INTEROPERABILITY = 0x8769, 0x8825, 0xA005
_SUB_DIRECTORIES = (_EXIF, _GPS, _INTEROPERABILITY)
# What a TIFF's first directory says of the photograph; its other fields say where the pixels lie.
# Description, make, model, resolution (3), software, date, artist, rating, copyright, Windows' title to subject.
_DESCRIPTIVE = {
    _DESCRIPTION,
    0x010F,
    0x0110,
    0x011A,
    0x011B,
    0x0128,
    0x0131,
    0x0132,
    0x013B,
    0x4746,
    0x8298,
    _EXIF,
    _GPS,
}
_RESOLUTION_UNIT, _NO_UNIT = 0x0128, 1
_RESOLUTION = (0x011A, 0x011B, _RESOLUTION_UNIT)
_DESCRIPTIVE |= set(range(0x9C9B, 0x9CA0))
# Descriptions in which programs note the shape of a stack of pages; they would be false of one page.
_STACK_NOTES = (b"ImageJ=", b'{"shape"', b"<?xml", b"<OME")
_FIELD_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SHORT, _LONG, _RATIONAL = 3, 4, 5
_PIXELS_ACROSS, _PIXELS_DOWN = 0xA002, 0xA003
_THUMBNAIL, _THUMBNAIL_BYTES = 0x0201, 0x0202
_BIG_TIFF = (b"II+\0", b"MM\0+")


class _Field(NamedTuple):
    kind: int
    length: int  # in values of that kind
    value: bytes  # as stored, in the block's byte order


_Directory: TypeAlias = "dict[int, _Field | _Directory]"


def normalise(block: bytes | None) -> bytes | None:
    """The block without the marker that JPEG puts before it, or None where it is missing or unreadable."""
    if not block:
        return None
    block = re.sub(rb"\A(Exif\0\0){1,2}", b"", block)
    return block if _table(block) else None


def upright(block: bytes) -> tuple[int, bytes]:
    """The orientation a block asks for (1 to 8; 1 if none or nonsense), and the block with orientation 1."""
    order, entry = _byte_order(block), _orientation_entry(block)
    if order is None or entry is None:
        return 1, block
    layout = {_SHORT: "H", _LONG: "I"}.get(struct.unpack_from(f"{order}H", block, entry + 2)[0])
    if layout is None:
        return 1, block
    (orientation,) = struct.unpack_from(order + layout, block, entry + 8)
    patched = bytearray(block)
    struct.pack_into(order + layout, patched, entry + 8, 1)
    return orientation if 1 <= orientation <= 8 else 1, bytes(patched)


def without_orientation(block: bytes) -> bytes:
    """The block with its orientation field taken out of the table; all offsets stay as they are."""
    order, table, entry = _byte_order(block), _table(block), _orientation_entry(block)
    if order is None or table is None or entry is None:
        return block
    start, count = table
    end = start + 2 + 12 * count + 4  # the link to the next directory moves up with the later fields
    fields = block[start + 2 : entry] + block[entry + 12 : end] + bytes(12)
    return block[:start] + struct.pack(f"{order}H", count - 1) + fields + block[end:]


def resolution(block: bytes | None) -> Resolution | None:
    """The resolution that a block tells."""
    order, table = _byte_order(block or b""), _table(block or b"")
    if block is None or order is None or table is None:
        return None
    fields = _read_directory(block, table[0], order, set(_RESOLUTION))
    x, y = (_ratio(fields.get(tag), order) for tag in _RESOLUTION[:2])
    if not x or not y:
        return None
    unit = fields.get(_RESOLUTION_UNIT)
    number = struct.unpack_from(f"{order}H", unit.value)[0] if isinstance(unit, _Field) and unit.kind == _SHORT else 2
    return Resolution(x, y, {1: "", 3: "cm"}.get(number, "inch"))


def _ratio(field: _Field | _Directory | None, order: str) -> float:
    if not isinstance(field, _Field) or field.kind != _RATIONAL or len(field.value) < 8:
        return 0.0
    above, below = struct.unpack_from(f"{order}II", field.value)
    return above / below if below else 0.0


def with_resolution(block: bytes | None, new: Resolution) -> bytes:
    """The block, or one of its own, with a resolution, unless it tells one already."""
    if block is None:
        block = b"II*\0" + struct.pack("<IHI", 8, 0, 0)
    order, table = _byte_order(block), _table(block)
    if order is None or table is None or resolution(block) is not None:
        return block
    ratios = [struct.pack(f"{order}II", round(value * 10000), 10000) for value in new[:2]]
    unit = struct.pack(f"{order}H", {"": 1, "cm": 3}.get(new.unit, 2))
    fields: _Directory = {
        _RESOLUTION[0]: _Field(_RATIONAL, 1, ratios[0]),
        _RESOLUTION[1]: _Field(_RATIONAL, 1, ratios[1]),
        _RESOLUTION_UNIT: _Field(_SHORT, 1, unit),
    }
    padded = block + bytes(len(block) % 2)
    link = struct.unpack_from(f"{order}I", block, table[0] + 2 + 12 * table[1])[0]
    directory = _pack_directory(fields, len(padded), order, _placed(block, table, order), link)
    return padded[:4] + struct.pack(f"{order}I", len(padded)) + padded[8:] + directory


def fitted(block: bytes, width: int, height: int, thumbnail: Callable[[bytes, int], bytes | None]) -> bytes:
    """The block with the size of these pixels and a thumbnail of them, where it has a size and a thumbnail.

    Args:
        block: an EXIF block as `normalise` returns it.
        width: of the picture, in pixels.
        height: of the picture.
        thumbnail: from the old one, a JPEG, and the most bytes that a new one may take to the new one; None if there
            is none so small: then the old one is taken out.
    """
    order, table = _byte_order(block), _table(block)
    if order is None or table is None:
        return block
    new = bytearray(block)
    for pointer in _entries(block, table, order, _EXIF):
        (start,) = struct.unpack_from(f"{order}I", block, pointer + 8)
        if (count := _field_count(block, start, order)) is not None:
            for tag, side in ((_PIXELS_ACROSS, width), (_PIXELS_DOWN, height)):
                for entry in _entries(block, (start, count), order, tag):
                    _put_number(new, entry, order, side)
    link = table[0] + 2 + 12 * table[1]
    (second,) = struct.unpack_from(f"{order}I", block, link)
    if (count := _field_count(block, second, order)) is not None:
        _renew_thumbnail(new, (second, count), order, link, thumbnail)
    return bytes(new)


def _renew_thumbnail(
    block: bytearray,
    table: tuple[int, int],
    order: str,
    link: int,
    make: Callable[[bytes, int], bytes | None],
) -> None:
    offsets, lengths = (_entries(block, table, order, tag) for tag in (_THUMBNAIL, _THUMBNAIL_BYTES))
    if offsets and lengths:
        (offset,) = struct.unpack_from(f"{order}I", block, offsets[0] + 8)
        length = _number(block, lengths[0], order)
        new = make(bytes(block[offset : offset + length]), length) if offset + length <= len(block) else None
        if new is not None:
            block[offset : offset + length] = new.ljust(length, b"\0")
            _put_number(block, lengths[0], order, len(new))
            return
    struct.pack_into(f"{order}I", block, link, 0)  # a picture of the old pixels would be false


def _number(block: bytes | bytearray, entry: int, order: str) -> int:
    kind = struct.unpack_from(f"{order}H", block, entry + 2)[0]
    return int(struct.unpack_from(order + ("H" if kind == _SHORT else "I"), block, entry + 8)[0])


def _put_number(block: bytearray, entry: int, order: str, value: int) -> None:
    kind = struct.unpack_from(f"{order}H", block, entry + 2)[0]
    if kind == _LONG or (kind == _SHORT and value < 65536):
        struct.pack_into(order + ("H" if kind == _SHORT else "I"), block, entry + 8, value)


def _entries(block: bytes | bytearray, table: tuple[int, int], order: str, tag: int) -> list[int]:
    """Offsets of a directory's entries with this tag."""
    every = range(table[0] + 2, table[0] + 2 + 12 * table[1], 12)
    return [entry for entry in every if struct.unpack_from(f"{order}H", block, entry)[0] == tag]


def from_tiff(data: bytes, offset: int | None = None) -> bytes | None:
    """What a TIFF file says of a page (camera, dates, place), as an EXIF block; None if nothing.

    Args:
        data: the file, classic or BigTIFF.
        offset: of the page's directory; the first page's without.
    """
    big = data[:4] in _BIG_TIFF
    order = byte_order_mark(data) if big else _byte_order(data)
    if order is None:
        return None
    if offset is None:
        (offset,) = struct.unpack_from(f"{order}Q", data, 8) if big else struct.unpack_from(f"{order}I", data, 4)
    described = _read_directory(data, offset, order, _DESCRIPTIVE, big=big)
    note = described.get(_DESCRIPTION)
    if isinstance(note, _Field) and note.value.lstrip().startswith(_STACK_NOTES):
        del described[_DESCRIPTION]
    unit = described.get(_RESOLUTION_UNIT)
    if isinstance(unit, _Field) and unit.value == struct.pack(f"{order}H", _NO_UNIT):
        # TIFF demands a resolution, so programs that know none write 1 : 1 without a unit.
        described = {tag: field for tag, field in described.items() if tag not in _RESOLUTION}
    if not described:
        return None
    head = b"II*\0" if order == "<" else b"MM\0*"
    return head + struct.pack(f"{order}I", 8) + _pack_directory(described, 8, order)


def into_tiff(tiff: BinaryIO, blocks: Sequence[bytes | None]) -> None:
    """Add the fields of EXIF blocks to the directories of a TIFF file's pages.

    The directories are written anew at the end of the file, where the links then point.

    Args:
        tiff: a classic TIFF file (not BigTIFF) in the byte order of the blocks, open for reading and writing.
        blocks: one for each page, as `normalise` returns it, or None.

    Raises:
        ValueError: the byte orders differ, or one of them is unreadable.
    """
    tiff.seek(0)
    order = _byte_order(tiff.read(4))
    link = 4
    for block in blocks:
        described = None if block is None else _table(block)
        if order is None or (block is not None and (described is None or order != _byte_order(block))):
            raise ValueError("an EXIF block goes into a TIFF file of its own byte order")
        start = _read(tiff, link, f"{order}I")
        count = _read(tiff, start, f"{order}H")
        next_link = start + 2 + 12 * count
        if block is not None and described is not None:
            entries = _bytes(tiff, start + 2, 12 * count)
            placed = {
                struct.unpack_from(f"{order}H", entries, i)[0]: entries[i : i + 12] for i in range(0, len(entries), 12)
            }
            added = _read_directory(block, described[0], order, _DESCRIPTIVE)
            if _DESCRIPTION in placed:
                added.pop(_DESCRIPTION, None)  # a note on the stack, which the file needs
            following = _read(tiff, next_link, f"{order}I")
            here = tiff.seek(0, 2)
            here += tiff.write(bytes(here % 2))  # directories begin on even offsets
            tiff.write(_pack_directory(added, here, order, placed, following))
            tiff.seek(link)
            tiff.write(struct.pack(f"{order}I", here))
            next_link = here + 2 + 12 * len(placed.keys() | added.keys())
        link = next_link
    tiff.seek(0, 2)


def _bytes(tiff: BinaryIO, offset: int, length: int) -> bytes:
    tiff.seek(offset)
    return tiff.read(length)


def _read(tiff: BinaryIO, offset: int, layout: str) -> int:
    return int(struct.unpack(layout, _bytes(tiff, offset, struct.calcsize(layout)))[0])


def _placed(block: bytes, table: tuple[int, int], order: str) -> dict[int, bytes]:
    """A directory's entries by tag, as they are stored."""
    entries = range(table[0] + 2, table[0] + 2 + 12 * table[1], 12)
    return {struct.unpack_from(f"{order}H", block, e)[0]: bytes(block[e : e + 12]) for e in entries}


def byte_order_mark(block: bytes) -> Literal["<", ">"]:
    """`<` or `>`, as numpy and struct write byte order."""
    return "<" if block.startswith(b"II") else ">"


def _byte_order(block: bytes) -> str | None:
    return byte_order_mark(block) if block[:4] in (b"II*\0", b"MM\0*") else None


def _table(block: bytes) -> tuple[int, int] | None:
    """Offset and number of fields of the first directory, or None if that does not lie within the block."""
    order = _byte_order(block)
    if order is None or len(block) < 8:
        return None
    (start,) = struct.unpack_from(f"{order}I", block, 4)
    count = _field_count(block, start, order)
    return None if count is None else (start, count)


def _field_count(block: bytes | bytearray, start: int, order: str, big: bool = False) -> int | None:
    layout, entry, link = ("Q", 20, 8) if big else ("H", 12, 4)
    size = struct.calcsize(layout)
    if start < 8 or start + size > len(block):
        return None
    (count,) = struct.unpack_from(order + layout, block, start)
    return int(count) if start + size + entry * count + link <= len(block) else None


def _orientation_entry(block: bytes) -> int | None:
    """Offset of the orientation's 12 bytes in the first directory."""
    order, table = _byte_order(block), _table(block)
    if order is None or table is None:
        return None
    entries = range(table[0] + 2, table[0] + 2 + 12 * table[1], 12)
    return next((e for e in entries if struct.unpack_from(f"{order}H", block, e)[0] == ORIENTATION), None)


def _read_directory(
    data: bytes, start: int, order: str, wanted: set[int] | None, depth: int = 0, big: bool = False
) -> _Directory:
    """The wanted fields (None: all) of the directory at `start`; fields that point outside the data are left out.

    BigTIFF's directories are the same with wider numbers.
    """
    directory: _Directory = {}
    taken = 0
    first, width, room, number = (8, 20, 8, "Q") if big else (2, 12, 4, "I")
    count_of_fields = _field_count(data, start, order, big) or 0
    for entry in range(start + first, start + first + width * count_of_fields, width):
        tag, kind, count = struct.unpack_from(f"{order}HH{number}", data, entry)
        size = count * _FIELD_SIZES.get(kind, 0)
        if not size or (wanted is not None and tag not in wanted) or tag in directory:  # of two, the first counts
            continue
        value = entry + width - room
        (pointer,) = struct.unpack_from(order + number, data, value)
        if tag in _SUB_DIRECTORIES:
            # Depth ends loops: interoperability lies in the EXIF directory, nothing lies deeper.
            if depth < 2 and (nested := _read_directory(data, pointer, order, None, depth + 1, big)):
                directory[tag] = nested
            continue
        offset = value if size <= room else pointer
        taken += size
        # Many fields that share one long value would multiply the data's size.
        if offset + size <= len(data) and taken <= len(data):
            directory[tag] = _Field(kind, count, bytes(data[offset : offset + size]))
    return directory


def _pack_directory(
    directory: _Directory,
    offset: int,
    order: str,
    placed: Mapping[int, bytes] = MappingProxyType({}),
    link: int = 0,
) -> bytes:
    """The bytes of a directory, its values and its sub-directories, to lie at `offset` of a file.

    `placed` are entries of the table whose values lie in the file already; `link` is where the next directory lies.
    """
    entries, values = dict(placed), b""
    values_offset = offset + 2 + 12 * len(entries.keys() | directory.keys()) + 4
    for tag, field in sorted(directory.items()):
        here = struct.pack(f"{order}I", values_offset + len(values))
        if isinstance(field, dict):
            kind, length, pointer = _LONG, 1, here
            stored = _pack_directory(field, values_offset + len(values), order)
        elif len(field.value) <= 4:
            kind, length, pointer, stored = field.kind, field.length, field.value.ljust(4, b"\0"), b""
        else:
            kind, length, pointer, stored = field.kind, field.length, here, field.value
        entries[tag] = struct.pack(f"{order}HHI", tag, kind, length) + pointer
        values += stored + bytes(len(stored) % 2)
    table = b"".join(entries[tag] for tag in sorted(entries))
    return struct.pack(f"{order}H", len(entries)) + table + struct.pack(f"{order}I", link) + values
