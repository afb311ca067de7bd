"""How colourful pictures are, and whether they have the colours of others."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

BINS, REACH = 44, 110.0  # of a and of b: cells of 5 units from -110 to 110


def colourfulness(image: Tensor) -> float:
    """Hasler & Suesstrunk's M3 of an image (3, H, W) in [0, 1]: 0 for grey, 33 "moderately", 109 "extremely" colourful.

    References: Hasler & Suesstrunk 2003, "Measuring colourfulness in natural images", eq. 11 to 13.
    """
    red, green, blue = 255 * image
    opponents = torch.stack((red - green, (red + green) / 2 - blue))
    spread = opponents.flatten(1).std(1, correction=0).norm()
    mean = opponents.flatten(1).mean(1).norm()
    return float(spread + 0.3 * mean)


def ab_histogram(chroma: Sequence[Tensor]) -> Tensor:
    """Shares of the colours a, b (CIE Lab) among all pixels of pictures, (2, H, W) each: (BINS, BINS), sum 1."""
    counts = torch.zeros(BINS * BINS, dtype=torch.float64)
    for ab in chroma:
        cells = ((ab.flatten(1) + REACH) / (2 * REACH) * BINS).long().clamp(0, BINS - 1)
        counts += torch.bincount(cells[0] * BINS + cells[1], minlength=BINS * BINS)
    return (counts / counts.sum()).view(BINS, BINS)


def intersection(p: Tensor, q: Tensor) -> float:
    """What two histograms of sum 1 share, 0 to 1, as the pix2pix paper compares colours (Isola 2017, Table 5)."""
    return float(torch.minimum(p, q).sum())
