"""What of a file is to be kept: a choice that the command line and the library share. Imports nothing that is slow."""

from typing import Literal, NamedTuple


class Keeping(NamedTuple):
    """What of a file is read, and what of it has to be in the output.

    Attributes:
        metadata: `keep`, or `none`: only what is needed to show the picture.
        strict: an output that lacks something of its input is an error.
        frame: this frame or page alone, from 1; None takes all.
    """

    metadata: Literal["keep", "none"] = "keep"
    strict: bool = False
    frame: int | None = None


KEEP = Keeping()
