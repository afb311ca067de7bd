"""How a file looks: what networks behind the synthesis add to what it decoded.

faithful: what was lost and can be known (RestorationNetwork). vivid: plausible detail instead where a small file has
lost it (DetailNetwork). plain: nothing, the synthesis alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from ...checkpoints import Checkpoint, load_checkpoint, names
from ...core.box import Box
from ...core.luma import LUMA
from ...engines import Engine, Runner
from ...errors import WeightsError
from .grain import grain
from .model_file import LoadedCodec
from .networks import DETAIL_NETWORK, RESTORATION_NETWORK
from .shape import DETAIL, FADES, RESTORATION

REACH = 3  # latents: what is added depends on pixels at most 40 away, and on squares of 8
LEAST = 64  # latents that parts of a picture have each way at least: what lies around them is computed, too


class Looks:
    """Networks behind the synthesis, made ready when they are first needed.

    Args:
        engine: runs them.
        models: names or files of weights that take the place of the shipped ones.

    Raises:
        WeightsError: these are missing, damaged or for something else.
    """

    def __init__(self, engine: Engine, models: Sequence[str | Path] = ()) -> None:
        self.engine = engine
        self._given = {kind_of(name): load_checkpoint(name) for name in models}
        if others := self._given.keys() - {DETAIL, RESTORATION}:
            raise WeightsError(f"weights of {' and '.join(map(repr, others))} are not those of a look")

    def of(self, codec: LoadedCodec, rate: float, share: float | None = 0.0) -> Look | None:
        """What is added to a codec's files of a rate in [0, 1]: None if nothing is.

        Args:
            codec: that decodes them.
            rate: of the file.
            share: 0 faithful, 1 vivid, between: both; None adds nothing.

        Raises:
            WeightsError: no weights that make detail up are here.
        """
        if share is None:
            return None
        made_up = share * self.strength(rate) if share else 0.0
        restoration = self._restoration if self.restores(codec) is not None else None
        if not made_up and restoration is None:
            return None
        return Look(rate, restoration, self._detail if made_up else None, share, made_up)

    def strength(self, rate: float) -> float:
        """How much of made-up detail is left at a rate, see DetailNetwork.strength."""
        full, none = self._checkpoint(DETAIL).header["config"].get("fades", FADES)
        return min(1.0, max(0.0, (none - rate) / (none - full)))

    def restores(self, codec: LoadedCodec) -> Checkpoint | None:
        """The weights that restore what this very codec decoded, None if there are none.

        Others would not know its errors, and might add their own.
        """
        if RESTORATION not in self._given and not names(RESTORATION):
            return None
        known = self._checkpoint(RESTORATION).header.get("codecs", {}).values()
        fits = any(bytes.fromhex(sha256)[:8] == codec.hash for sha256 in known)
        return self._checkpoint(RESTORATION) if fits else None

    def _checkpoint(self, kind: str) -> Checkpoint:
        if kind not in self._given:
            name = next(iter(names(kind)), None)
            if name is None:
                raise WeightsError("no weights that make detail up are shipped; `img2img train detail` makes some")
            self._given[kind] = load_checkpoint(name)
        return self._given[kind]

    @cached_property
    def _detail(self) -> Runner:
        return self.engine.load(self._checkpoint(DETAIL), DETAIL_NETWORK)

    @cached_property
    def _restoration(self) -> Runner:
        return self.engine.load(self._checkpoint(RESTORATION), RESTORATION_NETWORK)


class Look:
    """What is added to one file.

    Made-up detail is of the lightness alone: colours that were made up looked like noise, and are as they were
    restored.

    Args:
        rate: of the file, in [0, 1].
        restoration: what was lost and can be known; None where nobody knows.
        detail: what is made up, if anything is.
        share: how much of that is added.
        made_up: how much of it there is at this rate, which the detail itself reckons with: so much less is restored.
    """

    def __init__(
        self,
        rate: float,
        restoration: Runner | None,
        detail: Runner | None = None,
        share: float = 0,
        made_up: float = 0,
    ) -> None:
        self.rate = np.full((1, 1, 1, 1), rate, np.float32)
        self.restoration, self.detail = restoration, detail
        self.share, self.made_up = np.float32(share), np.float32(made_up)

    def __call__(self, x_hat: np.ndarray, top: int, left: int) -> np.ndarray:
        """A part of a picture with what is added to it.

        Args:
            x_hat: (3, h, w) float32, not clamped; of whole latents.
            top: where in the picture it lies, in pixels: the noise that detail is made of depends on it.
            left: likewise.

        Returns:
            (3, h, w), not clamped.
        """
        decoded = x_hat.clip(0, 1)
        added = np.zeros_like(decoded) if self.restoration is None else self.restoration(decoded[None], self.rate)[0]
        if self.detail is not None:
            _, height, width = x_hat.shape
            noise = grain(slice(top, top + height), slice(left, left + width))
            detail = self.detail(decoded[None], self.rate, noise[None, None])[0]
            added = added + np.tensordot(np.array(LUMA, np.float32), self.share * detail - self.made_up * added, 1)
        result: np.ndarray = decoded + added
        return result


def kind_of(name_or_file: str | Path) -> str:
    """What a weight file's header calls its network.

    Raises:
        WeightsError: it is missing or damaged.
    """
    return str(load_checkpoint(name_or_file).header.get("network"))


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
