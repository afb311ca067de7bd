"""A picture in, a cleaner picture out: the denoiser in one call. NumPy; an engine runs the networks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

import numpy as np

from ...checkpoints import Checkpoint, load_checkpoint
from ...core.tiling import tiled
from ...engines import Engine, pick_engine
from .networks import ESTIMATOR, UNET

TILE = {"cpu": 640, "mps": 640, "cuda": 2048}
OVERLAP = 64
ESTIMATOR_WEIGHTS = "noise-estimator"
ESTIMATE_CROP, ESTIMATE_CROPS = 512, 9  # the level of a large picture is taken from a 3x3 grid of crops
KMAC_PER_PIXEL = 200.0  # of denoise-fast; denoise-best takes twice as much


class Denoiser:
    """Removes noise from images of any size.

    Args:
        checkpoint: a denoiser's weights.
        engine: runs the networks.
        tile: side in pixels of the tiles that larger images are computed in; None chooses by the device.

    Raises:
        WeightsError: the weights are not a denoiser's.

    Example:
        >>> denoiser = Denoiser.from_pretrained("denoise-fast", device="cpu")
        >>> denoiser(np.zeros((3, 40, 50), np.float32), sigma=25 / 255).shape
        (3, 40, 50)
    """

    def __init__(self, checkpoint: Checkpoint, engine: Engine, tile: int | None = None) -> None:
        checkpoint.require("unet")
        self.engine, self.tile = engine, tile
        self.unet = engine.load(checkpoint, UNET)

    @classmethod
    def from_pretrained(
        cls,
        name_or_file: str | Path = "denoise-fast",
        device: str = "auto",
        precision: str = "auto",
        tile: int | None = None,
        engine: str = "auto",
        pictures: int = 1,
    ) -> Self:
        """The denoiser of shipped weights or of a weight file.

        Args:
            name_or_file: a name of `img2img weights list`, or a file.
            device: auto, cpu, cuda or mps.
            precision: auto (bf16 where PyTorch runs and the processor is fast at it), fp32 or bf16.
            tile: side in pixels of the tiles that larger images are computed in; None chooses by the device.
            engine: auto (what gives the result soonest), torch or onnx.
            pictures: how many are to come, for engine auto.

        Raises:
            WeightsError: the weights are missing, damaged or not a denoiser's.
            Img2ImgError: the device or PyTorch is not there.
        """
        runs = pick_engine(engine, device, precision, kmac_per_pixel=KMAC_PER_PIXEL, pictures=pictures)
        return cls(load_checkpoint(name_or_file), runs, tile)

    def __call__(
        self, image: np.ndarray, sigma: float | Literal["auto"] = "auto", strength: float = 1.0, tta: bool = False
    ) -> np.ndarray:
        """Denoise one image.

        Args:
            image: (C, H, W), C 1 or 3, float values in [0, 1] plus noise; any H, W >= 1.
            sigma: the noise's standard deviation in the same units (25 grey levels are 25 / 255), or `auto`.
            strength: 0 returns the image, 1 the denoised one, between them a blend.
            tta: denoise all eight flips and turns and take their mean (`self_ensemble`): eight times as slow.

        Returns:
            (C, H, W) float32, not clamped.

        Raises:
            ValueError: neither grey nor RGB, or numbers out of range.
        """
        if image.ndim != 3 or image.shape[0] not in (1, 3):
            raise ValueError(f"an image is (1 or 3, H, W), not {image.shape}")
        if not 0 <= strength <= 1:
            raise ValueError(f"strength is between 0 and 1, not {strength}")
        level = self.estimate_sigma(image) if sigma == "auto" else float(sigma)
        if not 0 <= level < float("inf"):
            raise ValueError(f"sigma is 0 or more, not {level}")
        self.engine.expect(image.shape[1] * image.shape[2])

        def once(colour: np.ndarray) -> np.ndarray:
            denoised: np.ndarray = self.unet(colour, np.full((1, 1, 1, 1), level, np.float32))
            return denoised

        def clean(noisy: np.ndarray) -> np.ndarray:
            colour = in_colour(noisy)
            denoised = self_ensemble(once, colour) if tta else once(colour)
            if noisy.shape[1] == 1:
                denoised = denoised.mean(1, keepdims=True)
            return denoised if strength == 1 else noisy + np.float32(strength) * (denoised - noisy)

        tile = self.tile or TILE[self.engine.device]
        return tiled(clean, image.astype(np.float32, copy=False), tile, min(OVERLAP, tile // 4))

    def estimate_sigma(self, image: np.ndarray) -> float:
        """The noise level of an image (C, H, W) in [0, 1], in the same units."""
        self.engine.expect(image.shape[1] * image.shape[2])
        logs, clipped = [], []
        for crop in crops(image.astype(np.float32, copy=False)):
            noisy = crop[None]
            level = self.estimator(in_colour(noisy))[0, 0]
            logs.append(level.ravel())
            clipped.append(cell_means(((noisy <= 0) | (noisy >= 1)).mean((0, 1)), level.shape).ravel())
        level, share = np.concatenate(logs), np.concatenate(clipped)
        # Black and white cut the noise off: only the quarter of the cells with the fewest such pixels has a say.
        seen = np.sort(level[share <= np.quantile(share, 0.25)])
        return float(np.exp(seen[(len(seen) - 1) // 2]))

    @cached_property
    def estimator(self) -> Callable[[np.ndarray], np.ndarray]:
        """Read when first needed: a given sigma does not need it."""
        checkpoint = load_checkpoint(ESTIMATOR_WEIGHTS)
        checkpoint.require("estimator")
        return self.engine.load(checkpoint, ESTIMATOR)


def in_colour(x: np.ndarray) -> np.ndarray:
    """Images (B, 1 or 3, H, W) as RGB, contiguous."""
    return np.repeat(x, 3, axis=1) if x.shape[1] == 1 else np.ascontiguousarray(x)


def self_ensemble(model: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """The mean of what a model makes of the eight flips and turns of images (B, C, H, W), each turned back.

    References: Lim et al. 2017, arXiv:1707.02921, section 3.4 (geometric self-ensemble).
    """
    total = np.zeros_like(x)
    for turns in range(4):
        for flipped in (False, True):
            seen = np.rot90(x[..., ::-1] if flipped else x, turns, (2, 3))
            back = np.rot90(model(np.ascontiguousarray(seen)), -turns, (2, 3))
            total += back[..., ::-1] if flipped else back
    return total / 8


def crops(image: np.ndarray) -> list[np.ndarray]:
    """The whole image, or of a large one a 3x3 grid of crops, evenly spread."""
    height, width = image.shape[-2:]
    if height * width <= ESTIMATE_CROP**2 * ESTIMATE_CROPS:
        return [image]
    tops, lefts = (
        [round(i * (side - ESTIMATE_CROP) / 2) for i in range(3)] if side > ESTIMATE_CROP else [0]
        for side in (height, width)
    )
    return [image[:, top : top + ESTIMATE_CROP, left : left + ESTIMATE_CROP] for top in tops for left in lefts]


def cell_means(x: np.ndarray, cells: tuple[int, ...]) -> np.ndarray:
    """Means of a map (H, W) over a grid of so many cells each way, which together cover it: (rows, columns)."""
    for axis, (size, count) in enumerate(zip(x.shape, cells, strict=True)):
        begins = np.arange(count) * size // count
        ends = -(-(np.arange(count) + 1) * size // count)  # rounded up: cells may share a line
        sums = np.insert(x.cumsum(axis), 0, 0, axis)
        length = (ends - begins).reshape((-1, 1) if axis == 0 else (1, -1))
        x = (sums.take(ends, axis) - sums.take(begins, axis)) / length
    return x
