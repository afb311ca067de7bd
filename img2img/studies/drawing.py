"""What the studies draw with: figures of matplotlib, narrow enough to be read on a phone, and their PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

WIDTH = 5.4  # inches: at 9 points the words are still read where a phone shows 370 points of it
BLUE, ORANGE, GREEN, RED, GREY = "#2f6db3", "#d9822b", "#3c8d5a", "#b8433f", "#777777"
COLOURS = (BLUE, ORANGE, GREEN, RED, "#7d5ba6", GREY, "#b5963a", "#4aa3a2")
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "savefig.facecolor": "white",
}


def figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure, in inches."""
    with rc_context(STYLE):
        return Figure(figsize=(width, height), layout="constrained")


def panels(
    rows: int, columns: int, height: float, width: float = WIDTH, heights: Sequence[float] | None = None
) -> tuple[Figure, np.ndarray]:
    """A figure of rows x columns axes, and these as an array of that shape; rows alike, or of such relative heights."""
    with rc_context(STYLE):
        whole = Figure(figsize=(width, height), layout="constrained")
        return whole, whole.subplots(rows, columns, squeeze=False, height_ratios=heights)


def png(whole: Figure, dpi: int = 200) -> bytes:
    """The figure as PNG bytes, the same for the same figure."""
    file = io.BytesIO()
    with rc_context(STYLE):
        whole.savefig(file, format="png", dpi=dpi, metadata={"Software": None})
    return file.getvalue()


def image(ax: Axes, values: np.ndarray, title: str = "", signed: bool = False, limit: float | None = None) -> None:
    """A picture: (H, W) or (H, W, 3) in [0, 1]; signed: 0 is white, plus is red, minus blue; else from least to most.

    Args:
        ax: where.
        values: the picture.
        title: above it.
        signed: colour by sign.
        limit: the value of the fullest colour, or of white; the largest there is without.
    """
    if values.ndim == 3:
        ax.imshow(values.clip(0, 1), interpolation="nearest")
    elif signed:
        top = limit or float(np.abs(values).max()) or 1.0
        ax.imshow(values, cmap="RdBu_r", vmin=-top, vmax=top, interpolation="nearest")
    else:
        low = 0.0 if limit else float(values.min())
        ax.imshow(values, cmap="gray", vmin=low, vmax=limit or float(values.max()), interpolation="nearest")
    bare(ax, title)


def bare(ax: Axes, title: str = "") -> None:
    """No ticks and no frame."""
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_title(title, fontsize=9)


def numbers(ax: Axes, matrix: np.ndarray, title: str = "", shade: str = "Blues", digits: int = 0) -> None:
    """A matrix as a grid of its numbers, the larger the darker."""
    known = matrix[np.isfinite(matrix)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    ax.imshow(matrix, cmap=shade, vmin=low, vmax=low + 2 * max(high - low, 1e-9), interpolation="nearest")
    rows, columns = matrix.shape
    for row in range(rows):
        for column in range(columns):
            value = matrix[row, column]
            if np.isfinite(value):
                ax.text(column, row, f"{value:.{digits}f}", ha="center", va="center", fontsize=8)
    for line in range(rows + 1):
        ax.axhline(line - 0.5, color="white", linewidth=0.8)
    for line in range(columns + 1):
        ax.axvline(line - 0.5, color="white", linewidth=0.8)
    ax.set_xlim(-0.5, columns - 0.5)
    ax.set_ylim(rows - 0.5, -0.5)
    bare(ax, title)


def frame(ax: Axes, top: int, left: int, height: int, width: int, colour: str = RED) -> None:
    """A rectangle around cells or pixels."""
    ax.add_patch(
        Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor=colour, linewidth=2, clip_on=False)
    )


def curve(ax: Axes, x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray, label: str, colour: str) -> None:
    """A line with dots, named in the legend."""
    ax.plot(x, y, marker="o", markersize=3, linewidth=1.4, label=label, color=colour)


def axes_words(ax: Axes, x: str, y: str, title: str = "", legend: bool = True) -> None:
    """What the axes mean, a title, and the legend if there is something in it."""
    ax.set_xlabel(x, fontsize=9)
    ax.set_ylabel(y, fontsize=9)
    ax.set_title(title, fontsize=9)
    ax.grid(alpha=0.25)
    if legend and ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=8, frameon=False)


def mosaic(tiles: np.ndarray, columns: int, gap: int = 1, value: float = np.nan) -> np.ndarray:
    """Many small pictures (N, H, W) in one, row by row, with gaps of a value between them."""
    count, height, width = tiles.shape
    rows = -(-count // columns)
    whole = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), value, np.float64)
    for n, tile in enumerate(tiles):
        top, left = n // columns * (height + gap), n % columns * (width + gap)
        whole[top : top + height, left : left + width] = tile
    return whole
