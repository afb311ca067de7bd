"""HEIC and HEIF, by pillow-heif (libheif), an extra: its wheels hold encoders of 25 MB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np

from ..errors import ImageError
from . import exif as exif_block
from .avif import unusual_code_points
from .container import Decoded, Opened, check_size, fitting_profile
from .formats import DEFAULT_QUALITY
from .picture import About, Picture
from .samples import with_alpha
from .webp import exif_with_resolution


def _library() -> Any:
    try:
        import pillow_heif
    except ImportError as error:
        raise ImageError("heic files need pillow-heif: pip install 'img2img-suite[heic]'") from error
    return pillow_heif


def open_file(data: bytes, max_pixels: int) -> Opened:
    """A HEIF file; one with more pixels than `max_pixels` is an ImageError before they are decoded."""
    file = _library().open_heif(BytesIO(data), convert_hdr_to_8bit=False)
    check_size(file.size[0], file.size[1], max_pixels)
    order = sorted(range(len(file)), key=lambda i: i != file.primary_index)  # the main picture is the first page

    def frames() -> Iterator[Decoded]:
        for number in order:
            image = file[number]
            check_size(image.size[0], image.size[1], max_pixels)
            yield _decoded(image)

    return Opened(frames, len(order))


def _decoded(image: Any) -> Decoded:
    pixels = np.asarray(image)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    info = image.info
    lost = []
    if info.get("depth_images"):
        lost.append("depth map")
    lost += [f"auxiliary image {name.rpartition(':')[2]}" for name in info.get("aux") or {} if "alpha" not in name]
    profile = info.get("nclx_profile") or {}
    points = (profile.get("color_primaries", 2), profile.get("transfer_characteristics", 2))
    about = About(xmp=info.get("xmp") or None, cicp=unusual_code_points(*points), lost=tuple(lost))
    exif = exif_block.normalise(info.get("exif"))
    # HEIF turns pictures by a property of its own, which libheif has followed; EXIF's word does not count.
    exif = exif and exif_block.upright(exif)[1]
    return Decoded(np.ascontiguousarray(pixels), exif, info.get("icc_profile") or None, about=about)


def encode_frames(frames: Sequence[Picture], loop: int, quality: int | None, lost: list[str], stream: BinaryIO) -> None:
    """A HEIC file, 8 bits a sample or of 16 bits 10; the quality is 1 to 100."""
    library = _library()
    file = library.HeifFile()
    first = frames[0]
    for picture in frames:
        pixels = with_alpha(picture.samples, picture.alpha)
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[pixels.shape[2]] + (";16" if picture.bits == 16 else "")
        file.add_frombytes(mode, (picture.width, picture.height), np.ascontiguousarray(pixels).tobytes())
    profile = fitting_profile(first.icc, first.channels)
    if first.icc and not profile:
        lost.append("ICC profile (of other colours)")
    options: dict[str, Any] = {"quality": quality or DEFAULT_QUALITY["heic"], "chroma": 444, "save_all": True}
    if exif := exif_with_resolution(first):
        options["exif"] = b"Exif\0\0" + exif
    if first.about.xmp:
        options["xmp"] = first.about.xmp
    file[0].info["icc_profile"] = profile
    file.save(stream, **options)
