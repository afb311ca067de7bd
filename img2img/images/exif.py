"""EXIF blocks, kept byte for byte except for the orientation.

An EXIF block is a small TIFF file: a header with the byte order, then directories of fields. Only the directory table
is edited here, never rewritten from parsed values, so that fields nobody knows (maker notes) survive.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

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
_SHORT, _LONG = 3, 4


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


def from_tiff(data: bytes) -> bytes | None:
    """What a TIFF file says of its first picture (camera, dates, place), as an EXIF block; None if nothing."""
    order, table = _byte_order(data), _table(data)
    if order is None or table is None:
        return None
    described = _read_directory(data, table[0], order, _DESCRIPTIVE)
    note = described.get(_DESCRIPTION)
    if isinstance(note, _Field) and note.value.lstrip().startswith(_STACK_NOTES):
        del described[_DESCRIPTION]
    unit = described.get(_RESOLUTION_UNIT)
    if isinstance(unit, _Field) and unit.value == struct.pack(f"{order}H", _NO_UNIT):
        # TIFF demands a resolution, so programs that know none write 1 : 1 without a unit.
        described = {tag: field for tag, field in described.items() if tag not in _RESOLUTION}
    if not described:
        return None
    return data[:4] + struct.pack(f"{order}I", 8) + _pack_directory(described, 8, order)


def into_tiff(tiff: bytes, block: bytes) -> bytes:
    """A TIFF file with the fields of an EXIF block added to its first directory.

    The directory is written anew at the end of the file, where the header then points.

    Args:
        tiff: a classic TIFF file (not BigTIFF) in the byte order of the block.
        block: an EXIF block as `normalise` returns it.

    Raises:
        ValueError: the byte orders differ, or one of the two is unreadable.
    """
    order, table, described = _byte_order(tiff), _table(tiff), _table(block)
    if order is None or order != _byte_order(block) or table is None or described is None:
        raise ValueError("an EXIF block goes into a TIFF file of its own byte order")
    start, count = table
    placed = {
        struct.unpack_from(f"{order}H", tiff, entry)[0]: tiff[entry : entry + 12]
        for entry in range(start + 2, start + 2 + 12 * count, 12)
    }
    added = _read_directory(block, described[0], order, _DESCRIPTIVE)
    padded = tiff + bytes(len(tiff) % 2)  # directories begin on even offsets
    directory = _pack_directory(added, len(padded), order, placed)
    return padded[:4] + struct.pack(f"{order}I", len(padded)) + padded[8:] + directory


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


def _field_count(block: bytes, start: int, order: str) -> int | None:
    if start < 8 or start + 2 > len(block):
        return None
    (count,) = struct.unpack_from(f"{order}H", block, start)
    return count if start + 2 + 12 * count + 4 <= len(block) else None


def _orientation_entry(block: bytes) -> int | None:
    """Offset of the orientation's 12 bytes in the first directory."""
    order, table = _byte_order(block), _table(block)
    if order is None or table is None:
        return None
    entries = range(table[0] + 2, table[0] + 2 + 12 * table[1], 12)
    return next((e for e in entries if struct.unpack_from(f"{order}H", block, e)[0] == ORIENTATION), None)


def _read_directory(data: bytes, start: int, order: str, wanted: set[int] | None, depth: int = 0) -> _Directory:
    """The wanted fields (None: all) of the directory at `start`; fields that point outside the data are left out."""
    directory: _Directory = {}
    taken = 0
    for entry in range(start + 2, start + 2 + 12 * (_field_count(data, start, order) or 0), 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, entry)
        size = count * _FIELD_SIZES.get(kind, 0)
        if not size or (wanted is not None and tag not in wanted) or tag in directory:  # of two, the first counts
            continue
        (pointer,) = struct.unpack_from(f"{order}I", data, entry + 8)
        if tag in _SUB_DIRECTORIES:
            # Depth ends loops: interoperability lies in the EXIF directory, nothing lies deeper.
            if depth < 2 and (nested := _read_directory(data, pointer, order, None, depth + 1)):
                directory[tag] = nested
            continue
        offset = entry + 8 if size <= 4 else pointer
        taken += size
        # Many fields that share one long value would multiply the data's size.
        if offset + size <= len(data) and taken <= len(data):
            directory[tag] = _Field(kind, count, data[offset : offset + size])
    return directory


def _pack_directory(
    directory: _Directory, offset: int, order: str, placed: Mapping[int, bytes] = MappingProxyType({})
) -> bytes:
    """The bytes of a directory, its values and its sub-directories, to lie at `offset` of a file.

    `placed` are entries of the table whose values lie in the file already.
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
    return struct.pack(f"{order}H", len(entries)) + table + bytes(4) + values
