"""TIFF, by tifffile."""

import logging
from io import BytesIO
from typing import Any

import numpy as np

from ..errors import ImageError
from . import exif as exif_block
from .container import Decoded, check_size
from .picture import Picture
from .samples import in_whole_bytes, with_alpha

_GREY_INVERTED, _GREY, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_JPEG = 7
_PREMULTIPLIED = 1
_ICC, _COLORMAP, _ORIENTATION, _DNG_VERSION = 34675, 320, 274, 50706

# tifffile logs what it finds wrong with a file; here an error says so, and without a handler it would be printed.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def decode(data: bytes, max_pixels: int) -> Decoded:
    """What a TIFF file holds; one with more pixels than `max_pixels` is an ImageError before they are decoded."""
    import tifffile

    with tifffile.TiffFile(BytesIO(data)) as tiff:
        page = tiff.pages.first
        check_size(page.imagewidth, page.imagelength, max_pixels)
        _check(page, len(data))
        pixels = page.asarray()
        if pixels.size != page.imagelength * page.imagewidth * page.samplesperpixel:
            raise ImageError("damaged tiff file: not as many pixels as it says")
        if page.planarconfig == 2:
            pixels = np.moveaxis(pixels.reshape(page.samplesperpixel, *page.shape[-2:]), 0, 2)
        pixels = _colours(page, pixels.reshape(page.imagelength, page.imagewidth, page.samplesperpixel))
        tags = page.tags
        icc, orientation = tags.valueof(_ICC), tags.valueof(_ORIENTATION, 1)
    return Decoded(pixels, exif_block.from_tiff(data), icc, orientation if orientation in range(1, 9) else 1)


def _check(page: Any, size: int) -> None:
    """Refuse what would not come out as it is meant, and pixels that lie outside the file (tifffile makes them 0)."""
    if page.tags.get(_DNG_VERSION) is not None or page.subfiletype & 1:
        raise ImageError("a camera's raw file, of which only a preview could be read: develop it first")
    if page.sampleformat != 1 or page.bitspersample > 16:
        raise ImageError(
            f"tiff with {page.bitspersample}-bit {'integer' if page.sampleformat in (1, 2) else 'float'} samples: "
            "only unsigned integers of up to 16 bits are read"
        )
    grey = page.photometric in (_GREY_INVERTED, _GREY, _PALETTE)
    from_jpeg = page.photometric == _YCBCR and page.compression == _JPEG  # its decoder returns RGB
    if not (grey or from_jpeg or page.photometric == _RGB) or page.imagedepth != 1:
        raise ImageError(f"tiff with colours of kind {getattr(page.photometric, 'name', page.photometric)} is not read")
    if page.samplesperpixel < (1 if grey else 3):
        raise ImageError(f"damaged tiff file: {page.samplesperpixel} samples per pixel")
    pieces = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    complete = all(count > 0 and offset + count <= size for offset, count in pieces)
    if not complete or len(pieces) < np.prod(page.chunked):
        raise ImageError("truncated tiff file")


def _colours(page: Any, pixels: np.ndarray) -> np.ndarray:
    """Samples of a page as grey or RGB and alpha, of 8 or 16 bits."""
    if page.photometric == _PALETTE:
        colormap = np.asarray(page.tags.valueof(_COLORMAP)).reshape(3, -1)
        # Entries have 16 bits, though old programs wrote 8.
        palette = (colormap >> 8 if colormap.max() > 255 else colormap).astype(np.uint8)
        colours: np.ndarray = palette.T[pixels[..., 0]]
        return colours
    pixels = in_whole_bytes(pixels, page.bitspersample)
    white = np.iinfo(pixels.dtype).max
    first = 1 if page.photometric in (_GREY_INVERTED, _GREY) else 3
    samples, extra = pixels[..., :first], pixels[..., first : first + 1]
    if page.photometric == _GREY_INVERTED:
        samples = white - samples
    if not extra.size:
        return samples
    if page.extrasamples and page.extrasamples[0] == _PREMULTIPLIED:
        opacity = np.maximum(extra, 1).astype(np.uint32)
        samples = np.minimum((samples.astype(np.uint32) * white + opacity // 2) // opacity, white).astype(pixels.dtype)
    return np.concatenate([samples, extra], axis=2)


def encode(picture: Picture, quality: int) -> bytes:
    """A TIFF file; it is lossless, so the quality says nothing."""
    import tifffile

    pixels = with_alpha(picture.samples, picture.alpha)
    stream = BytesIO()
    tifffile.imwrite(
        stream,
        pixels[..., 0] if pixels.shape[2] == 1 else pixels,
        byteorder=exif_block.byte_order_mark(picture.exif or b"II"),
        photometric="minisblack" if picture.channels == 1 else "rgb",
        planarconfig=None if pixels.shape[2] == 1 else "contig",
        extrasamples=None if picture.alpha is None else ["unassalpha"],
        compression="deflate",
        predictor=True,
        rowsperstrip=max(1, 2**20 // (pixels.itemsize * pixels.shape[1] * pixels.shape[2])),
        iccprofile=picture.icc,
        metadata=None,
        software=False,
    )
    data = stream.getvalue()
    # Over 4 GB tifffile writes BigTIFF, whose directories are laid out otherwise.
    return exif_block.into_tiff(data, picture.exif) if picture.exif and data[2:4] in (b"*\0", b"\0*") else data
