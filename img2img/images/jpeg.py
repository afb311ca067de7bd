"""JPEG: pixels by Pillow (libjpeg-turbo), 12 bits by imagecodecs; what else a file holds lies in segments before them.

The segments are read and written by hand: Pillow tells only the last comment, no XMP over 64 KiB and no IPTC ready to
be written again. Behind the picture others may lie: a second view (MPO), a gain map (Ultra HDR), a film.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import md5
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np

from ..errors import ImageError
from . import exif as exif_block
from .by_pillow import cmyk_converter, pixels_of, save
from .container import Decoded, Opened, check_size
from .formats import DEFAULT_QUALITY
from .picture import About, JpegCoding, Picture, Resolution
from .png import iptc_records, iptc_resource
from .samples import in_8_bits, in_whole_bytes, on_white

_MAX_SEGMENT = 65533  # a segment's length has 16 bits
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # without stuffing, restarts and fill bytes
_START, _END, _SCAN, _DNL = b"\xff\xd8", 0xD9, 0xDA, 0xDC
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_EXIF, _XMP, _MORE_XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_ICC, _PHOTOSHOP, _MPF = b"ICC_PROFILE\0", b"Photoshop 3.0\0", b"MPF\0"
_GAIN_MAP_SIGNS = (b"hdrgm", b"urn:iso:std:iso:ts:21496", b"HDRGainMap")
_UNITS = {0: "", 1: "inch", 2: "cm"}
_LEAST_ROWS = 0.5  # of a truncated picture; with fewer it is an error


@dataclass
class _Layout:
    """Where the parts of a JPEG lie.

    Attributes:
        segments: (marker, content) before the first scan.
        scan: where the first scan begins.
        end: behind the end marker, or None if there is none.
        shape: height, width, bits, components, and where the height stands.
        late_height: the height that a DNL marker behind the first scan tells.
    """

    segments: list[tuple[int, bytes]] = field(default_factory=list)
    scan: int = 0
    end: int | None = None
    shape: tuple[int, int, int, int, int] | None = None
    late_height: int = 0


def open_file(data: bytes, max_pixels: int) -> Opened:
    """A JPEG file; one with more pixels than `max_pixels` is an ImageError before they are decoded."""
    first = _layout(data)
    first_end = first.end or len(data)
    views, gain_map, film, junk = _behind(data, first_end, first)
    extra = About(gain_map=gain_map, film=film, lost=(junk,) if junk else ())

    def frames() -> Iterator[Decoded]:
        yield _decode(data[:first_end], max_pixels, extra)
        for begin, end in views:
            yield _decode(data[begin:end], max_pixels, About())

    return Opened(frames, 1 + len(views))


def _layout(data: bytes) -> _Layout:
    layout = _Layout()
    position = 2
    while found := _MARKER.search(data, position):
        marker, position = data[found.start() + 1], found.end()
        if marker == _END:
            layout.end = position
            return layout
        length = int.from_bytes(data[position : position + 2], "big")
        content = data[position + 2 : position + length]
        if marker in _FRAMES and layout.shape is None and len(content) >= 6:
            bits, height, width, components = struct.unpack_from(">BHHB", content)
            layout.shape = height, width, bits, components, position + 3
        if marker == _DNL and len(content) >= 2:
            layout.late_height = int.from_bytes(content[:2], "big")
        if marker == _SCAN and not layout.scan:
            layout.scan = position + length
        elif not layout.scan:
            layout.segments.append((marker, bytes(content)))
        position += length
    return layout


def _behind(
    data: bytes, end: int, layout: _Layout
) -> tuple[list[tuple[int, int]], bytes | None, bytes | None, str | None]:
    """What lies behind the first picture: where further views are, a gain map, a film, and what else in words."""
    views: list[tuple[int, int]] = []
    gain_map = None
    listed = any(marker == 0xE2 and content.startswith(_MPF) for marker, content in layout.segments)
    position = end
    while listed and (begin := data.find(_START + b"\xff", position)) >= 0 and begin - position < 2**16:
        part = _layout(data[begin:])
        if part.end is None or part.shape is None:
            break
        position = begin + part.end
        if any(sign in content for _, content in part.segments for sign in _GAIN_MAP_SIGNS):
            gain_map = bytes(data[begin:position])
        elif not _is_preview(part, layout):
            views.append((begin, position))
    box = data[position + 4 : position + 8] == b"ftyp"
    begin = position if box else data.find(b"ftyp", position) - 4
    if begin >= position:
        return views, gain_map, bytes(data[begin:]), None
    rest = bytes(data[position:]).strip(b"\0\xff \r\n")
    junk = f"{len(data) - position} bytes behind the picture" if len(rest) > 8 else None
    return views, gain_map, None, junk


def _is_preview(part: _Layout, first: _Layout) -> bool:
    """Whether a further picture is the first one made smaller, as cameras put it behind for their screens."""
    assert part.shape is not None
    if first.shape is None or not first.shape[0]:
        return False
    smaller = part.shape[1] * 2 <= first.shape[1] or part.shape[0] * 2 <= first.shape[0]
    return smaller and abs(part.shape[0] / part.shape[1] - first.shape[0] / first.shape[1]) < 0.05


def _decode(data: bytes, max_pixels: int, about: About) -> Decoded:
    from PIL.JpegImagePlugin import JpegImageFile, get_sampling

    layout = _layout(data)
    if layout.shape is None or not layout.scan:
        raise ImageError("truncated jpg file: it ends before the pixels" if layout.end is None else "no jpg pixels")
    height, width, bits, _, place = layout.shape
    if not height and layout.late_height:
        height = layout.late_height
        data = data[:place] + struct.pack(">H", height) + data[place + 2 :]
    check_size(width, height, max_pixels)
    exif, icc, about = _metadata(layout, about)
    if bits > 8:
        return Decoded(_twelve_bits(data, bits), exif, icc, about=about)
    truncated = layout.end is None
    image = JpegImageFile(BytesIO(data.rstrip(b"\0") + b"\xff\xd9" if truncated else data))
    if image.mode == "CMYK":
        about = replace(about, lost=(*about.lost, f"CMYK (converted to RGB{' by its profile' if icc else ''})"))
    else:
        tables = tuple(tuple(image.quantization[key]) for key in sorted(image.quantization))
        about = replace(about, jpeg=JpegCoding(tables, get_sampling(image)))
    pixels = pixels_of(image, cmyk_converter(icc) if image.mode == "CMYK" else None)
    if truncated:
        about = replace(about, lost=(*about.lost, _missing(pixels, len(data) - layout.scan)))
    return Decoded(pixels, exif, None if image.mode == "CMYK" else icc, about=about)


def _missing(pixels: np.ndarray, scanned: int) -> str:
    """What a truncated picture lacks, in words; its last rows then repeat one value of each column's block.

    Raises:
        ImageError: most of it.
    """
    height = len(pixels)
    last = pixels[-1]
    present = height
    while present > 0 and (pixels[present - 1] == last).all():
        present -= 1
    missing = height - present
    if scanned < 2 or missing > (1 - _LEAST_ROWS) * height + 16:
        raise ImageError(f"truncated jpg file: only {100 * present // height} % of its rows are there")
    return f"some of the last rows (the file is truncated; {missing} are plain)" if missing > 1 else "its end marker"


def _twelve_bits(data: bytes, bits: int) -> np.ndarray:
    import imagecodecs

    pixels = np.asarray(imagecodecs.jpeg8_decode(data))
    return in_whole_bytes(pixels.reshape(*pixels.shape[:2], -1), bits)


def _metadata(layout: _Layout, about: About) -> tuple[bytes | None, bytes | None, About]:
    """EXIF, ICC profile and the rest, from the segments."""
    exif, profile, more, lost = b"", {}, {}, list(about.lost)
    said: dict[str, Any] = {}
    for marker, content in layout.segments:
        if marker == 0xE0 and content.startswith(b"JFIF\0") and len(content) >= 12:
            unit, x, y = struct.unpack_from(">BHH", content, 7)
            if x and y and (unit or x != y):
                said["resolution"] = Resolution(x, y, _UNITS.get(unit, ""))
        elif marker == 0xE1 and content.startswith(_EXIF):
            exif += content[len(_EXIF) :]  # over 64 KiB it goes on in the next segment
        elif marker == 0xE1 and content.startswith(_XMP):
            said["xmp"] = content[len(_XMP) :]
        elif marker == 0xE1 and content.startswith(_MORE_XMP):
            start = len(_MORE_XMP) + 32
            more[int.from_bytes(content[start + 4 : start + 8], "big")] = content[start + 8 :]
        elif marker == 0xE2 and content.startswith(_ICC):
            profile[content[len(_ICC)]] = content[len(_ICC) + 2 :]
        elif marker == 0xED and content.startswith(_PHOTOSHOP):
            said["iptc"] = iptc_records(content[len(_PHOTOSHOP) :]) or said.get("iptc")
        elif marker == 0xFE:
            said["comments"] = (*said.get("comments", ()), _text(content))
        elif 0xE0 <= marker <= 0xEF and not _is_of_the_pixels(marker, content):
            name = content.partition(b"\0")[0][:20].decode("ascii", "replace")
            lost.append(f"segment APP{marker - 0xE0}" + (f" ({name})" if name.isprintable() and name else ""))
    if more:
        said["xmp"] = _joined_xmp(said.get("xmp"), b"".join(more[key] for key in sorted(more)))
    icc = b"".join(profile[key] for key in sorted(profile)) or None
    return exif or None, icc, replace(about, **said, lost=tuple(dict.fromkeys(lost)))


def _is_of_the_pixels(marker: int, content: bytes) -> bool:
    """Segments that say how the old pixels were coded, or where the parts behind them lie."""
    return content.startswith((b"JFIF", b"JFXX", b"Adobe", _MPF, b"AROT", b"Ducky", b"urn:iso:std:iso:ts:21496"))


def _joined_xmp(packet: bytes | None, rest: bytes) -> bytes:
    """XMP over 64 KiB: the main packet and what other segments extend it by, as one RDF document."""
    if not packet:
        return rest
    body = re.search(rb"<rdf:RDF[^>]*>(.*)</rdf:RDF>", rest, re.DOTALL)
    close = packet.rfind(b"</rdf:RDF>")
    packet = packet if close < 0 or not body else packet[:close] + body[1] + packet[close:]
    return re.sub(rb'\s*xmpNote:HasExtendedXMP="[0-9A-Fa-f]*"', b"", packet)


def _text(content: bytes) -> str:
    content = content.rstrip(b"\0")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


# --- Writing ---


def encode(picture: Picture, quality: int | None, lost: list[str]) -> bytes:
    """A JPEG file.

    Args:
        picture: what to write; transparent pixels become white.
        quality: 1 to 100; None is that of the JPEG that the picture was, else DEFAULT_QUALITY.
        lost: is told what does not fit.
    """
    about = picture.about
    data = _primary(picture, quality, lost)
    if about.gain_map:
        data = _with_parts(data, [about.gain_map])
    return data + (about.film or b"")


def encode_frames(frames: Sequence[Picture], loop: int, quality: int | None, lost: list[str], stream: BinaryIO) -> None:
    """A multi-picture file (MPO, CIPA DC-007): views one behind the other, their places told in the first."""
    first, *others = (_primary(picture, quality, lost) for picture in frames)
    stream.write(_with_parts(first, others, kind=0x020002 if len(frames) == 2 else 0))


def _primary(picture: Picture, quality: int | None, lost: list[str]) -> bytes:
    from PIL import JpegImagePlugin  # noqa: F401 - registers the encoder

    samples = picture.samples if picture.alpha is None else on_white(picture.samples, picture.alpha)
    jpeg = picture.about.jpeg
    options: dict[str, Any] = {"quality": quality or DEFAULT_QUALITY["jpg"], "subsampling": 0}
    if quality is None and jpeg is not None:
        tables = jpeg.tables if picture.channels == 3 else jpeg.tables[:1]
        options = {"qtables": [list(table) for table in tables], "subsampling": max(0, jpeg.subsampling)}
    data = save(in_8_bits(samples), "JPEG", None, options)
    return _described(data, picture, lost)


def _described(data: bytes, picture: Picture, lost: list[str]) -> bytes:
    """A JPEG as Pillow writes it, with what the picture says of itself before the pixels."""
    about = picture.about
    header_end = 4 + int.from_bytes(data[4:6], "big")  # of JFIF's segment, the first
    header = bytearray(data[:header_end])
    resolution = about.resolution or exif_block.resolution(picture.exif)
    if resolution:
        _put_resolution(header, resolution)
    segments = []
    if picture.exif and len(picture.exif) + len(_EXIF) <= _MAX_SEGMENT:
        segments.append((0xE1, _EXIF + picture.exif))
    elif picture.exif:
        lost.append("EXIF (over 64 KiB)")
    segments += _xmp_segments(about.xmp)
    segments += _profile_segments(picture.icc)
    if about.iptc:
        resource = _PHOTOSHOP + iptc_resource(about.iptc)
        if len(resource) <= _MAX_SEGMENT:
            segments.append((0xED, resource))
        else:
            lost.append("IPTC (over 64 KiB)")
    for comment in about.comments:
        encoded = comment.encode("utf-8", "surrogateescape")
        segments += [(0xFE, encoded[i : i + _MAX_SEGMENT]) for i in range(0, len(encoded) or 1, _MAX_SEGMENT)]
    return bytes(header) + b"".join(_segment(*segment) for segment in segments) + data[header_end:]


def _put_resolution(header: bytearray, resolution: Resolution) -> None:
    unit = resolution.unit if resolution.unit in ("", "cm") else "inch"
    x, y, _ = resolution.per(unit) if resolution.unit else resolution
    while max(x, y) > 65535:  # a ratio of large numbers
        x, y = x / 2, y / 2
    number = {"": 0, "inch": 1, "cm": 2}[unit]
    struct.pack_into(">BHH", header, 13, number, max(1, round(x)), max(1, round(y)))


def _segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def _profile_segments(icc: bytes | None) -> list[tuple[int, bytes]]:
    room = _MAX_SEGMENT - len(_ICC) - 2
    parts = [icc[i : i + room] for i in range(0, len(icc), room)] if icc else []
    return [(0xE2, _ICC + bytes((i + 1, len(parts))) + part) for i, part in enumerate(parts)]


def _xmp_segments(xmp: bytes | None) -> list[tuple[int, bytes]]:
    """One segment, or for a longer packet a short one that names the extension, and the extension in parts."""
    if not xmp:
        return []
    if len(xmp) + len(_XMP) <= _MAX_SEGMENT:
        return [(0xE1, _XMP + xmp)]
    name = md5(xmp, usedforsecurity=False).hexdigest().upper().encode()  # as Adobe prescribes
    main = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:xmpNote="http://ns.adobe.com/xmp/note/" '
        b'xmpNote:HasExtendedXMP="' + name + b'"></rdf:Description></rdf:RDF></x:xmpmeta>'
    )
    room = _MAX_SEGMENT - len(_MORE_XMP) - 40
    head = _MORE_XMP + name + struct.pack(">I", len(xmp))
    parts = [(0xE1, head + struct.pack(">I", i) + xmp[i : i + room]) for i in range(0, len(xmp), room)]
    return [(0xE1, _XMP + main), *parts]


def _with_parts(first: bytes, others: list[bytes], kind: int = 0) -> bytes:
    """A JPEG with others behind it, and the index of them (MPF) before its pixels."""
    header_end = 4 + int.from_bytes(first[4:6], "big")
    count = 1 + len(others)
    index_length = len(_MPF) + 8 + 2 + 3 * 12 + 4 + 16 * count
    offset = header_end + 4 + len(_MPF)  # offsets count from MPF's own header
    position = len(first) + 4 + index_length
    entries = struct.pack("<IIIHH", 0x20030000 if not kind else 0x20000000 | kind, position, 0, 0, 0)
    for other in others:
        entries += struct.pack("<IIIHH", kind, len(other), position - offset, 0, 0)
        position += len(other)
    fields = (
        struct.pack("<HHI4s", 0xB000, 7, 4, b"0100")
        + struct.pack("<HHII", 0xB001, 4, 1, count)
        + struct.pack("<HHII", 0xB002, 7, 16 * count, 8 + 2 + 3 * 12 + 4)
    )
    index = _MPF + b"II*\0" + struct.pack("<IH", 8, 3) + fields + bytes(4) + entries
    return first[:header_end] + _segment(0xE2, index) + first[header_end:] + b"".join(others)
