"""TIFF and BigTIFF, by tifffile; what it cannot decode by libtiff (imagecodecs)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np

from ..errors import ImageError
from . import exif as exif_block
from . import raw
from .container import Decoded, Opened, check_size
from .picture import About, Picture, Scale, scale_of
from .samples import from_cmyk, from_lab, in_whole_bytes, with_alpha

_GREY_INVERTED, _GREY, _RGB, _PALETTE, _MASK, _CMYK, _YCBCR, _LAB, _ICC_LAB, _ITU_LAB = 0, 1, 2, 3, 4, 5, 6, 8, 9, 10
_GREYS = (_GREY_INVERTED, _GREY, _PALETTE, _MASK)
_JPEG, _OLD_JPEG, _FAX = 7, 6, (2, 3, 4, 32771)
_UNSPECIFIED, _PREMULTIPLIED, _STRAIGHT = 0, 1, 2
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_REDUCED, _MASK_PAGE = 1, 4
_DESCRIPTION, _COLORMAP, _ORIENTATION, _DNG_VERSION = 270, 320, 274, 50706
_XMP, _IPTC, _RESOURCES, _ICC = 700, 33723, 34377, 34675
# Where on Earth the pixels lie, and in which order ImageJ's planes stand: true of the new pixels as of the old.
_KEPT = {33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113, 50838, 50839}
_STACK_NOTES = ("ImageJ=", "<?xml", "<OME")
STACK_TAGS = (_DESCRIPTION, 50838, 50839)
"""Tags that describe all pages of a file, in its first one."""
# How the old pixels were stored, and what `exif_block.from_tiff` takes.
_STRUCTURE = {
    *range(254, 270),
    *range(272, 300),
    *range(301, 316),
    *range(316, 351),
    347,
    *range(512, 533),
    32781,
    32934,
}
_DESCRIPTIVE = {
    270,
    271,
    272,
    282,
    283,
    296,
    305,
    306,
    315,
    316,
    18246,
    33432,
    34665,
    34853,
    40965,
    *range(40091, 40096),
}
_NAMES = {34377: "Photoshop's image resources", 37724: "Photoshop's layers", 330: "smaller copies (SubIFDs)"}
_FEWEST_PIECES = 0.5  # of a truncated page; with fewer it is an error
_CLASSIC_LIMIT = 2**32 - 2**25

# tifffile logs what it finds wrong with a file; here an error says so, and without a handler it would be printed.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def open_file(data: bytes, max_pixels: int) -> Opened:
    """A TIFF file; a page with more pixels than `max_pixels` is an ImageError before it is decoded."""
    import tifffile

    tiff: Any = tifffile.TiffFile(BytesIO(data))
    first = tiff.pages.first
    check_size(first.imagewidth, first.imagelength, max_pixels)
    if first.tags.get(_DNG_VERSION) is not None or first.subfiletype & _REDUCED:
        return raw.open_file(data, max_pixels)  # a preview is all that TIFF tells of it
    numbers, others = _pages(tiff)
    planes = _planes_without_directories(tiff, first) if len(numbers) == 1 else 1
    if planes > 1:
        return Opened(lambda: _contiguous(data, first, planes), planes)

    def frames() -> Iterator[Decoded]:
        scale: Scale | None = None
        for place in numbers:
            page = tiff.pages[place]
            check_size(page.imagewidth, page.imagelength, max_pixels)
            try:
                decoded = _decode(page, data, scale)
            except Exception as error:
                if len(numbers) == 1:
                    raise
                raise ImageError(f"page {numbers.index(place) + 1}: {' '.join(str(error).split())}") from error
            scale = scale or decoded.scale  # one for all, so that pages remain comparable
            if place == numbers[0] and others:
                decoded.about = replace(decoded.about, lost=(*decoded.about.lost, others))
            yield decoded

    return Opened(frames, len(numbers))


def _pages(tiff: Any) -> tuple[list[int], str]:
    """The pages that are pictures of their own, and in words what the other ones are."""
    kinds = [page.tags.valueof(254, 0) if hasattr(page, "tags") else 0 for page in tiff.pages]
    pages = [i for i, kind in enumerate(kinds) if not kind & (_REDUCED | _MASK_PAGE)]
    rest = len(kinds) - len(pages)
    return pages or [0], f"{rest} smaller copies or masks" if rest and pages else ""


def _planes_without_directories(tiff: Any, page: Any) -> int:
    """ImageJ stores large stacks behind one directory, which tells of the first plane only."""
    planes = int((tiff.imagej_metadata or {}).get("images", 1))
    size = int(np.prod(page.shape)) * page.bitspersample // 8
    fits = page.compression == 1 and page.is_contiguous and size and page.bitspersample in (8, 16, 32)
    return planes if fits and page.dataoffsets[0] + planes * size <= tiff.filehandle.size else 1


def _contiguous(data: bytes, page: Any, planes: int) -> Iterator[Decoded]:
    dtype = np.dtype(page.dtype).newbyteorder(page.parent.byteorder)
    size = int(np.prod(page.shape)) * dtype.itemsize
    scale: Scale | None = None
    for plane in range(planes):
        stored = np.frombuffer(data, dtype, size // dtype.itemsize, page.dataoffsets[0] + plane * size)
        decoded = _described(page, data, _native(stored).reshape(page.shape), (), scale)
        scale = scale or decoded.scale
        yield decoded


def _decode(page: Any, data: bytes, scale: Scale | None) -> Decoded:
    """One page.

    Raises:
        ImageError: it is of a kind that is not read, or too little of it is there.
    """
    lost = list(_check(page, len(data)))
    if page.compression in (*_FAX, _OLD_JPEG) or (page.photometric == _YCBCR and page.compression != _JPEG):
        return _described(page, data, _by_libtiff(page, data), lost, scale, rgb=True)
    try:
        pixels = page.asarray()
    except Exception as error:
        if page.bitspersample > 8:
            raise
        try:
            pixels = _by_libtiff(page, data)
        except Exception:
            raise error from None
        return _described(page, data, pixels, lost, scale, rgb=True)
    if pixels.size != page.imagelength * page.imagewidth * page.samplesperpixel:
        raise ImageError("damaged tiff file: not as many pixels as it says")
    return _described(page, data, pixels, lost, scale)


def _by_libtiff(page: Any, data: bytes) -> np.ndarray:
    """Fax, old JPEG and YCbCr, which tifffile leaves to others: RGB, grey where it can be nothing else."""
    import imagecodecs

    pixels = np.asarray(imagecodecs.tiff_decode(bytes(data), index=page.index, asrgb=True))[..., :3]
    return pixels[..., :1] if page.photometric in _GREYS[:2] else pixels


def _check(page: Any, size: int) -> Iterator[str]:
    """Refuse what would not come out as it is meant; yield what is missing, which tifffile makes 0."""
    if page.sampleformat not in (_UNSIGNED, _SIGNED, _FLOAT, 4) or page.bitspersample > 64:
        raise ImageError(f"tiff with {page.bitspersample}-bit complex or unknown samples is not read")
    colours = (*_GREYS, _RGB, _CMYK, _YCBCR, _LAB, _ICC_LAB, _ITU_LAB)
    if page.photometric not in colours or page.imagedepth != 1:
        raise ImageError(f"tiff with colours of kind {getattr(page.photometric, 'name', page.photometric)} is not read")
    if page.samplesperpixel < _colours_of(page):
        raise ImageError(f"damaged tiff file: {page.samplesperpixel} samples per pixel")
    pieces = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    complete = sum(count > 0 and offset + count <= size for offset, count in pieces)
    expected = max(len(pieces), int(np.prod(page.chunked)))
    if complete < expected:
        if complete < expected * _FEWEST_PIECES:
            raise ImageError(f"truncated tiff file: {complete} of {expected} strips or tiles are there")
        yield f"{expected - complete} of {expected} strips or tiles (the file is truncated)"


def _colours_of(page: Any) -> int:
    return 1 if page.photometric in _GREYS else 4 if page.photometric == _CMYK else 3


def _native(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _described(
    page: Any, data: bytes, pixels: np.ndarray, lost: Sequence[str], scale: Scale | None, rgb: bool = False
) -> Decoded:
    """Pixels as they are stored, with all that the page says; `rgb`: they are grey or RGB already."""
    tags = page.tags
    lost = list(lost)
    icc = tags.valueof(_ICC)
    if rgb:
        decoded = Decoded(pixels)
    else:
        if page.planarconfig == 2 and page.samplesperpixel > 1:
            pixels = np.moveaxis(pixels.reshape(page.samplesperpixel, page.imagelength, page.imagewidth), 0, 2)
        pixels = pixels.reshape(page.imagelength, page.imagewidth, page.samplesperpixel)
        decoded = _colours(page, _native(pixels), icc, lost, scale)
    orientation = tags.valueof(_ORIENTATION, 1)
    decoded.exif = exif_block.from_tiff(data, page.offset)
    decoded.icc = icc
    decoded.orientation = orientation if orientation in range(1, 9) else 1
    kept, unknown = _tags(page)
    decoded.about = About(
        xmp=_as_bytes(tags.valueof(_XMP)),
        iptc=_as_bytes(_raw(page, _IPTC)),
        resolution=exif_block.resolution(decoded.exif),
        tiff_tags=kept,
        lost=tuple(dict.fromkeys((*lost, *unknown))),
    )
    return decoded


def _tags(page: Any) -> tuple[tuple[tuple[int, int, int, bytes], ...], list[str]]:
    """The tags that are kept as they are, and what the others are called that are not."""
    kept: list[tuple[int, int, int, bytes]] = []
    lost: list[str] = []
    for tag in page.tags:
        note = tag.code == _DESCRIPTION and str(tag.value).lstrip().startswith(_STACK_NOTES)
        if (tag.code in _KEPT or note) and (value := _raw(page, tag.code)):
            kept.append((tag.code, int(tag.dtype), tag.count, value))
        elif tag.code not in (_STRUCTURE | _DESCRIPTIVE | _KEPT | {_XMP, _IPTC, _ICC}) or tag.code in _NAMES:
            lost.append(_NAMES.get(tag.code, f"TIFF tag {tag.code}"))
    return tuple(kept), lost


def _raw(page: Any, code: int) -> bytes:
    """A tag's value as it is stored, little-endian."""
    tag = page.tags.get(code)
    if tag is None:
        return b""
    value = tag.value
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace") + b"\0"
    layouts = {1: "u1", 3: "<u2", 4: "<u4", 6: "i1", 8: "<i2", 9: "<i4", 11: "<f4", 12: "<f8", 13: "<u4", 16: "<u8"}
    layout = layouts.get(int(tag.dtype))
    return b"" if layout is None or isinstance(value, dict) else np.asarray(value).ravel().astype(layout).tobytes()


def _as_bytes(value: Any) -> bytes | None:
    if isinstance(value, str):
        return value.encode()
    return bytes(value) if value else None


def _colours(page: Any, pixels: np.ndarray, icc: bytes | None, lost: list[str], scale: Scale | None) -> Decoded:
    """Samples of a page as grey or RGB, alpha and further channels."""
    first = _colours_of(page)
    if page.photometric == _PALETTE:
        colormap = np.asarray(page.tags.valueof(_COLORMAP)).reshape(3, -1)
        # Entries have 16 bits, though old programs wrote 8.
        palette = (colormap >> 8 if colormap.max() > 255 else colormap).astype(np.uint8)
        return Decoded(palette.T[pixels[..., 0]], further=_some(pixels[..., 1:]))
    if page.sampleformat in (_SIGNED, _FLOAT) or page.bitspersample > 16:
        if (first == 3 and page.photometric != _RGB) or first == 4:
            raise ImageError("tiff with CMYK, YCbCr or Lab in other samples than unsigned ones is not read")
        if page.bitspersample not in (8, 16, 32, 64):
            raise ImageError(f"tiff with {page.bitspersample}-bit samples of this kind is not read")
        if pixels.dtype == bool:
            pixels = pixels.astype(np.uint8)
    else:
        pixels = in_whole_bytes(pixels, page.bitspersample)
    samples, extra = pixels[..., :first], pixels[..., first:]
    if page.photometric == _GREY_INVERTED and pixels.dtype in (np.uint8, np.uint16):
        samples = np.iinfo(pixels.dtype).max - samples
    elif page.photometric == _CMYK:
        lost.append(f"CMYK (converted to RGB{' by its profile' if icc else ''})")
        samples = from_cmyk(samples, icc)
    elif page.photometric in (_LAB, _ICC_LAB, _ITU_LAB):
        lost.append("Lab (converted to sRGB)")
        samples = from_lab(samples, offset=page.photometric != _LAB)
    place = _alpha_place(page, extra.shape[2])
    if place is None:
        alpha, further = extra[..., :0], extra
    else:
        alpha = extra[..., place : place + 1]
        further = np.delete(extra, place, axis=2) if extra.shape[2] > 1 else extra[..., :0]
        if _extra_kinds(page)[place : place + 1] == (_PREMULTIPLIED,):
            samples = _straight(samples, alpha)
            if alpha.dtype in (np.uint8, np.uint16):
                lost.append("premultiplied alpha (divided out)")
    if samples.dtype in (np.uint8, np.uint16):
        return Decoded(_joined(samples, alpha), further=_some(further))
    return Decoded(_joined(samples, alpha), further=_some(further), scale=scale or scale_of(samples))


def _joined(samples: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.concatenate([samples, alpha.astype(samples.dtype, copy=False)], axis=2) if alpha.size else samples


def _some(further: np.ndarray) -> np.ndarray | None:
    return np.ascontiguousarray(further) if further.size else None


def _extra_kinds(page: Any) -> tuple[int, ...]:
    return tuple(int(kind) for kind in page.extrasamples or ())


def _alpha_place(page: Any, count: int) -> int | None:
    """Which of the samples behind the colours is alpha; a single one of which nothing is said is."""
    kinds = _extra_kinds(page)
    place = next((i for i, kind in enumerate(kinds[:count]) if kind in (_PREMULTIPLIED, _STRAIGHT)), None)
    return 0 if place is None and count == 1 and not kinds else place


def _straight(samples: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colours that were multiplied by alpha, divided by it, rounded and at most white."""
    if not np.issubdtype(samples.dtype, np.integer):
        return np.divide(samples, alpha, out=np.zeros_like(samples), where=alpha > 0)
    white = np.iinfo(samples.dtype).max
    opacity = np.maximum(alpha, 1).astype(np.uint64)
    return np.minimum((samples.astype(np.uint64) * white + opacity // 2) // opacity, white).astype(samples.dtype)


# --- Writing ---


def encode_frames(frames: Sequence[Picture], loop: int, quality: int | None, lost: list[str], stream: BinaryIO) -> None:
    """A TIFF file, a page for each picture; it is lossless, so the quality says nothing.

    Over 4 GB it becomes a BigTIFF, whose directories are laid out otherwise: EXIF is then left out.
    """
    import tifffile

    big = len(frames) * frames[0].nbytes > _CLASSIC_LIMIT
    blocks: list[bytes | None] = []
    order = exif_block.byte_order_mark(frames[0].exif or b"II")
    with tifffile.TiffWriter(stream, bigtiff=big, byteorder=order) as tiff:
        for picture in frames:
            _write_page(tiff, picture, order)
            fits = picture.exif and exif_block.byte_order_mark(picture.exif) == order
            blocks.append(picture.exif if fits else None)
            if picture.exif and (big or not fits):
                lost.append("EXIF (of files over 4 GB)" if big else "EXIF (of pages in another byte order)")
    if any(blocks) and not big:
        exif_block.into_tiff(stream, blocks)


def _write_page(tiff: Any, picture: Picture, order: str) -> None:
    about, further = picture.about, picture.further
    samples, alpha = picture.samples, picture.alpha
    kinds = [] if alpha is None else ["unassalpha"]
    pixels = with_alpha(samples, alpha)
    if further is not None:
        pixels = np.concatenate([pixels, further.astype(pixels.dtype, copy=False)], axis=2)
        kinds += ["unspecified"] * further.shape[2]
    depth = pixels.shape[2]
    tags: list[tuple[int, int, int, Any, bool]] = []
    if about.xmp:
        tags.append((_XMP, 1, len(about.xmp), about.xmp, True))
    if about.iptc:
        tags.append((_IPTC, 7, len(about.iptc), about.iptc, True))
    tags += [(code, kind, count, _values(kind, value), True) for code, kind, count, value in about.tiff_tags]
    resolution = about.resolution
    options: dict[str, Any] = {}
    if resolution:
        unit = resolution.unit if resolution.unit in ("", "cm") else "inch"
        x, y, _ = resolution.per(unit) if unit else resolution
        options = {
            "resolution": (x, y),
            "resolutionunit": {"": "NONE", "inch": "INCH", "cm": "CENTIMETER"}[unit],
        }
    tiff.write(
        pixels[..., 0] if depth == 1 else pixels,
        photometric="minisblack" if picture.channels == 1 else "rgb",
        planarconfig=None if depth == 1 else "contig",
        extrasamples=kinds or None,
        compression="deflate",
        predictor=pixels.dtype.itemsize <= 4 or np.issubdtype(pixels.dtype, np.floating),
        rowsperstrip=max(1, 2**20 // (pixels.itemsize * pixels.shape[1] * depth)),
        iccprofile=picture.icc,
        metadata=None,
        software=False,
        extratags=tags,
        contiguous=False,
        **options,
    )


def _values(kind: int, value: bytes) -> Any:
    """A stored value as tifffile takes it."""
    if kind == 2:
        return value.rstrip(b"\0").decode("utf-8", "replace")
    layouts = {3: "<u2", 4: "<u4", 6: "i1", 8: "<i2", 9: "<i4", 11: "<f4", 12: "<f8", 13: "<u4", 16: "<u8"}
    return np.frombuffer(value, layouts[kind]).tolist() if kind in layouts else value
