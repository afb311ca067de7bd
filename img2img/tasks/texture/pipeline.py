"""A sample in, as much of its texture as wanted out: the synthesiser in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor

from ...metrics.texture import copy_distances, copy_rate, seam_scores
from ...runtime import exactly, keep_big_buffers, pick_device, pick_precision, require_memory
from .descriptor import Descriptor
from .descriptor_file import load_descriptor
from .job import SIZE, TRAIN_STEPS, Colour, LossName, Start, TextureJob, Wraps
from .judge import Unseen, unseen
from .loss import COPIES, make_loss
from .material import PIECES, SAMPLE_PIXELS, Material, alike, crop_middle, in_pieces, listed, normalised
from .methods.optimize import Watch, bytes_needed, optimise
from .methods.patches import synthesised
from .pyramid import Size, resample
from .sheet import parts_of

if TYPE_CHECKING:
    from .methods.network import TextureNetwork


class Texture:
    """Makes textures of any size that look like a sample, or like a mixture of several.

    Args:
        descriptor: on a torus.
        device: where to compute.
        dtype: of the convolutions.
        sample_pixels: of a sample that are looked at at once.

    Example:
        >>> texture = Texture.from_pretrained("random", device="cpu")
        >>> texture(torch.rand(3, 40, 50), size=(24, 36), steps=2).shape
        torch.Size([3, 24, 36])
    """

    def __init__(
        self,
        descriptor: Descriptor,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        sample_pixels: int = SAMPLE_PIXELS,
    ) -> None:
        if not descriptor.circular:
            raise ValueError("textures are made on a torus: the descriptor has to be circular")
        keep_big_buffers()
        self.descriptor, self.device, self.dtype = descriptor.to(device), device, dtype
        self.sample_pixels = sample_pixels

    @classmethod
    def from_pretrained(
        cls,
        descriptor: str | Path = "vgg-slim",
        weights: str | Path | None = None,
        device: str = "auto",
        precision: str = "auto",
    ) -> Self:
        """A synthesiser with a descriptor by name, or from a file that training wrote.

        Args:
            descriptor: vgg-slim, random, vgg19, or a file that training wrote.
            weights: a file of VGG-19's weights, instead of a download.
            device: auto, cpu, cuda or mps.
            precision: auto (bf16 where the processor is fast at it), fp32 or bf16.

        Raises:
            WeightsError: the weights are missing, damaged or for something else.
            Img2ImgError: the device is not there.
        """
        where = pick_device(device)
        loaded = load_descriptor(descriptor, None if weights is None else Path(weights), where, circular=True)
        return cls(loaded, where, pick_precision(precision, where))

    def __call__(
        self,
        samples: Tensor | Sequence[Tensor],
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
    ) -> Tensor:
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
            (C, *size) float32 on the CPU, not clamped.

        Raises:
            ValueError: wrong shapes or numbers.
            ImageError: there is not enough memory for a texture of that size.
        """
        shares = None if mix is None else tuple(mix)
        return self.optimised(
            samples, TextureJob(size, "optimize", tileable, seed, shares, colour, loss, start, steps), watch
        )

    def optimised(self, samples: Tensor | Sequence[Tensor], job: TextureJob, watch: Watch | None = None) -> Tensor:
        """A job's texture; samples, watch, what comes back and errors as for a call."""
        count = len(listed(samples))
        start, steps = job.chosen_start(count), job.chosen_steps(count)
        if start == "patches" and count > 1:
            raise ValueError("a start by patches is made of one sample; start a mixture from noise")
        material = Material.of(samples, job, self.descriptor.smallest, self.sample_pixels)
        finest = material.pyramid[-1]
        channels = len(material.whole[0])
        needed = bytes_needed(self.descriptor, finest.canvas, channels, self.dtype, COPIES[job.chosen_loss])
        require_memory(needed, self.device, f"a texture of {job.size[1]}x{job.size[0]} pixels")
        images = [image[None].to(self.device) for image in material.images]
        with exactly(self.device):
            canvas = optimise(
                self.descriptor,
                images,
                material.portions,
                material.pyramid if start == "noise" else [finest],
                self._make_loss(job),
                job.seed,
                steps,
                self.dtype,
                watch,
                None if start == "noise" else self._of_patches(material, job.seed).to(images[0]),
            )
        return material.finished(canvas, job)

    def _of_patches(self, material: Material, seed: int) -> Tensor:
        canvas = material.pyramid[-1].canvas
        return _of_patches(material.whole[0], material.stretch, canvas, seed, self.sample_pixels)

    def _make_loss(self, job: TextureJob) -> Callable[..., Any]:
        return partial(make_loss, job.chosen_loss, job.seed, self.descriptor.trust)

    def train(
        self,
        samples: Tensor | Sequence[Tensor],
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
        from .train_network import Sight, train

        shares = None if mix is None else tuple(mix)
        job = TextureJob(method="network", seed=seed, mix=shares, colour=colour, loss=loss, train_steps=steps)
        sight = Sight(self.descriptor, self.device, self.dtype)
        images = [crop_middle(image, self.sample_pixels) for image in alike(samples)]
        return train(sight, images, job, recipe, about or {}, icc, watch, improved)

    def measure(
        self, texture: Tensor, samples: Tensor | Sequence[Tensor], mix: Sequence[float] | None = None
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
        whole = texture.expand(len(images[0]), -1, -1)
        distances = copy_distances(whole, images[1:])
        seen, portions = in_pieces(images[1:], shares, self.sample_pixels)
        shown = crop_middle(images[0], self.sample_pixels).to(self.device)
        return {
            "gram_distance": self.judge.distance(shown, [piece.to(self.device) for piece in seen], portions),
            "copy_rate": copy_rate(distances),
            "copy_distance": float(np.median(distances)) if len(distances) else None,
            "seam": seam_scores(texture),
        }

    @cached_property
    def judge(self) -> Unseen:
        """Layers that no loss sees."""
        return unseen(self.descriptor)


def _of_patches(sample: Tensor, stretch: tuple[float, float], canvas: Size, seed: int, sample_pixels: int) -> Tensor:
    """A texture by patches of a sample (C, h, w), on a canvas for which it is stretched: (1, C, H, W)."""
    part = crop_middle(sample, int(PIECES * sample_pixels / (stretch[0] * stretch[1])))
    height, width = (max(1, round(side * by)) for side, by in zip(part.shape[1:], stretch, strict=True))
    stretched = height, width
    scaled = resample(part[None], stretched, circular=False)[0].clamp(0, 1)
    pixels = scaled.permute(1, 2, 0).numpy()
    usable = np.ones(pixels.shape[:2], bool)
    numbers = synthesised(parts_of([pixels], [usable]), canvas, seed)
    return scaled.flatten(1)[:, torch.from_numpy(numbers).to(scaled.device)][None]
