"""A picture of one kind in, a picture of another out: the translator in one call."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Self

import torch
from torch import Generator, Tensor

from ...checkpoints import build, load_checkpoint
from ...core.blocks import dropout_noise
from ...core.seamless import in_tiles
from ...errors import WeightsError
from ...runtime import keep_big_buffers, pick_device, pick_precision
from .coding import SPACES, Coding
from .generator import UNetGenerator

TILE = {"cpu": 1024, "mps": 1024, "cuda": 2048}


class Translator:
    """Turns images of any size into those that its weights were trained to make of them.

    Large images are computed in tiles that cannot be told from the whole (core.seamless).

    Example:
        >>> from img2img.tasks.translate.coding import Rgb
        >>> translator = Translator(UNetGenerator(width=8, depth=4), Rgb(3, 3), torch.device("cpu"))
        >>> translator(torch.rand(3, 40, 50)).shape
        torch.Size([3, 40, 50])
    """

    def __init__(
        self,
        model: UNetGenerator,
        coding: Coding,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        tile: int | None = None,
    ) -> None:
        keep_big_buffers()
        self.model = model.eval().to(device).to(memory_format=torch.channels_last)
        self.coding, self.device, self.dtype = coding, device, dtype
        self.tile = tile or TILE[device.type]

    @classmethod
    def from_pretrained(
        cls, name_or_file: str | Path, device: str = "auto", precision: str = "auto", tile: int | None = None
    ) -> Self:
        """The translator of a weight file, or of shipped weights by name.

        Args:
            name_or_file: a file that training wrote, or a name of `img2img weights list`.
            device: auto, cpu, cuda or mps.
            precision: auto (bf16 where the processor is fast at it), fp32 or bf16.
            tile: side in pixels of the tiles that larger images are computed in; None chooses by the device.

        Raises:
            WeightsError: the weights are missing, damaged or not a translator's.
            Img2ImgError: the device is not there.
        """
        checkpoint = load_checkpoint(name_or_file)
        where = pick_device(device)
        model = build(checkpoint, "generator", UNetGenerator)
        try:
            coding = SPACES[checkpoint.header["space"]](model.in_channels, model.out_channels)
        except (KeyError, ValueError) as error:
            raise WeightsError(f"weights {name_or_file} do not fit the model that their header describes") from error
        return cls(model, coding, where, pick_precision(precision, where), tile)

    @torch.inference_mode()
    def __call__(self, image: Tensor, seed: int = 0, noise: bool = True) -> Tensor:
        """Translate one image.

        Args:
            image: (C, H, W), float values in [0, 1]; any H, W >= 1. RGB becomes grey for a model of one channel.
            seed: of the dropout that is pix2pix's only source of variety; the same seed gives the same result.
            noise: whether there is any.

        Returns:
            (C', H, W) float32 on the CPU.

        Raises:
            ValueError: no image.
            ImageError: one with other channels than the model takes.
        """
        if image.ndim != 3:
            raise ValueError(f"an image is (C, H, W), not {tuple(image.shape)}")
        x = self.coding.source(image[None].to("cpu", torch.float32))
        # Drawn on the CPU, so that the noise does not depend on the device.
        drawing = dropout_noise(self.model, Generator().manual_seed(seed)) if noise else nullcontext()
        with drawing, torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            output = in_tiles(self.model.net, x.contiguous(memory_format=torch.channels_last), self.tile, self.device)
        return self.coding.image(torch.tanh(output), x)[0]
