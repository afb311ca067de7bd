"""Formats by name: their suffixes, how large and how good their pictures are, and how their files begin."""

from ..errors import ImageError

FORMATS = {
    ".png": "png",
    ".jpg": "jpg",
    ".jpeg": "jpg",
    ".jpe": "jpg",
    ".jfif": "jpg",
    ".webp": "webp",
    ".avif": "avif",
    ".tif": "tiff",
    ".tiff": "tiff",
}
MAX_PIXELS = 200_000_000
# Nearly nothing is lost, so that a picture may pass through the suite several times.
DEFAULT_QUALITY = {"jpg": 95, "webp": 95, "avif": 90}
MAX_SIDE = {"jpg": 65500, "webp": 16383, "avif": 65536}


def detect(head: bytes) -> str:
    """The format of a file that begins with these bytes (64 of them are enough).

    Raises:
        ImageError: none that is known.
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    # Some writers name the container first and AVIF among the compatible brands; HEIC has the same container.
    if head[4:8] == b"ftyp" and {b"avif", b"avis"} & {head[i : i + 4] for i in range(8, len(head), 4)}:
        return "avif"
    if head.startswith(b"\x89i2i"):
        raise ImageError("a compressed .i2i file; img2img decompress makes a picture of it")
    raise ImageError("not an image in a known format (png, jpg, webp, avif, tiff)")
