"""Detail added to what was decoded: the vivid look of a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from ...checkpoints import load_checkpoint, names
from ...core.box import Box
from ...engines import Engine
from ...errors import WeightsError
from .grain import grain
from .networks import DETAIL_NETWORK
from .shape import DETAIL, FADES

REACH = 3  # latents: detail depends on pixels at most 40 away, and on squares of 8
LEAST = 64  # latents that parts of a picture have each way at least: what lies around them is computed, too


class Details:
    """A network that makes detail up, ready to run.

    Args:
        name_or_file: of its weights; those shipped without.
        engine: runs it.

    Raises:
        WeightsError: they are missing, damaged or for something else.
    """

    def __init__(self, engine: Engine, name_or_file: str | Path | None = None) -> None:
        if name_or_file is None:
            name_or_file = next(iter(names(DETAIL)), None)
        if name_or_file is None:
            raise WeightsError("no weights that make detail up are shipped; `img2img train detail` makes some")
        checkpoint = load_checkpoint(name_or_file)
        checkpoint.require(DETAIL)
        self.fades = tuple(checkpoint.header["config"].get("fades", FADES))
        self.run = engine.load(checkpoint, DETAIL_NETWORK)

    def at(self, rate: float, share: float) -> Look | None:
        """What is added to files of a rate in [0, 1]: so much of what the network says; None if that is nothing."""
        return Look(self, rate, share) if share and rate < self.fades[1] else None


class Look:
    """Detail for one file.

    Args:
        details: the network.
        rate: of the file, in [0, 1].
        share: how much of the detail is added, in [0, 1].
    """

    def __init__(self, details: Details, rate: float, share: float) -> None:
        self.details, self.share = details, np.float32(share)
        self.rate = np.full((1, 1, 1, 1), rate, np.float32)

    def __call__(self, x_hat: np.ndarray, top: int, left: int) -> np.ndarray:
        """A part of a picture with detail.

        Args:
            x_hat: (3, h, w) float32, not clamped; of whole latents.
            top: where in the picture it lies, in pixels: the noise that detail is made of depends on it.
            left: likewise.

        Returns:
            (3, h, w), not clamped.
        """
        _, height, width = x_hat.shape
        noise = grain(slice(top, top + height), slice(left, left + width))
        decoded = x_hat.clip(0, 1)
        detail: np.ndarray = self.details.run(decoded[None], self.rate, noise[None, None])[0]
        return decoded + self.share * detail


def makes_detail(name_or_file: str | Path) -> bool:
    """Whether these are weights of a network that makes detail up.

    Raises:
        WeightsError: they are missing or damaged.
    """
    return load_checkpoint(name_or_file).header.get("network") == DETAIL


def large_parts(
    boxes: Sequence[Sequence[Box]], bands: Iterable[np.ndarray]
) -> tuple[list[list[Box]], Iterator[np.ndarray]]:
    """Tiles put together or divided, so that what is computed around each part is little beside it.

    Args:
        boxes: tiles, row by row.
        bands: latents (M, h, w) of each row.

    Returns:
        the parts, row by row, LEAST latents high or more but for the last row; and the latents of each row of parts.
    """
    counts, parts, first = [], [], 0
    for last, row in enumerate(boxes):
        top, bottom = boxes[first][0].top, row[0].bottom
        if bottom - top < LEAST and last + 1 < len(boxes):
            continue
        counts.append(last + 1 - first)
        left, right = row[0].left, row[-1].right
        edges = [*range(left, right - LEAST // 2, LEAST), right] if right - left > LEAST // 2 else [left, right]
        parts.append([Box(top, bottom, *edge) for edge in pairwise(edges)])
        first = last + 1

    def joined() -> Iterator[np.ndarray]:
        given = iter(bands)
        for count in counts:
            yield np.concatenate([next(given) for _ in range(count)], 1)

    return parts, joined()
