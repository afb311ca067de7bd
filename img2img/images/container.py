"""What every container's module needs: what a decoder finds in a file, and the checks that all share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ..errors import ImageError, TooLargeError
from .picture import About, Scale


@dataclass
class Decoded:
    """What a decoder finds in one frame or page, as it is stored.

    Attributes:
        pixels: (H, W, 1 to 4) uint8 or uint16: grey or RGB, then alpha; with a scale any type of number.
        exif: EXIF block, perhaps with JPEG's marker.
        icc: ICC profile.
        orientation: 1 to 8, beside the one in the EXIF block.
        about: what else the file says.
        further: (H, W, N) channels that are neither colours nor alpha.
        scale: of pixels that are neither uint8 nor uint16.
    """

    pixels: np.ndarray
    exif: bytes | None = None
    icc: bytes | None = None
    orientation: int = 1
    about: About = field(default_factory=About)
    further: np.ndarray | None = None
    scale: Scale | None = None


@dataclass
class Opened:
    """A file whose frames or pages can be decoded one by one.

    Attributes:
        frames: begins to decode them, from the first.
        count: how many there are.
        animated: whether they follow each other in time; else they are pages.
        loop: how often an animation is played, 0 for ever.
    """

    frames: Callable[[], Iterator[Decoded]]
    count: int = 1
    animated: bool = False
    loop: int = 0


def single(decode: Callable[[], Decoded]) -> Opened:
    """A file of one picture."""

    def frames() -> Iterator[Decoded]:
        yield decode()

    return Opened(frames)


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raise ImageError if there are no pixels, TooLargeError if more than the limit."""
    if width < 1 or height < 1:
        raise ImageError(f"an image of {width}x{height} has no pixels")
    if width * height > max_pixels:
        raise TooLargeError(
            f"{width}x{height} = {width * height / 1e6:.4g} megapixels, more than the limit of "
            f"{max_pixels / 1e6:.4g}; raise {{0}}",
            "max_pixels",
        )


def fitting_profile(icc: bytes | None, colours: int) -> bytes | None:
    """The profile unless it describes other colours than these (that of a CMYK file that became RGB)."""
    spaces = (b"RGB ",) if colours == 3 else (b"GRAY", b"RGB ")  # JPEGs in grey often carry sRGB
    return icc if icc and icc[16:20] in spaces else None
