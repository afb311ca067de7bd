"""Pictures beside one another: what a table cannot say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BAND, GAP = 26, 6


def contact_sheet(rows: Sequence[Sequence[NDArray[np.uint8]]], heads: Sequence[str], path: Path, side: int) -> None:
    """Write rows of pictures, each column with its head above it.

    Args:
        rows: of pictures (H, W, 3) or (H, W), 8 bits; each is made `side` pixels wide or high, whichever is longer.
        heads: one for each column.
        path: of the picture.
        side: see rows.
    """
    from PIL import Image, ImageDraw, ImageFont

    small = [[_fitted(Image.fromarray(picture).convert("RGB"), side) for picture in row] for row in rows]
    heights = [max(picture.height for picture in row) for row in small]
    size = (len(heads) * (side + GAP) - GAP, BAND + sum(heights) + GAP * (len(heights) - 1))
    canvas = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(15)
    for column, head in enumerate(heads):
        draw.text((column * (side + GAP) + 3, 4), head, fill="black", font=font)
    top = BAND
    for row, height in zip(small, heights, strict=True):
        for column, picture in enumerate(row):
            canvas.paste(picture, (column * (side + GAP), top))
        top += height + GAP
    canvas.save(path)


def _fitted(picture, side: int):  # type: ignore[no-untyped-def]  # Pillow is imported late
    from PIL import Image

    scale = side / max(picture.size)
    size = [max(1, round(length * scale)) for length in picture.size]
    return picture.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST)
