"""A sample in, as much of its texture as wanted out: the synthesiser in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ...errors import Img2ImgError
from ...metrics.texture import copy_distances, copy_rate, gram_distance, seam_scores
from .either import either
from .eyes import pick_eye
from .job import SIZE, TRAIN_STEPS, Colour, LossName, Start, TextureJob, Wraps
from .material import PIECES, SAMPLE_PIXELS, Material, alike, crop_middle, in_pieces, listed, normalised
from .methods.optimize import Eye, Watch, optimise
from .methods.patches import synthesised
from .pyramid import Array, Size, resample
from .sheet import parts_of

if TYPE_CHECKING:
    from .methods.network import TextureNetwork


class Texture:
    """Makes textures of any size that look like a sample, or like a mixture of several.

    Samples and textures are NumPy arrays, or tensors: what comes out is what went in.

    Args:
        eye: what compares textures with samples, by PyTorch or onnxruntime.
        sample_pixels: of a sample that are looked at at once.

    Example:
        >>> texture = Texture.from_pretrained("vgg-slim", engine="onnx")
        >>> texture(np.zeros((3, 40, 50), np.float32), size=(24, 36), steps=2).shape
        (3, 24, 36)
    """

    def __init__(self, eye: Eye, sample_pixels: int = SAMPLE_PIXELS) -> None:
        self.eye, self.sample_pixels = eye, sample_pixels

    @classmethod
    def from_pretrained(
        cls,
        descriptor: str | Path = "vgg-slim",
        weights: str | Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        engine: str = "auto",
    ) -> Self:
        """A synthesiser with a descriptor by name, or from a file that training wrote.

        Args:
            descriptor: vgg-slim, random, vgg19, or a file that training wrote.
            weights: a file of VGG-19's weights, instead of a download.
            device: auto, cpu, cuda or mps.
            precision: auto (bf16 where PyTorch runs and the processor is fast at it), fp32 or bf16.
            engine: auto, torch or onnx; see `eyes.pick_eye`.

        Raises:
            WeightsError: the weights are missing, damaged or for something else, or have no graphs for onnxruntime.
            Img2ImgError: the device is not there, or PyTorch is needed and not there.
        """
        return cls(pick_eye(descriptor, weights, engine, device, precision))

    def __call__(
        self,
        samples: Array | Sequence[Array],
        size: Size = SIZE,
        *,
        tileable: Wraps = False,
        seed: int = 0,
        mix: Sequence[float] | None = None,
        colour: Colour = "keep",
        loss: LossName = "shifted",
        start: Start | None = None,
        steps: int | None = None,
        watch: Watch | None = None,
    ) -> Array:
        """Make one texture by changing pixels until the descriptor sees the samples' statistics.

        Args:
            samples: one (C, h, w) or several, C 1 or 3, values in [0, 1]; any h, w >= 1. Grey ones give a grey texture.
                Of one with more than SAMPLE_PIXELS pixels swd sees the middle; the others see all, up to PIECES times
                as many, evenly spread.
            size: height and width of the texture.
            tileable: see `TextureJob`, as for all that follow.
            seed: see there.
            mix: see there.
            colour: see there.
            loss: see there.
            start: see there.
            steps: see there.
            watch: is told of every evaluation.

        Returns:
            (C, *size) float32, not clamped.

        Raises:
            ValueError: wrong shapes or numbers.
            ImageError: there is not enough memory for a texture of that size.
        """
        shares = None if mix is None else tuple(mix)
        return self.optimised(
            samples, TextureJob(size, "optimize", tileable, seed, shares, colour, loss, start, steps), watch
        )

    @either
    def optimised(self, samples: Array | Sequence[Array], job: TextureJob, watch: Watch | None = None) -> Array:
        """A job's texture; samples, watch, what comes back and errors as for a call."""
        count = len(listed(samples))
        start, steps = job.chosen_start(count), job.chosen_steps(count)
        if start == "patches" and count > 1:
            raise ValueError("a start by patches is made of one sample; start a mixture from noise")
        material = Material.of(samples, job, self.eye.smallest, self.sample_pixels)
        finest = material.pyramid[-1]
        texture = f"a texture of {job.size[1]}x{job.size[0]} pixels"
        self.eye.require(finest.canvas, len(material.whole[0]), job.chosen_loss, texture)
        with self.eye.exactly():
            canvas = optimise(
                self.eye,
                [image[None] for image in material.images],
                material.portions,
                material.pyramid if start == "noise" else [finest],
                job.chosen_loss,
                job.seed,
                steps,
                watch,
                None if start == "noise" else self._of_patches(material, job.seed),
            )
        return material.finished(canvas, job)

    def _of_patches(self, material: Material, seed: int) -> Array:
        canvas = material.pyramid[-1].canvas
        return _of_patches(material.whole[0], material.stretch, canvas, seed, self.sample_pixels)

    def train(
        self,
        samples: Any,
        *,
        mix: Sequence[float] | None = None,
        colour: Colour = "keep",
        loss: LossName = "gram",
        steps: int = TRAIN_STEPS,
        seed: int = 0,
        about: dict[str, Any] | None = None,
        icc: bytes | None = None,
        watch: Watch | None = None,
        improved: Callable[[TextureNetwork], None] | None = None,
        recipe: Path | None = None,
    ) -> TextureNetwork:
        """Train a network that makes such textures at once, of any size (Texture Networks, methods/network.py).

        Args:
            samples: as for a call, but of a large one the middle is used.
            mix: as for a call.
            colour: with `luminance` the network makes that only, and colours it afterwards; the other two are chosen
                when it is used.
            loss: gram or swd, as for a call.
            steps: of the training.
            seed: of the training; the same gives the same network.
            about: what the network's file is to say beside.
            icc: the samples' colour profile, for that file.
            watch: is told the loss of every step.
            improved: is given each network that is better than those before it.
            recipe: of the training, instead of ours.

        Raises:
            ValueError: wrong shapes or numbers.
            TrainingError: the recipe does not fit.
        """
        import torch

        from .methods.by_torch import TorchEye
        from .train_network import Sight, train

        if not isinstance(self.eye, TorchEye):
            raise Img2ImgError("networks of textures are trained by PyTorch: take the engine torch")

        shares = None if mix is None else tuple(mix)
        job = TextureJob(method="network", seed=seed, mix=shares, colour=colour, loss=loss, train_steps=steps)
        sight = Sight(self.eye.descriptor, self.eye.device, self.eye.dtype)
        images = [torch.tensor(crop_middle(image, self.sample_pixels)) for image in alike(samples)]
        return train(sight, images, job, recipe, about or {}, icc, watch, improved)

    @either
    def measure(
        self, texture: Array, samples: Array | Sequence[Array], mix: Sequence[float] | None = None
    ) -> dict[str, Any]:
        """What a texture is worth (see img2img.metrics.texture).

        Args:
            texture: (C, H, W).
            samples: those that it was made of.
            mix: their shares.

        Returns:
            `gram_distance` by layer that no loss saw, `copy_rate`, `copy_distance` (of the median
            patch; None where none shows anything) and `seam`.
        """
        shares, images = normalised(samples, mix), alike([texture, *listed(samples)])
        whole = np.broadcast_to(texture, (len(images[0]), *texture.shape[1:]))
        distances = copy_distances(whole, images[1:])
        seen, portions = in_pieces(images[1:], shares, self.sample_pixels)
        shown = crop_middle(images[0], self.sample_pixels)
        ours, *theirs = (self.eye.judged(image[None]) for image in (shown, *seen))
        apart = gram_distance(list(ours.values()), [list(each.values()) for each in theirs], portions)
        return {
            "gram_distance": dict(zip(ours, apart, strict=True)),
            "copy_rate": copy_rate(distances),
            "copy_distance": float(np.median(distances)) if len(distances) else None,
            "seam": seam_scores(texture),
        }


def _of_patches(sample: Array, stretch: tuple[float, float], canvas: Size, seed: int, sample_pixels: int) -> Array:
    """A texture by patches of a sample (C, h, w), on a canvas for which it is stretched: (1, C, H, W)."""
    part = crop_middle(sample, int(PIECES * sample_pixels / (stretch[0] * stretch[1])))
    height, width = (max(1, round(side * by)) for side, by in zip(part.shape[1:], stretch, strict=True))
    scaled = resample(part[None], (height, width), circular=False)[0].clip(0, 1)
    pixels = np.ascontiguousarray(np.moveaxis(scaled, 0, 2))
    numbers = synthesised(parts_of([pixels], [np.ones(pixels.shape[:2], bool)]), canvas, seed)
    found: Array = scaled.reshape(len(scaled), -1)[:, numbers][None]
    return found
