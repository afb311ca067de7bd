"""Reading and writing image files: one module a format, `Picture` for what a file holds. Imports no torch."""

from .contents import KEEPS, Content, contents, lost_in
from .files import (
    frames_lost_in,
    read_8_bits,
    read_frames,
    read_picture,
    takes_frames,
    without_metadata,
    write_frames,
    write_picture,
)
from .formats import DEEP, DEFAULT_QUALITY, FORMATS, MAX_PIXELS, READABLE
from .frames import Frames
from .picture import About, Picture, Resolution, Text
from .samples import in_8_bits

__all__ = [
    "DEEP",
    "DEFAULT_QUALITY",
    "FORMATS",
    "KEEPS",
    "MAX_PIXELS",
    "READABLE",
    "About",
    "Content",
    "Frames",
    "Picture",
    "Resolution",
    "Text",
    "contents",
    "frames_lost_in",
    "in_8_bits",
    "lost_in",
    "read_8_bits",
    "read_frames",
    "read_picture",
    "takes_frames",
    "without_metadata",
    "write_frames",
    "write_picture",
]
