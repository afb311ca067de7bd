"""JPEG, by Pillow (libjpeg-turbo)."""

import re
from collections.abc import Callable
from io import BytesIO
from typing import Any

from PIL import Image

from ..errors import ImageError
from .by_pillow import pixels_of, save
from .container import Decoded, check_size
from .picture import Picture
from .samples import in_8_bits, on_white

_MAX_EXIF = 65533  # a marker's length has 16 bits
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # without stuffing, restarts and fill bytes
_END = 0xD9


def decode(data: bytes, max_pixels: int) -> Decoded:
    """What a JPEG file holds; one with more pixels than `max_pixels` is an ImageError before they are decoded."""
    from PIL.JpegImagePlugin import JpegImageFile

    image = JpegImageFile(BytesIO(data))
    check_size(*image.size, max_pixels)
    if not _reaches_end(data):
        raise ImageError("truncated jpg file")
    exif, icc = image.info.get("exif"), image.info.get("icc_profile")
    return Decoded(pixels_of(image, _cmyk_converter(icc) if image.mode == "CMYK" else None), exif, icc)


def _reaches_end(data: bytes) -> bool:
    """Whether a JPEG has its end marker. libjpeg takes a tail of zeros (a download cut short) for grey blocks."""
    position = 2
    while found := _MARKER.search(data, position):
        if data[found.start() + 1] == _END:
            return True
        length = int.from_bytes(data[found.end() : found.end() + 2], "big")
        position = found.end() + length
    return False


def _cmyk_converter(icc: bytes | None) -> Callable[[Image.Image], Image.Image]:
    from PIL import ImageCms

    if icc:
        try:
            profile = ImageCms.ImageCmsProfile(BytesIO(icc))
            transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), "CMYK", "RGB")
            return lambda band: ImageCms.applyTransform(band, transform) or band
        except (ImageCms.PyCMSError, OSError):
            pass  # an unreadable profile is as good as none
    return lambda band: band.convert("RGB")


def encode(picture: Picture, quality: int) -> bytes:
    """A JPEG file; the quality is 1 to 100."""
    from PIL import JpegImagePlugin  # noqa: F401 - registers the encoder

    samples = picture.samples if picture.alpha is None else on_white(picture.samples, picture.alpha)
    options: dict[str, Any] = {"quality": quality, "subsampling": 0}
    if picture.exif and len(picture.exif) + 6 <= _MAX_EXIF:
        options["exif"] = b"Exif\0\0" + picture.exif
    return save(in_8_bits(samples), "JPEG", picture.icc, options)
