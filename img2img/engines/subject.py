"""A network as it is exported, and what it has to equal; a task's export.py makes one, img2img/export.py writes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

WHOLE = 2**20  # a tile so large that every picture is computed at once

IMAGE = "float32 (batch, {channels}, height, width), sRGB values in [0, 1], any height and width from 1 on"
SIGMA = "float32 (batch), standard deviation of the noise in the same units: 25 grey levels are 25 / 255"
GREY = "; a grey picture is given three times"
RESULT = "float32 (batch, {channels}, height, width), sRGB values in [0, 1]"


@dataclass(frozen=True)
class Subject:
    """What is exported, and what it must equal.

    Args:
        name: of the weights, or their file.
        graph: the network as it is written: images (B, channels, H, W), and sigma (B,) for a denoiser, to images.
        pipeline: the same by the public class, in fp32 and without tiles: one image (channels, H, W), sigma, to one.
        channels: of the input.
        inputs: what each input is, by its name.
        output: what the output is.
        facts: what the file says of itself besides.
    """

    name: str
    graph: nn.Module
    pipeline: Callable[[Tensor, float], Tensor]
    channels: int
    inputs: dict[str, str]
    output: str
    facts: dict[str, str]

    def arguments(self, image: Tensor, sigma: Tensor) -> tuple[Tensor, ...]:
        """What the graph is given."""
        return (image, sigma)[: len(self.inputs)]
