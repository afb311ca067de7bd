"""What an image file can hold beside its first eight bits of grey or RGB, and which formats hold it: the one table.

Every reader fills a `Picture` with what it finds, every writer takes out what its format holds; what remains is lost,
and `lost_in` says so. `docs/formats.md` is made from this table;
`tests/test_images_contents.py` tries every cell of it.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .picture import Picture


class Content(Enum):
    """One kind of content; the value is what a note calls it."""

    ALPHA = "alpha"
    SIXTEEN = "16 bits a sample"
    WIDE = "float, signed or 32-bit samples"
    FURTHER = "further channels"
    ANIMATION = "animation"
    PAGES = "pages"
    ICC = "ICC profile"
    CICP = "code points of gamut and transfer (cICP, HDR)"
    GAMMA = "gamma and primaries (gAMA, cHRM)"
    EXIF = "EXIF"
    XMP = "XMP"
    IPTC = "IPTC"
    COMMENT = "comment"
    TEXT = "text entries"
    RESOLUTION = "resolution"
    TIFF_TAGS = "TIFF tags (GeoTIFF, ImageJ, OME)"
    PNG_CHUNKS = "private PNG chunks"
    GAIN_MAP = "gain map (Ultra HDR)"
    FILM = "film (motion photo)"


_C = Content
_PIXELS = {_C.ALPHA, _C.SIXTEEN}
_NOTES = {_C.EXIF, _C.XMP, _C.RESOLUTION}

KEEPS: dict[str, frozenset[Content]] = {
    "png": frozenset(
        _PIXELS | _NOTES | {_C.ANIMATION, _C.ICC, _C.CICP, _C.GAMMA, _C.IPTC, _C.COMMENT, _C.TEXT, _C.PNG_CHUNKS}
    ),
    "jpg": frozenset(_NOTES | {_C.PAGES, _C.ICC, _C.IPTC, _C.COMMENT, _C.GAIN_MAP, _C.FILM}),
    "webp": frozenset(_NOTES | {_C.ALPHA, _C.ANIMATION, _C.ICC}),
    "avif": frozenset(_NOTES | {_C.ALPHA, _C.ANIMATION, _C.ICC, _C.CICP}),
    "tiff": frozenset(_PIXELS | _NOTES | {_C.WIDE, _C.FURTHER, _C.PAGES, _C.ICC, _C.IPTC, _C.TIFF_TAGS}),
    "gif": frozenset({_C.ALPHA, _C.ANIMATION, _C.COMMENT}),
    "jxl": frozenset(_PIXELS | _NOTES),
    "heic": frozenset(_NOTES | {_C.ALPHA, _C.PAGES, _C.ICC}),
    "i2i": frozenset({_C.ALPHA, _C.SIXTEEN, _C.ICC, _C.EXIF}),
}
"""Format: what a writer of it keeps. What each reader finds stands in its module."""


def contents(picture: Picture) -> set[Content]:
    """What a picture holds of the table; frames and pages are the file's, not the picture's."""
    about = picture.about
    held = {
        _C.ALPHA: picture.alpha is not None,
        _C.SIXTEEN: picture.samples.dtype == np.uint16,
        _C.WIDE: picture.samples.dtype not in (np.uint8, np.uint16),
        _C.FURTHER: picture.further is not None,
        _C.ICC: picture.icc,
        _C.CICP: about.cicp,
        _C.GAMMA: about.gamma,
        _C.EXIF: picture.exif,
        _C.XMP: about.xmp,
        _C.IPTC: about.iptc,
        _C.COMMENT: about.comments,
        _C.TEXT: about.text,
        _C.RESOLUTION: about.resolution,
        _C.TIFF_TAGS: about.tiff_tags,
        _C.PNG_CHUNKS: about.png_chunks,
        _C.GAIN_MAP: about.gain_map,
        _C.FILM: about.film,
    }
    return {content for content, there in held.items() if there}


def lost_in(picture: Picture, format: str) -> list[str]:
    """What a format cannot hold of a picture, in the words of a note and in the table's order."""
    lost = contents(picture) - KEEPS[format]
    return [content.value for content in Content if content in lost]
