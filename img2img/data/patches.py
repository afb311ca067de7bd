"""Random crops of photographs: decoded once, kept on the device, cropped and flipped there."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from ..errors import ImageError, TrainingError
from ..images import read_8_bits


def load_rgb(path: Path) -> np.ndarray:
    """A picture file as (H, W, 3) uint8.

    Raises:
        ImageError: the file is no picture we can read; one line that names it.
    """
    samples = read_8_bits(path)
    return np.broadcast_to(samples, (*samples.shape[:2], 3)) if samples.shape[2] == 1 else samples


def made_smaller(samples: np.ndarray, factor: float) -> np.ndarray:
    """(H, W, 3) uint8, its sides divided by a factor, antialiased (Lanczos)."""
    from PIL import Image

    size = [max(1, round(side / factor)) for side in (samples.shape[1], samples.shape[0])]
    return np.asarray(Image.fromarray(samples).resize((size[0], size[1]), Image.Resampling.LANCZOS))


def load_all(
    paths: Sequence[Path], smallest_side: int = 1, factor: Callable[[Path], float] = lambda path: 1.0
) -> tuple[list[np.ndarray], list[str]]:
    """All readable pictures of at least smallest_side, made smaller by a factor first; a line for each left out."""
    images, problems = [], []
    for path in paths:
        try:
            image = load_rgb(path)
        except ImageError as error:
            problems.append(str(error))
            continue
        if (by := factor(path)) != 1:
            image = made_smaller(np.ascontiguousarray(image), by)
        if min(image.shape[:2]) < smallest_side:
            problems.append(f"{path}: {image.shape[1]}x{image.shape[0]} is smaller than a crop of {smallest_side}")
        else:
            images.append(image)
    return images, problems


class PatchSource:
    """Photographs in one flat buffer on the device, so that a whole batch of crops is one gather.

    Every photograph is drawn equally often, whatever its size; crops are flipped and transposed (8 ways).

    Args:
        images: each (H, W, C) uint8; C is 3 for photographs, 6 for pairs of them.
        device: where the buffer lives and crops are made.
        upright: flip crops from left to right only: facades do not stand on their heads.
        mirrored: whether they are flipped from left to right, too; false with upright leaves them as they are.

    Raises:
        TrainingError: there are no images.
    """

    def __init__(
        self, images: Sequence[np.ndarray], device: torch.device, upright: bool = False, mirrored: bool = True
    ) -> None:
        if not images:
            raise TrainingError("no pictures to train on")
        self.upright, self.mirrored = upright, mirrored
        self.pixels = torch.cat([torch.tensor(i).view(-1, i.shape[2]) for i in images]).to(device)
        sizes = torch.tensor([i.shape[:2] for i in images], device=device)
        self.heights, self.widths = sizes.unbind(1)
        areas = self.heights * self.widths
        self.offsets = areas.cumsum(0) - areas

    def sample(self, n: int, size: int, generator: Generator) -> Tensor:
        """n crops: (n, C, size, size) float32 in [0, 1], channels last in memory."""
        device = self.pixels.device

        def below(limit: Tensor) -> Tensor:
            return (torch.rand(n, generator=generator, device=device) * limit).long()

        index = below(torch.full((n,), len(self.offsets), device=device))
        height, width = self.heights[index], self.widths[index]
        top, left = below(height - size + 1), below(width - size + 1)
        line = torch.arange(size, device=device)
        flips = torch.rand(3, n, 1, generator=generator, device=device) < 0.5
        if self.upright:
            flips[0] = flips[2] = False
        if not self.mirrored:
            flips[1] = False
        down = torch.where(flips[0], size - 1 - line, line)
        across = torch.where(flips[1], size - 1 - line, line)
        y, x = down[:, :, None], across[:, None, :]
        transposed = flips[2][:, :, None]
        y, x = torch.where(transposed, across[:, None, :], y), torch.where(transposed, down[:, :, None], x)
        flat = (self.offsets[index] + top * width + left).view(-1, 1, 1) + y * width.view(-1, 1, 1) + x
        return self.pixels[flat].permute(0, 3, 1, 2).float() / 255
