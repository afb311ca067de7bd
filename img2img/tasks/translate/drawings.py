"""Whether a picture is a drawing as `edges` knows them: in ink, dark areas filled. NumPy alone."""

from __future__ import annotations

import numpy as np

from .coding import with_channels

# Drawings in ink (XDoG) of 99 training photographs: black 6.5 to 89 % (but for the first and last hundredth), at most
# 17 % between black and white, once 26 %. Of photographs half and more lies between.
BLACK, WHITE = 64 / 255, 192 / 255
LEAST_BLACK, MOST_BETWEEN = 0.05, 0.3


def unlike_drawings(image: np.ndarray) -> str:
    """What about a picture (C, H, W) in [0, 1] is unlike the drawings that were learnt from; empty if nothing is.

    Example:
        >>> unlike_drawings(np.full((1, 8, 8), 0.5))
        'not a drawing in ink: 100 % of it is neither black nor white, so that little of it will be understood'
    """
    grey = with_channels(image[None], 1) if image.shape[0] == 3 else image[:1]
    between = float(((grey >= BLACK) & (grey < WHITE)).mean())
    if between > MOST_BETWEEN:
        return (
            f"not a drawing in ink: {100 * between:.0f} % of it is neither black nor white, "
            "so that little of it will be understood"
        )
    black = float((grey < BLACK).mean())
    if black < LEAST_BLACK:
        return (
            f"thin lines: {100 * black:.0f} % of it is black; drawings whose dark areas are filled with ink were "
            "learnt from, of others comes grey fog"
        )
    return ""
