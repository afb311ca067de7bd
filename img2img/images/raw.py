"""Raw files of cameras (DNG, CR2, CR3, NEF, ARW, RAF, ORF, RW2, ...), developed by rawpy (LibRaw), an extra."""

from __future__ import annotations

from io import BytesIO

import numpy as np

from ..errors import ImageError
from . import exif as exif_block
from .container import Decoded, Opened, check_size, single
from .picture import About


def open_file(data: bytes, max_pixels: int) -> Opened:
    """A raw file: developed with the camera's white balance to 16-bit sRGB, without LibRaw's own denoising.

    LibRaw turns the picture upright; EXIF is taken where the file is a TIFF, as most are.
    """
    try:
        import rawpy
    except ImportError as error:
        raise ImageError("a camera's raw file: it needs rawpy, pip install 'img2img-suite[raw]'") from error
    try:
        raw = rawpy.imread(BytesIO(data))
    except rawpy.LibRawError as error:
        raise ImageError(f"a camera's raw file that LibRaw cannot read: {error.args[0]!r}") from error
    check_size(raw.sizes.width, raw.sizes.height, max_pixels)

    def decode() -> Decoded:
        pixels = np.asarray(raw.postprocess(use_camera_wb=True, output_bps=16, no_auto_bright=True))
        exif = exif_block.from_tiff(data)
        if exif is not None:
            exif = exif_block.upright(exif)[1]
        return Decoded(pixels, exif, about=About(lost=("raw samples (developed)",)))

    return single(decode)
