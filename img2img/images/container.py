"""What every container's module needs: what a decoder finds in a file, and the checks that all share."""

from typing import NamedTuple

import numpy as np

from ..errors import ImageError


class Decoded(NamedTuple):
    """What a decoder finds in a file, as it is stored.

    Attributes:
        pixels: (H, W, 1 to 4) uint8 or uint16: grey or RGB, then alpha.
        exif: EXIF block, perhaps with JPEG's marker.
        icc: ICC profile.
        orientation: 1 to 8, beside the one in the EXIF block.
    """

    pixels: np.ndarray
    exif: bytes | None = None
    icc: bytes | None = None
    orientation: int = 1


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raise ImageError if there are no pixels, or more than the limit."""
    if width < 1 or height < 1:
        raise ImageError(f"an image of {width}x{height} has no pixels")
    if width * height > max_pixels:
        raise ImageError(
            f"{width}x{height} = {width * height / 1e6:.1f} megapixels, more than the limit of "
            f"{max_pixels / 1e6:.1f}; raise --max-pixels"
        )


def fitting_profile(icc: bytes | None, colours: int) -> bytes | None:
    """The profile unless it describes other colours than these (that of a CMYK file that became RGB)."""
    spaces = (b"RGB ",) if colours == 3 else (b"GRAY", b"RGB ")  # JPEGs in grey often carry sRGB
    return icc if icc and icc[16:20] in spaces else None
