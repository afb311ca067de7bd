"""PNG and APNG: libpng knows 16 bits and every kind of transparency; the rest lies in chunks around the pixels.

The chunks are read and written by hand: libpng's bindings (imagecodecs) know none of them, and Pillow, which knows
most, has no 16-bit RGB and would cut such pictures to 8.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO

import numpy as np

from ..errors import ImageError
from . import exif as exif_block
from .container import Decoded, Opened, check_size
from .picture import About, Picture, Resolution, Text
from .samples import with_alpha

_MAX_INFLATED = 16 * 2**20  # ICC profiles of printers reach 4 MiB, XMP seldom 1; more is a decompression bomb
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_ANIMATION = {b"acTL", b"fcTL", b"fdAT"}
# They tell of the old pixels, or of how they were stored: a new picture has its own.
_OF_OLD_PIXELS = {b"tIME", b"bKGD", b"hIST", b"sBIT", b"oFFs"}
_CICP = (b"cICP", b"mDCV", b"cLLI", b"mDCv", b"cLLi")
_SRGB_GAMMA = struct.pack(">I", 45455)
_SRGB_PRIMARIES = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
_XMP = "XML:com.adobe.xmp"
_RAW_PROFILE = "Raw profile type "  # ImageMagick's and exiftool's way to store what PNG had no chunk for
_COMMENT = "Comment"


@dataclass
class _Frame:
    """One frame of an animation: its place, how it is laid on the one before, and its compressed rows."""

    width: int
    height: int
    left: int = 0
    top: int = 0
    seconds: float = 0.0
    disposal: int = 0
    blend: int = 0
    rows: list[bytes | memoryview] = field(default_factory=list)


@dataclass
class _Chunks:
    """A file's chunks, sorted by what they are for."""

    pixels: list[tuple[bytes, memoryview]] = field(default_factory=list)  # without IDAT and IEND
    default: list[memoryview] = field(default_factory=list)  # what a reader shows that knows no animations
    frames: list[_Frame] = field(default_factory=list)
    loop: int = 0
    default_is_frame: bool = True
    exif: bytes | None = None
    icc: bytes | None = None
    about: About = field(default_factory=About)
    colour: dict[bytes, bytes] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    complete: bool = False


def open_file(data: bytes, max_pixels: int) -> Opened:
    """A PNG file; one with more pixels than `max_pixels` is an ImageError before they are decoded."""
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise ImageError("damaged png file: no header")
    width, height = struct.unpack_from(">II", data, 16)
    check_size(width, height, max_pixels)
    chunks = _sorted(data)
    if not chunks.default:
        raise ImageError("truncated png file" if not chunks.complete else "damaged png file: no pixels")
    header = bytes(data[16:29])
    about = _with_colour(chunks)
    if len(chunks.frames) < 2:
        return Opened(lambda: iter([_still(header, chunks, about)]))

    def frames() -> Iterator[Decoded]:
        for frame, pixels in zip(chunks.frames, _composed(header, chunks), strict=True):
            yield Decoded(pixels, chunks.exif, chunks.icc, about=replace(about, duration=frame.seconds))

    return Opened(frames, len(chunks.frames), True, chunks.loop)


def _still(header: bytes, chunks: _Chunks, about: About) -> Decoded:
    rows: list[bytes | memoryview] = list(chunks.default)
    if not chunks.complete:
        rows, missing = _completed(header, rows)
        if missing:
            about = replace(about, lost=(*about.lost, f"the last {missing} rows (the file is truncated)"))
        else:
            about = replace(about, lost=(*about.lost, "what followed the pixels (the file is truncated)"))
    return Decoded(_decode(header, chunks, rows), chunks.exif, chunks.icc, about=about)


def _sorted(data: bytes) -> _Chunks:
    chunks = _Chunks()
    taken = 0
    for kind, body, intact in _walk(data):
        if kind == b"IDAT":
            chunks.default.append(body)
            if chunks.frames and chunks.default_is_frame:
                chunks.frames[0].rows.append(body)
        elif kind == b"IEND":
            chunks.complete = True
        elif kind in _PIXELS:
            chunks.pixels.append((kind, body))
        elif kind in _ANIMATION:
            _animation(chunks, kind, body)
        elif not intact:
            chunks.lost.append(f"a damaged chunk {_name(kind)}")
        else:
            taken += len(body)
            if taken <= 4 * _MAX_INFLATED:  # many chunks that inflate a thousandfold
                _metadata(chunks, kind, bytes(body))
    if chunks.frames and (not chunks.complete or not all(frame.rows for frame in chunks.frames)):
        whole = [frame for frame in chunks.frames if frame.rows][: None if chunks.complete else -1]
        chunks.lost.append(f"{len(chunks.frames) - len(whole)} frames (the file is truncated)")
        chunks.frames = whole
        chunks.complete = chunks.complete or bool(whole)
    return chunks


def _walk(data: bytes) -> Iterator[tuple[bytes, memoryview, bool]]:
    """Name, content and whether the checksum is right of each chunk; ends where the file does, or at IEND."""
    position, view = 8, memoryview(data)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind = bytes(data[position + 4 : position + 8])
        body = view[position + 8 : position + 8 + length]
        end = position + 12 + length
        if end > len(data):
            if kind == b"IDAT":
                yield kind, body, False
            return
        # The decoder checks those of the pixels itself; a damaged one is an error there.
        stored = struct.unpack_from(">I", data, end - 4)[0]
        intact = zlib.crc32(view[position + 4 : end - 4]) == stored
        if kind in (b"IDAT", b"fdAT", b"PLTE", b"tRNS", b"IHDR") and not intact:
            raise ImageError(f"damaged png file: wrong checksum in the chunk {_name(kind)}")
        yield kind, body, intact
        if kind == b"IEND":
            return
        position = end


def _name(kind: bytes) -> str:
    return kind.decode("latin-1") if kind.isalpha() else "without a name"


def _animation(chunks: _Chunks, kind: bytes, body: memoryview) -> None:
    if kind == b"acTL" and len(body) >= 8:
        chunks.loop = struct.unpack_from(">I", body, 4)[0]
    elif kind == b"fcTL" and len(body) >= 26:
        _, width, height, left, top, above, below, disposal, blend = struct.unpack(">IIIIIHHBB", body[:26])
        if not chunks.frames:
            chunks.default_is_frame = not chunks.default
        chunks.frames.append(_Frame(width, height, left, top, above / (below or 100), disposal, blend))
    elif kind == b"fdAT" and chunks.frames:
        chunks.frames[-1].rows.append(body[4:])


def _metadata(chunks: _Chunks, kind: bytes, body: bytes) -> None:
    about = chunks.about
    if kind == b"eXIf":
        chunks.exif = body
    elif kind == b"iCCP":
        chunks.icc = _inflated(body.partition(b"\0")[2][1:])
        if chunks.icc is None:
            chunks.lost.append("ICC profile (unreadable)")
    elif kind in (*_CICP, b"gAMA", b"cHRM", b"sRGB"):
        chunks.colour[kind] = body
    elif kind == b"pHYs" and len(body) == 9:
        x, y, unit = struct.unpack(">IIB", body)
        if x and y:
            chunks.about = replace(about, resolution=Resolution(x, y, "metre" if unit == 1 else ""))
    elif kind in (b"tEXt", b"zTXt", b"iTXt"):
        _text(chunks, kind, body)
    elif kind in _OF_OLD_PIXELS:
        pass
    elif kind[3:4].islower():  # "safe to copy": whoever changes pixels may keep it unread
        chunks.about = replace(about, png_chunks=(*about.png_chunks, (kind, body)))
    else:
        chunks.lost.append(f"PNG's chunk {_name(kind)}")


def _text(chunks: _Chunks, kind: bytes, body: bytes) -> None:
    about = chunks.about
    text = _parsed_text(kind, body)
    if text is None:
        chunks.lost.append("an unreadable text entry")
    elif text.keyword == _XMP:
        chunks.about = replace(about, xmp=text.value.encode("utf-8", "surrogateescape"))
    elif text.keyword.startswith(_RAW_PROFILE):
        _raw_profile(chunks, text)
    elif text.keyword == _COMMENT and not text.language and not text.translated:
        chunks.about = replace(about, comments=(*about.comments, text.value))
    else:
        chunks.about = replace(about, text=(*about.text, text))


def _parsed_text(kind: bytes, body: bytes) -> Text | None:
    word, _, rest = body.partition(b"\0")
    keyword = word.decode("latin-1")
    if kind == b"tEXt":
        return Text(keyword, rest.decode("latin-1"))
    if kind == b"zTXt":
        value = _inflated(rest[1:])
        return None if value is None else Text(keyword, value.decode("latin-1"))
    compressed = rest[:1] == b"\1"
    parts = rest[2:].split(b"\0", 2)
    if len(parts) != 3:
        return None
    content = _inflated(parts[2]) if compressed else parts[2]
    if content is None:
        return None
    language, translated = parts[0].decode("latin-1"), parts[1].decode("utf-8", "replace")
    return Text(keyword, content.decode("utf-8", "surrogateescape"), language, translated)


def _raw_profile(chunks: _Chunks, text: Text) -> None:
    kind = text.keyword.removeprefix(_RAW_PROFILE).lower()
    try:
        content = bytes.fromhex("".join(text.value.split("\n", 3)[3].split()))
    except (IndexError, ValueError):
        chunks.lost.append(f"an unreadable profile of kind {kind[:20]}")
        return
    about = chunks.about
    if kind == "iptc":
        chunks.about = replace(about, iptc=iptc_records(content) or content)
    elif kind == "xmp" or (kind == "app1" and content.startswith(b"http:")):
        chunks.about = replace(about, xmp=about.xmp or content.partition(b"\0")[2] or content)
    elif kind in ("exif", "app1"):
        chunks.exif = chunks.exif or content
    elif kind in ("icc", "icm"):
        chunks.icc = chunks.icc or content
    else:
        chunks.lost.append(f"a profile of kind {kind[:20]}")


def iptc_records(resources: bytes) -> bytes | None:
    """The IPTC records within Photoshop's image resources, or None."""
    position = 0
    while (found := resources.find(b"8BIM", position)) >= 0 and found + 12 <= len(resources):
        (code,) = struct.unpack_from(">H", resources, found + 4)
        name = resources[found + 6] + 1
        position = found + 6 + name + name % 2
        if position + 4 > len(resources):
            return None
        (length,) = struct.unpack_from(">I", resources, position)
        position += 4
        if code == 0x0404:
            return resources[position : position + length]
        position += length + length % 2
    return None


def iptc_resource(records: bytes) -> bytes:
    """IPTC records as one of Photoshop's image resources."""
    return b"8BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records + bytes(len(records) % 2)


def _inflated(compressed: bytes) -> bytes | None:
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(compressed, _MAX_INFLATED)
    except zlib.error:
        return None
    return bytes(content) if inflater.eof else None


def _with_colour(chunks: _Chunks) -> About:
    """What is said of colours: the code points as they are, gamma and primaries unless they are those of sRGB."""
    colour = chunks.colour
    cicp = tuple((kind, colour[kind]) for kind in _CICP if kind in colour)
    srgb = (b"gAMA", _SRGB_GAMMA), (b"cHRM", _SRGB_PRIMARIES)
    gamma = tuple((kind, colour[kind]) for kind, usual in srgb if kind in colour and colour[kind] != usual)
    # With gamma and primaries that differ both stay; an ICC profile or sRGB takes precedence over them.
    kept = gamma if gamma and not chunks.icc and b"sRGB" not in colour else ()
    return replace(chunks.about, cicp=cicp, gamma=kept, lost=tuple(dict.fromkeys(chunks.lost)))


# --- Pixels ---


def _decode(header: bytes, chunks: _Chunks, rows: Iterable[bytes | memoryview]) -> np.ndarray:
    import imagecodecs

    # Comments, thumbnails and animation never reach the decoder, whatever they expand to.
    parts = [_SIGNATURE, _chunk(b"IHDR", header)]
    parts += [_chunk(kind, bytes(body)) for kind, body in chunks.pixels if kind != b"IHDR"]
    parts += [_chunk(b"IDAT", bytes(row)) for row in rows]
    pixels = imagecodecs.png_decode(b"".join([*parts, _chunk(b"IEND", b"")]))
    return np.asarray(pixels).reshape(*pixels.shape[:2], -1)


def _completed(header: bytes, rows: list[bytes | memoryview]) -> tuple[list[bytes | memoryview], int]:
    """The rows with those that a truncated file lacks, black, and how many these are.

    Raises:
        ImageError: more than half are missing.
    """
    width, height, bits, kind, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(kind, 1)
    stride = 1 + (width * bits * samples + 7) // 8
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(b"".join(rows), stride * height)
    except zlib.error as error:
        raise ImageError("truncated png file") from error
    if inflater.eof or len(content) >= stride * height:
        return rows, 0
    present = len(content) // stride
    if interlaced or present < height / 2:
        raise ImageError(f"truncated png file: {present} of {height} rows are there")
    padded = content[: present * stride].ljust(stride * height, b"\0")
    return [zlib.compress(padded, 1)], height - present


def _composed(header: bytes, chunks: _Chunks) -> Iterator[np.ndarray]:
    """The frames of an animation as they are seen, each (H, W, N) of the whole picture."""
    width, height = struct.unpack_from(">II", header)
    canvas: np.ndarray | None = None
    for frame in chunks.frames:
        if frame.left + frame.width > width or frame.top + frame.height > height:
            raise ImageError("damaged png file: a frame lies outside the picture")
        part = _decode(struct.pack(">II", frame.width, frame.height) + header[8:], chunks, frame.rows)
        if canvas is None:
            canvas = np.zeros((height, width, part.shape[2]), part.dtype)
        before = canvas.copy() if frame.disposal == 2 else None
        area = canvas[frame.top : frame.top + frame.height, frame.left : frame.left + frame.width]
        area[:] = _over(part, area) if frame.blend and part.shape[2] in (2, 4) else part
        yield canvas.copy()
        if frame.disposal == 1:
            area[:] = 0
        elif before is not None:
            canvas = before


def _over(part: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Pixels with alpha laid over others, neither multiplied by it."""
    top = float(np.iinfo(part.dtype).max)
    above, under = part[..., -1:] / top, below[..., -1:] / top
    opacity = above + under * (1 - above)
    colours = part[..., :-1] * above + below[..., :-1] * under * (1 - above)
    colours = np.divide(colours, opacity, out=np.zeros_like(colours), where=opacity > 0)
    return np.rint(np.concatenate([colours, opacity * top], axis=2)).astype(part.dtype)


# --- Writing ---


def encode(picture: Picture, quality: int | None, lost: list[str]) -> bytes:
    """A PNG file; it is lossless, so the quality says nothing."""
    data = _encode(picture)
    end_of_header = len(_SIGNATURE) + 25
    return data[:end_of_header] + _described(picture, lost) + data[end_of_header:]


def encode_frames(frames: Sequence[Picture], loop: int, quality: int | None, lost: list[str], stream: BinaryIO) -> None:
    """An APNG: the first frame's pixels where PNG has them, the others' in chunks of their own."""
    order = 0
    for number, picture in enumerate(frames):
        data = _encode(picture)
        if not number:
            stream.write(data[: len(_SIGNATURE) + 25] + _described(picture, lost))
            stream.write(_chunk(b"acTL", struct.pack(">II", len(frames), loop)))
        milliseconds = min(65535, round(picture.about.duration * 1000))
        control = (order, picture.width, picture.height, 0, 0, milliseconds, 1000, 0, 0)
        stream.write(_chunk(b"fcTL", struct.pack(">IIIIIHHBB", *control)))
        order += 1
        for kind, body, _ in _walk(data):
            if kind == b"IDAT" and number:
                stream.write(_chunk(b"fdAT", struct.pack(">I", order) + body))
                order += 1
            elif kind == b"IDAT":
                stream.write(_chunk(b"IDAT", bytes(body)))
    stream.write(_chunk(b"IEND", b""))


def _encode(picture: Picture) -> bytes:
    import imagecodecs

    pixels = with_alpha(picture.samples, picture.alpha)
    # By way of one dimension, because the encoder wants exact strides even along an axis of length 1.
    pixels = np.ravel(pixels).reshape(pixels.shape[:2] if pixels.shape[2] == 1 else pixels.shape)
    # Run lengths suit what PNG's filters leave of a photograph: level 6's size within 3 % in a quarter of its time.
    return bytes(imagecodecs.png_encode(pixels, level=1, strategy=imagecodecs.PNG.STRATEGY.RLE))


def _described(picture: Picture, lost: list[str]) -> bytes:
    """The chunks between header and pixels."""
    about = picture.about
    chunks = b"".join(_chunk(kind, body) for kind, body in (*about.cicp, *about.gamma))
    icc = picture.icc
    if icc and icc[16:20] == (b"GRAY" if picture.channels == 1 else b"RGB "):  # as PNG prescribes
        chunks += _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc))
    elif icc:
        lost.append("ICC profile (of other colours)")
    resolution = about.resolution or exif_block.resolution(picture.exif)
    if resolution:
        x, y, unit = resolution.per("metre")
        chunks += _chunk(b"pHYs", struct.pack(">IIB", round(x), round(y), bool(unit)))
    if picture.exif:
        chunks += _chunk(b"eXIf", picture.exif)
    entries = [Text(_COMMENT, comment) for comment in about.comments] + list(about.text)
    if about.xmp:
        entries.append(Text(_XMP, about.xmp.decode("utf-8", "surrogateescape"), "x-default"))
    if about.iptc:
        entries.append(Text(_RAW_PROFILE + "iptc", _in_hexadecimal("iptc", iptc_resource(about.iptc))))
    chunks += b"".join(_text_chunk(entry) for entry in entries)
    return chunks + b"".join(_chunk(kind, body) for kind, body in about.png_chunks)


def _text_chunk(text: Text) -> bytes:
    keyword = text.keyword.encode("latin-1", "replace")[:79]
    plain = re.fullmatch(r"[\x01-\x7e\xa0-\xff]*", text.value)
    if plain and not text.language and not text.translated:
        content = text.value.encode("latin-1")
        if len(content) < 1000:
            return _chunk(b"tEXt", keyword + b"\0" + content)
        return _chunk(b"zTXt", keyword + b"\0\0" + zlib.compress(content))
    content = text.value.encode("utf-8", "surrogateescape")
    language = "" if text.keyword == _XMP else text.language
    head = keyword + b"\0\0\0" + language.encode("latin-1", "replace") + b"\0" + text.translated.encode() + b"\0"
    return _chunk(b"iTXt", head + content)


def _in_hexadecimal(kind: str, content: bytes) -> str:
    digits = content.hex()
    lines = "\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
    return f"\n{kind}\n{len(content):8d}\n{lines}\n"


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
