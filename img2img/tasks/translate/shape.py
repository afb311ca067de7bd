"""What a generator looks like, for those who run it without PyTorch: where its norms and its noise are."""

from dataclasses import dataclass

import numpy as np

from ...core.seamless import COARSE

NOISY = 3  # of the decoder's layers, from the innermost on, have dropout


@dataclass(frozen=True)
class Shape:
    """What a generator looks like: the arguments of UNetGenerator and what follows from them, without PyTorch."""

    in_channels: int = 3
    out_channels: int = 3
    width: int = 64
    widest: int = 8
    depth: int = 8
    up: str = "transposed"
    norm: str = "instance"
    skip: str = "concat"
    dropout: float = 0.5

    @property
    def widths(self) -> tuple[int, ...]:
        """Feature maps of each scale, finest first."""
        return tuple(self.width * min(2**i, self.widest) for i in range(self.depth))

    @property
    def stride(self) -> int:
        """Pixels of the image per pixel of the coarsest scale."""
        return 2**self.depth

    @property
    def noisy(self) -> tuple[int, ...]:
        """The scales with dropout behind the decoder's norm, the innermost first."""
        scales = range(max(0, self.depth - 1 - NOISY), self.depth - 1)
        return tuple(reversed(scales)) if self.dropout else ()

    @property
    def coarse(self) -> int:
        """As core.parts.coarse_scale."""
        return min(COARSE, self.depth - 2, *self.noisy) if self.noisy else min(COARSE, self.depth - 2)

    @property
    def down_norms(self) -> tuple[int, ...]:
        """The scales before `coarse` that the encoder normalises by instance: not the first, which is bare."""
        return tuple(range(1, self.coarse)) if self.norm == "instance" else ()

    @property
    def up_norms(self) -> tuple[int, ...]:
        """Those that the decoder normalises, from coarse to fine."""
        return tuple(reversed(range(self.coarse))) if self.norm == "instance" else ()

    def masks(self, height: int, width: int, random: np.random.Generator | None) -> list[np.ndarray]:
        """What features are multiplied by behind each dropout, of an image of that size; ones without noise."""
        if random is None:
            return [np.ones((1, self.widths[scale], 1, 1), np.float32) for scale in self.noisy]
        rows, columns = (-(-side // self.stride) * self.stride for side in (height, width))
        sizes = ((1, self.widths[s], rows // 2 ** (s + 1), columns // 2 ** (s + 1)) for s in self.noisy)
        kept = np.float32(1 / (1 - self.dropout))
        return [np.where(random.random(size, dtype=np.float32) >= self.dropout, kept, np.float32(0)) for size in sizes]
