"""A picture in, a cleaner picture out: the denoiser in one call."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ...checkpoints import build, load_checkpoint
from ...core.tiling import tiled
from ...runtime import keep_big_buffers, pick_device, pick_precision
from .model import DenoisingUNet, NoiseEstimator

TILE = {"cpu": 640, "mps": 640, "cuda": 2048}
OVERLAP = 64
ESTIMATOR = "noise-estimator"
ESTIMATE_CROP, ESTIMATE_CROPS = 512, 9  # the level of a large picture is taken from a 3x3 grid of crops


class Denoiser:
    """Removes noise from images of any size.

    Example:
        >>> denoiser = Denoiser.from_pretrained("denoise-fast", device="cpu")
        >>> denoiser(torch.rand(3, 40, 50), sigma=25 / 255).shape
        torch.Size([3, 40, 50])
    """

    def __init__(self, model: DenoisingUNet, device: torch.device, dtype: torch.dtype, tile: int) -> None:
        keep_big_buffers()
        self.model = model.eval().to(device).to(memory_format=torch.channels_last)
        self.device, self.dtype, self.tile = device, dtype, tile

    @classmethod
    def from_pretrained(
        cls,
        name_or_file: str | Path = "denoise-fast",
        device: str = "auto",
        precision: str = "auto",
        tile: int | None = None,
    ) -> Self:
        """The denoiser of shipped weights or of a weight file.

        Args:
            name_or_file: a name of `img2img weights list`, or a file.
            device: auto, cpu, cuda or mps.
            precision: auto (bf16 where the processor is fast at it), fp32 or bf16.
            tile: side in pixels of the tiles that larger images are computed in; None chooses by the device.

        Raises:
            WeightsError: the weights are missing, damaged or not a denoiser's.
            Img2ImgError: the device is not there.
        """
        checkpoint = load_checkpoint(name_or_file)
        where = pick_device(device)
        model = build(checkpoint, "unet", DenoisingUNet, name_or_file)
        return cls(model, where, pick_precision(precision, where), tile or TILE[where.type])

    @torch.inference_mode()
    def __call__(
        self, image: Tensor, sigma: float | Literal["auto"] = "auto", strength: float = 1.0, tta: bool = False
    ) -> Tensor:
        """Denoise one image.

        Args:
            image: (C, H, W), C 1 or 3, float values in [0, 1] plus noise; any H, W >= 1.
            sigma: the noise's standard deviation in the same units (25 grey levels are 25 / 255), or `auto`.
            strength: 0 returns the image, 1 the denoised one, between them a blend.
            tta: denoise all eight flips and turns and take their mean (`self_ensemble`): eight times as slow.

        Returns:
            (C, H, W) float32 on the CPU, not clamped.

        Raises:
            ValueError: neither grey nor RGB, or numbers out of range.
        """
        if image.ndim != 3 or image.shape[0] not in (1, 3):
            raise ValueError(f"an image is (1 or 3, H, W), not {tuple(image.shape)}")
        if not 0 <= strength <= 1:
            raise ValueError(f"strength is between 0 and 1, not {strength}")
        level = self.estimate_sigma(image) if sigma == "auto" else float(sigma)
        if not 0 <= level < float("inf"):
            raise ValueError(f"sigma is 0 or more, not {level}")

        def once(colour: Tensor) -> Tensor:
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                return self.model(colour, torch.full((1,), level, device=self.device)).float()

        def clean(tile: Tensor) -> Tensor:
            noisy = tile.to(self.device, torch.float32, memory_format=torch.channels_last)
            colour = noisy.expand(-1, 3, -1, -1)
            denoised = self_ensemble(once, colour) if tta else once(colour)
            if noisy.shape[1] == 1:
                denoised = denoised.mean(1, keepdim=True)
            return torch.lerp(noisy, denoised, strength).cpu()

        return tiled(clean, image, self.tile, min(OVERLAP, self.tile // 4))

    @torch.inference_mode()
    def estimate_sigma(self, image: Tensor) -> float:
        """The noise level of an image (C, H, W) in [0, 1], in the same units."""
        logs, clipped = [], []
        for crop in crops(image):
            noisy = crop[None].to(self.device, torch.float32).expand(-1, 3, -1, -1)
            level = self.estimator(noisy)
            logs.append(level.flatten())
            clipped.append(
                adaptive_avg_pool2d(((noisy <= 0) | (noisy >= 1)).float().mean(1), level.shape[-2:]).flatten()
            )
        level, share = torch.cat(logs), torch.cat(clipped)
        # Black and white cut the noise off: only the quarter of the cells with the fewest such pixels has a say.
        return level[share <= share.quantile(0.25)].median().exp().item()

    @cached_property
    def estimator(self) -> NoiseEstimator:
        """Read when first needed: a given sigma does not need it."""
        model = build(load_checkpoint(ESTIMATOR), "estimator", NoiseEstimator, ESTIMATOR)
        return model.eval().to(self.device).to(memory_format=torch.channels_last)


def self_ensemble(model: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The mean of what a model makes of the eight flips and turns of images (B, C, H, W), each turned back.

    References: Lim et al. 2017, arXiv:1707.02921, section 3.4 (geometric self-ensemble).
    """
    total = torch.zeros_like(x)
    for turns in range(4):
        for flipped in (False, True):
            seen = torch.rot90(x.flip(3) if flipped else x, turns, (2, 3))
            back = torch.rot90(model(seen.contiguous(memory_format=torch.channels_last)), -turns, (2, 3))
            total += back.flip(3) if flipped else back
    return total / 8


def crops(image: Tensor) -> list[Tensor]:
    """The whole image, or of a large one a 3x3 grid of crops, evenly spread."""
    height, width = image.shape[-2:]
    if height * width <= ESTIMATE_CROP**2 * ESTIMATE_CROPS:
        return [image]
    tops, lefts = (
        torch.linspace(0, max(0, side - ESTIMATE_CROP), 3).long().tolist() if side > ESTIMATE_CROP else [0]
        for side in (height, width)
    )
    return [image[:, top : top + ESTIMATE_CROP, left : left + ESTIMATE_CROP] for top in tops for left in lefts]
