"""A picture in, a cleaner picture out: the denoiser in one call. NumPy; an engine runs the networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

import numpy as np

from ...checkpoints import Checkpoint, load_checkpoint
from ...core.luma import LUMA
from ...core.tiling import tiled
from ...engines import Engine, pick_engine
from .networks import BLIND, FINDER, UNET

TILE = {"cpu": 640, "mps": 640, "cuda": 2048}
OVERLAP = 64
ESTIMATOR_WEIGHTS = "denoise-photo"  # whose part that finds the noise tells other networks its level
ESTIMATE_CROP, ESTIMATE_CROPS = 512, 9  # the level of a large picture is taken from a 3x3 grid of crops
BEYOND = 0.01
FEWEST_CELLS = 8  # of 16x16 pixels, for shadows or lights to be spoken of
KMAC_PER_PIXEL = 200.0  # of denoise-fast; denoise-photo takes 213
STRONGEST = 2


@dataclass(frozen=True)
class FoundNoise:
    """How strong a picture's noise is, by its standard deviation in [0, 1] units.

    Attributes:
        sigma: of all channels and places together.
        channels: of each channel (red, green, blue).
        shadows: where the picture is darker than a third; None where it has too few such places.
        lights: where it is lighter than two thirds, likewise.
    """

    sigma: float
    channels: tuple[float, float, float]
    shadows: float | None = None
    lights: float | None = None


class Denoiser:
    """Removes noise from images of any size.

    Its network is either blind, trained on photographs, and finds the noise itself; or it is told one level of white
    noise, which the blind one's estimator says where nobody knows it.

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
        self.blind = checkpoint.header.get("network") == "blind"
        checkpoint.require("blind" if self.blind else "unet")
        self.checkpoint, self.engine, self.tile = checkpoint, engine, tile
        self.network = engine.load(checkpoint, BLIND if self.blind else UNET)

    @classmethod
    def from_pretrained(
        cls,
        name_or_file: str | Path = "denoise-photo",
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
        self,
        image: np.ndarray,
        sigma: float | Literal["auto"] = "auto",
        strength: float = 1.0,
        tta: bool = False,
        luma: float = 1.0,
        chroma: float = 1.0,
    ) -> np.ndarray:
        """Denoise one image.

        Args:
            image: (C, H, W), C 1 or 3, float values in [0, 1] plus noise; any H, W >= 1.
            sigma: the noise's standard deviation in the same units (25 grey levels are 25 / 255), or `auto`. A blind
                network takes only `auto`.
            strength: 0 returns the image, 1 the denoised one, between them a blend. From 1 to 2 the network is told
                that there is so many times the noise: what still shows grain gets smoother, and fine detail goes.
            tta: denoise all eight flips and turns and take their mean (`self_ensemble`): eight times as slow.
            luma: 0 keeps the noise of lightness (BT.601), 1 takes it away, between them a blend.
            chroma: the same for colours at that lightness.

        Returns:
            (C, H, W) float32, not clamped.

        Raises:
            ValueError: neither grey nor RGB, numbers out of range, or a level for a blind network.
        """
        if image.ndim != 3 or image.shape[0] not in (1, 3):
            raise ValueError(f"an image is (1 or 3, H, W), not {image.shape}")
        for name, value, largest in (("strength", strength, STRONGEST), ("luma", luma, 1), ("chroma", chroma, 1)):
            if not 0 <= value <= largest:
                raise ValueError(f"{name} is between 0 and {largest}, not {value}")
        if self.blind and sigma != "auto":
            raise ValueError("these weights find the noise themselves and take no level")
        self.engine.expect(image.shape[1] * image.shape[2])
        # A blind network is told by how much to multiply what it finds.
        told = 1.0 if self.blind else self.estimate_sigma(image) if sigma == "auto" else float(sigma)
        told, share = told * max(1.0, strength), min(1.0, strength)
        if not 0 <= told < float("inf"):
            raise ValueError(f"sigma is 0 or more, not {told}")

        def once(colour: np.ndarray) -> np.ndarray:
            denoised: np.ndarray = self.network(colour, np.full((1, 1, 1, 1), told, np.float32))
            return denoised

        def clean(noisy: np.ndarray) -> np.ndarray:
            colour = in_colour(noisy)
            denoised = self_ensemble(once, colour) if tta else once(colour)
            if noisy.shape[1] == 1:
                denoised = denoised.mean(1, keepdims=True)
            return blended(noisy, denoised, share * luma, share * chroma)

        tile = self.tile or TILE[self.engine.device]
        return tiled(clean, image.astype(np.float32, copy=False), tile, min(OVERLAP, tile // 4))

    def find_noise(self, image: np.ndarray) -> FoundNoise:
        """How strong the noise of an image (C, H, W) in [0, 1] is, in the same units.

        Of a large image 3x3 crops are looked at. Cells of 16x16 pixels where black or white cut the noise off have no
        say if others have none.
        """
        self.engine.expect(image.shape[1] * image.shape[2])
        levels, clipped, brightness = [], [], []
        for crop in crops(image.astype(np.float32, copy=False)):
            noisy, contrast = between_black_and_white(crop[None])
            log_sigma = self.estimator(in_colour(noisy))[0]
            cells = log_sigma.shape[1:]
            levels.append(log_sigma.reshape(len(log_sigma), -1) - np.log(contrast))
            clipped.append(cell_means(((noisy <= 0) | (noisy >= 1)).mean((0, 1)), cells).ravel())
            brightness.append(cell_means(crop.mean(0), cells).ravel())
        level, share, light = np.concatenate(levels, 1), np.concatenate(clipped), np.concatenate(brightness)
        seen = share <= np.quantile(share, 0.25)
        channels = [middle(channel[seen]) for channel in level]

        def where(cells: np.ndarray) -> float | None:
            chosen = seen & cells
            return middle(level[:, chosen].mean(0)) if chosen.sum() >= FEWEST_CELLS else None

        red, green, blue = channels if len(channels) == 3 else channels * 3
        overall = float(np.sqrt(np.mean(np.square((red, green, blue)))))
        return FoundNoise(overall, (red, green, blue), where(light < 1 / 3), where(light > 2 / 3))

    def estimate_sigma(self, image: np.ndarray) -> float:
        """The noise level of an image (C, H, W) in [0, 1], in the same units."""
        return self.find_noise(image).sigma

    @cached_property
    def estimator(self) -> Callable[[np.ndarray], np.ndarray]:
        """A blind network's own; for another that of denoise-photo, read when first needed."""
        checkpoint = self.checkpoint if self.blind else load_checkpoint(ESTIMATOR_WEIGHTS)
        checkpoint.require("blind")
        return self.engine.load(checkpoint, FINDER)


def between_black_and_white(noisy: np.ndarray) -> tuple[np.ndarray, float]:
    """An image (B, C, H, W) with so little contrast that 98 % of its values lie in [0, 1], and that contrast.

    The estimator knows pictures of 8 bits. Of noise that black and white do not cut off it says too much (75 grey
    levels: 91), but less contrast is as much less noise. Only the highest and lowest hundredth may lie beyond.
    """
    if noisy.min() >= 0 and noisy.max() <= 1:
        return noisy, 1.0
    low, high = np.quantile(noisy, (BEYOND, 1 - BEYOND))
    black, white = min(0.0, float(low)), max(1.0, float(high))
    contrast = 1 / (white - black)
    return (noisy - np.float32(black)) * np.float32(contrast), contrast


def middle(log_sigma: np.ndarray) -> float:
    """The lower median of logarithms, as a level."""
    ordered = np.sort(log_sigma)
    return float(np.exp(ordered[(len(ordered) - 1) // 2]))


def blended(noisy: np.ndarray, denoised: np.ndarray, luma: float, chroma: float) -> np.ndarray:
    """Between a noisy and a denoised image (B, C, H, W): this share of the change in lightness, and in colours."""
    if luma == chroma == 1:
        return denoised
    change = denoised - noisy
    if noisy.shape[1] == 1 or luma == chroma:
        return noisy + np.float32(luma) * change
    grey = np.einsum("c,bchw->bhw", np.array(LUMA, np.float32), change)[:, None]
    return noisy + np.float32(chroma) * change + np.float32(luma - chroma) * grey


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
