"""Image files: the only place where bytes become pixels, and pixels bytes.

Files are told apart by their first bytes. What each decoder does with a damaged file differs; here it is an ImageError,
or, where most of the picture is there and viewers show it, a picture whose `about.lost` says what is missing.
(Not seen: a JPEG with damage in the middle and a proper end.)
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, Literal, NamedTuple, cast

import numpy as np

from ..errors import FormatError, ImageError
from . import avif, exr, gif, heic, jpeg, jpeg2000, jxl, png, raw, simple, tiff, webp
from . import exif as exif_block
from .container import Decoded, Opened, fitting_profile
from .contents import KEEPS, Content, lost_in
from .formats import HEAD, JUNK, KNOWN, MAX_PIXELS, MAX_SIDE, detect
from .frames import Frames
from .picture import About, Picture, in_sixteen_bits
from .samples import in_8_bits, turned
from .thumbnail import thumbnail_of
from .tiff import STACK_TAGS


class _Format(NamedTuple):
    """What reads and writes a format."""

    open: Callable[[bytes, int], Opened]
    encode: Callable[[Picture, int | None, list[str]], bytes] | None = None
    encode_frames: Callable[[Sequence[Picture], int, int | None, list[str], BinaryIO], None] | None = None


_FORMATS = {
    "png": _Format(png.open_file, png.encode, png.encode_frames),
    "jpg": _Format(jpeg.open_file, jpeg.encode, jpeg.encode_frames),
    "webp": _Format(webp.open_file, webp.encode, webp.encode_frames),
    "avif": _Format(avif.open_file, avif.encode, avif.encode_frames),
    "tiff": _Format(tiff.open_file, None, tiff.encode_frames),
    "gif": _Format(gif.open_file, None, gif.encode_frames),
    "jxl": _Format(jxl.open_file, jxl.encode),
    "heic": _Format(heic.open_file, None, heic.encode_frames),
    "bmp": _Format(simple.open_bmp),
    "netpbm": _Format(simple.open_netpbm),
    "qoi": _Format(simple.open_qoi),
    "jp2": _Format(jpeg2000.open_file),
    "exr": _Format(exr.open_file),
    "raw": _Format(raw.open_file),
}
_SPOOLED = 64 * 2**20


def read_picture(
    source: Path | BinaryIO, max_pixels: int = MAX_PIXELS, *, frame: int | None = None, strict: bool = False
) -> Picture:
    """Read one image in 8 or 16 bits: of an animation or a document the first frame or page, or another.

    Palettes, bit depths below 8 and CMYK become 8-bit grey or RGB (CMYK through its ICC profile where it has one),
    depths of 9 to 15 bits become 16; AVIF of more than 8 bits is reduced to 8; float, signed and 32-bit samples become
    16 bits from their least to their greatest value. The EXIF orientation is applied. What is lost by this,
    `about.lost` of the picture says.

    Args:
        source: a file, or a stream open for reading bytes, which may be a pipe.
        max_pixels: larger images are refused before their pixels are decoded.
        frame: its number, from 1.
        strict: refuse a file of which something would be lost.

    Raises:
        ImageError: no image in a known format, damaged, or too large; one line without the path.
    """
    frames = read_frames(source, max_pixels, frame=frame)
    picture = frames[0]
    said = list(picture.about.lost)
    if len(frames) > 1:
        said.append(_from_the_second(frames))
    if picture.scale is not None:
        said.append(f"{picture.samples.dtype} samples (rounded to 16 bits)")
        picture = in_sixteen_bits(picture)
    picture = replace(picture, about=replace(picture.about, duration=0.0, lost=tuple(said)))
    _refuse_losses(said, strict)
    return picture


def read_8_bits(path: Path) -> np.ndarray:
    """A picture file's samples as (H, W, 1 or 3) uint8, those of 16 bits rounded; alpha is left out.

    Raises:
        ImageError: as `read_picture`; the line begins with the path.
    """
    try:
        return in_8_bits(read_picture(path).samples)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def read_frames(
    source: Path | BinaryIO, max_pixels: int = MAX_PIXELS, *, frame: int | None = None, strict: bool = False
) -> Frames:
    """Open an image, an animation or a document of several pages; as `read_picture`, but with samples of any type.

    Args:
        source: as of `read_picture`.
        max_pixels: larger frames are refused.
        frame: take this one alone, from 1.
        strict: refuse a file of which something would be lost.

    Raises:
        ImageError: as of `read_picture`; also later, when a further frame is decoded.
    """
    format, data = _read_bytes(source)
    with _as_image_errors(format):
        opened = _FORMATS[format].open(data, max_pixels)
    if frame is not None and not 1 <= frame <= opened.count:
        raise ImageError(f"there is no frame {frame}: it has {opened.count}")

    def begin() -> Iterator[Picture]:
        with _as_image_errors(format):
            for number, decoded in enumerate(opened.frames(), 1):
                if frame in (None, number):
                    picture = _finish(decoded, format)
                    if frame is not None:
                        picture = _alone(picture, opened.count)
                    _refuse_losses(picture.about.lost, strict)
                    yield picture
                if frame == number:
                    return

    if frame is not None:
        return Frames(begin, 1, False)
    return Frames(begin, opened.count, opened.animated, opened.loop)


def write_picture(
    picture: Picture,
    target: Path | BinaryIO,
    format: str,
    quality: int | None = None,
    *,
    metadata: Literal["keep", "none"] = "keep",
    strict: bool = False,
) -> list[str]:
    """Write one image.

    What each format keeps, `contents.KEEPS` says. JPEG, WebP and AVIF have 8 bits a sample (rounded) and lose a
    little. JPEG has no alpha: the picture is laid on white. WebP has no grey, which becomes RGB.

    Args:
        picture: what to write.
        target: a file, overwritten if it exists, or a stream open for writing bytes.
        format: `png`, `jpg`, `webp`, `avif`, `tiff`, `gif`, `jxl` or `heic`.
        quality: 1 to 100 for formats of DEFAULT_QUALITY; the others have none. None
            takes for a JPEG that was one the quality and subsampling it had.
        metadata: `none` leaves out all that is neither pixels nor needed to show them.
        strict: refuse to write a file that lacks something of the picture.

    Returns:
        what the file lacks of the picture, and the picture of the file that it was read from, in words.

    Raises:
        ImageError: the format cannot hold the picture, or the file cannot be written; one line without the path.
        ValueError: no such format or quality.
    """
    return write_frames(Frames.of(picture), target, format, quality, metadata=metadata, strict=strict)


def write_frames(
    frames: Frames,
    target: Path | BinaryIO,
    format: str,
    quality: int | None = None,
    *,
    metadata: Literal["keep", "none"] = "keep",
    strict: bool = False,
) -> list[str]:
    """Write an image, an animation or a document; as `write_picture`.

    In a format that has no frames or pages only the first is written; an animation becomes a TIFF's pages.
    """
    if format not in _FORMATS or format not in KEEPS:
        raise ValueError(f"no such format: {format}")
    if quality is not None and not 1 <= quality <= 100:
        raise ValueError(f"quality must be 1 to 100, not {quality}")
    first = frames[0]
    if max(first.width, first.height) > MAX_SIDE.get(format, 2**31):
        raise ImageError(
            f"{format} has at most {MAX_SIDE[format]} pixels a side, this picture {first.width}x{first.height}"
        )
    lost = [*frames_lost_in(frames, format)]
    kept = frames if takes_frames(frames, format) else Frames.of(_alone(first, len(frames)))
    prepared = _Prepared(kept, format, metadata)
    lost = [*first.about.lost, *lost, *lost_in(prepared.unreduced(), format)]
    with _buffer(len(kept) * first.nbytes) as stream:
        try:
            _encode(prepared, format, quality, lost, stream)
        except (ImageError, OSError):
            raise
        except Exception as error:  # encoders raise as freely as decoders
            raise ImageError(f"cannot be written as {format}: {_one_line(error)}") from error
        lost = list(dict.fromkeys(lost))
        _refuse_losses(lost, strict)
        _deliver(stream, target)
    return lost


def takes_frames(frames: Frames, format: str) -> bool:
    """Whether all frames or pages can be written in a format; else only the first."""
    content = Content.ANIMATION if frames.animated else Content.PAGES
    return len(frames) == 1 or content in KEEPS[format] or (Content.PAGES in KEEPS[format] and format == "tiff")


def frames_lost_in(frames: Frames, format: str) -> list[str]:
    """What a format does not hold of frames and their timing, in words."""
    if len(frames) == 1:
        return []
    if not takes_frames(frames, format):
        return [_from_the_second(frames)]
    return ["timing of the frames"] if frames.animated and Content.ANIMATION not in KEEPS[format] else []


def _from_the_second(frames: Frames) -> str:
    name = "frame" if frames.animated else "page"
    return f"{name} 2" if len(frames) == 2 else f"{name}s 2 to {len(frames)}"


def _encode(pictures: Sequence[Picture], format: str, quality: int | None, lost: list[str], stream: BinaryIO) -> None:
    known = _FORMATS[format]
    if known.encode is not None and (len(pictures) == 1 or known.encode_frames is None):
        stream.write(known.encode(pictures[0], quality, lost))
    elif known.encode_frames is not None:
        loop = pictures.loop if isinstance(pictures, _Prepared) else 0
        known.encode_frames(pictures, loop, quality, lost, stream)


def _buffer(size: int) -> BinaryIO:
    """Where an output grows until it is whole; a large one on disk."""
    # A name, since tifffile asks for one.
    return cast(BinaryIO, NamedTemporaryFile()) if size > _SPOOLED else BytesIO()


def _deliver(stream: BinaryIO, target: Path | BinaryIO) -> None:
    stream.seek(0)
    if not isinstance(target, Path):
        shutil.copyfileobj(stream, target, 2**20)
        return
    try:
        with target.open("wb") as file:
            shutil.copyfileobj(stream, file, 2**20)
    except OSError as error:
        raise ImageError(f"cannot be written: {error.strerror or error}") from error


class _Prepared(Sequence[Picture]):
    """Frames as a format can take them: metadata that fits the pixels, samples of a type that it has."""

    def __init__(self, frames: Frames, format: str, metadata: str) -> None:
        self.loop = frames.loop
        self._frames, self._format, self._metadata = frames, format, metadata

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Picture:  # type: ignore[override]
        picture = self.unreduced(index)
        if picture.scale is not None and Content.WIDE not in KEEPS[self._format]:
            return in_sixteen_bits(picture)
        return picture

    def unreduced(self, index: int = 0) -> Picture:
        """A frame with the samples it has."""
        picture: Picture = self._frames[index]
        if self._metadata == "none":
            return without_metadata(picture)
        if picture.exif is None:
            return picture
        exif = exif_block.fitted(picture.exif, picture.width, picture.height, thumbnail_of(picture))
        return replace(picture, exif=exif)


def without_metadata(picture: Picture) -> Picture:
    """The pixels, and what is needed to show them: ICC profile, code points, gamma, duration."""
    about = picture.about
    shown = About(cicp=about.cicp, gamma=about.gamma, duration=about.duration, jpeg=about.jpeg, lossless=about.lossless)
    return replace(picture, exif=None, about=replace(shown, lost=about.lost))


def _refuse_losses(lost: Sequence[str], strict: bool) -> None:
    if lost and strict:
        raise ImageError("would lose {what}; without {0} that is only said", "strict", what=", ".join(lost))


def _read_bytes(source: Path | BinaryIO) -> tuple[str, bytes]:
    if isinstance(source, Path):
        try:
            with source.open("rb") as stream:
                return _read_bytes(stream)
        except OSError as error:
            raise ImageError(f"cannot be read: {error.strerror or error}") from error
    head = source.read(HEAD)
    if not head:
        raise FormatError("empty file")
    format = detect(head)  # before the rest is read: it may be a video of many gigabytes
    if format is None:
        head += source.read(JUNK - HEAD)
        start = head.find(b"\xff\xd8\xff")
        if start < 0:
            raise FormatError(f"not an image in a known format ({KNOWN})")
        # Viewers search for the picture, too; what cut it out of something else left a bit more.
        return "jpg", head[start:] + source.read()
    return format, head + source.read()


def _finish(decoded: Decoded, format: str) -> Picture:
    pixels, further = decoded.pixels, decoded.further
    exif, orientation = exif_block.normalise(decoded.exif), decoded.orientation
    lost = list(decoded.about.lost)
    if decoded.exif and exif is None:
        lost.append("EXIF (unreadable)")
    if exif is not None:
        found, exif = exif_block.upright(exif)
        orientation = found if found != 1 else orientation
    pixels = turned(pixels, orientation)
    colours = 1 if pixels.shape[2] < 3 else 3
    alpha = np.ascontiguousarray(pixels[..., -1]) if pixels.shape[2] in (2, 4) else None
    samples = np.ascontiguousarray(pixels[..., :colours])
    icc = fitting_profile(decoded.icc, colours)
    if decoded.icc and not icc and not any(word.startswith("CMYK") for word in lost):
        lost.append("ICC profile (of other colours)")
    about = replace(decoded.about, lost=tuple(dict.fromkeys(lost)))
    if further is not None:
        further = np.ascontiguousarray(turned(further, orientation))
    return Picture(samples, alpha, exif, icc, format, about, further, decoded.scale)


def _alone(picture: Picture, count: int) -> Picture:
    """A frame or page without the others: what is said of all of them would be false of it."""
    about = replace(picture.about, duration=0.0)
    notes = tuple(tag for tag in about.tiff_tags if tag[0] in STACK_TAGS)
    if count > 1 and notes:
        about = replace(about, tiff_tags=tuple(tag for tag in about.tiff_tags if tag not in notes))
        return replace(picture, about=about).and_lost(["ImageJ's or OME's notes on the stack"])
    return replace(picture, about=about)


class _as_image_errors:
    """Turn whatever a decoder raises on hostile bytes into an ImageError of one line."""

    def __init__(self, format: str) -> None:
        self.format = format

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None or isinstance(error, ImageError) or not isinstance(error, Exception):
            return
        if isinstance(error, MemoryError):
            raise ImageError(f"not enough memory to decode this {self.format} file") from error
        raise ImageError(f"damaged {self.format} file: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
