"""Formats by name: their suffixes, how large and how good their pictures are, and how their files begin."""

from __future__ import annotations

from ..choices import DEFAULT_QUALITY as DEFAULT_QUALITY
from ..choices import MAX_PIXELS as MAX_PIXELS
from ..errors import FormatError

FORMATS = {
    ".png": "png",
    ".apng": "png",
    ".jpg": "jpg",
    ".jpeg": "jpg",
    ".jpe": "jpg",
    ".jfif": "jpg",
    ".mpo": "jpg",
    ".webp": "webp",
    ".avif": "avif",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".gif": "gif",
    ".jxl": "jxl",
    ".heic": "heic",
    ".heif": "heic",
    ".hif": "heic",
}
"""Suffixes of files that are read and written, and their formats."""

_RAW = (".dng", ".nef", ".cr2", ".cr3", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw")
READABLE = FORMATS | {
    ".bmp": "bmp",
    ".dib": "bmp",
    ".pbm": "netpbm",
    ".pgm": "netpbm",
    ".ppm": "netpbm",
    ".pnm": "netpbm",
    ".pam": "netpbm",
    ".qoi": "qoi",
    ".jp2": "jp2",
    ".jpx": "jp2",
    ".jpf": "jp2",
    ".j2k": "jp2",
    ".j2c": "jp2",
    ".exr": "exr",
    **dict.fromkeys(_RAW, "raw"),
}
"""Suffixes of files that are read, and their formats."""

DEEP = {".tif": ".tif", ".tiff": ".tiff", ".exr": ".tiff", **dict.fromkeys(_RAW, ".tiff")}
"""Suffixes whose files may hold what no PNG does, or are as long again as a TIFF, and which output suits them."""

MAX_SIDE = {"jpg": 65500, "webp": 16383, "avif": 65536, "gif": 65535, "heic": 16384}

_BEGINNINGS: tuple[tuple[str, tuple[bytes, ...]], ...] = (
    ("png", (b"\x89PNG\r\n\x1a\n",)),
    ("jpg", (b"\xff\xd8\xff",)),
    ("raw", (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")),
    ("tiff", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    ("gif", (b"GIF87a", b"GIF89a")),
    ("jxl", (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")),
    ("jp2", (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")),
    ("qoi", (b"qoif",)),
    ("exr", (b"\x76\x2f\x31\x01",)),
)
_BRANDS = (
    ("avif", {b"avif", b"avis"}),  # before HEIC's: some AVIF names both
    ("raw", {b"crx "}),
    ("heic", {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}),
)
_NETPBM = {b"P%d" % kind for kind in range(1, 8)}
KNOWN = "png, jpg, webp, avif, tiff, gif, jxl, heic, bmp, pnm, jp2, qoi, exr, raw"
HEAD = 64
JUNK = 512
"""So many bytes may lie before a JPEG."""


def detect(head: bytes) -> str | None:
    """The format of a file that begins with these bytes (HEAD of them are enough), or None.

    Raises:
        FormatError: a file that is for another command.
    """
    if head.startswith(b"\x89i2i"):
        raise FormatError("a compressed .i2i file; img2img decompress makes a picture of it")
    if head[:4] in (b"II*\0", b"MM\0*") and head[8:10] == b"CR":
        return "raw"
    for format, beginnings in _BEGINNINGS:
        if head.startswith(beginnings):
            return format
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        # Some writers name the container first and AVIF among the compatible brands; HEIC has the same container.
        brands = {head[i : i + 4] for i in (8, *range(16, len(head), 4))}
        return next((format for format, own in _BRANDS if own & brands), None)
    if head[:2] in _NETPBM and head[2:3].isspace():
        return "netpbm"
    if head.startswith(b"BM") and len(head) >= 26 and head[14] in (12, 40, 52, 56, 64, 108, 124):
        return "bmp"
    return None
