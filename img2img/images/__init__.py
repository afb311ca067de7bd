"""Reading and writing image files: one module a format, `Picture` for what a file holds. Imports no torch."""

from .files import read_picture, write_picture
from .formats import DEFAULT_QUALITY, FORMATS, MAX_PIXELS
from .picture import Picture
from .samples import in_8_bits

__all__ = ["DEFAULT_QUALITY", "FORMATS", "MAX_PIXELS", "Picture", "in_8_bits", "read_picture", "write_picture"]
