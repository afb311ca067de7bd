"""What a blind denoiser trains on: pictures by imitated cameras, with white noise, and clean ones, in each batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

import torch
from torch import Generator, Tensor

from .camera import MARGIN, CameraRange, photograph
from .drawn import drawing
from .noise import NoiseMixture, degrade, to_eight_bits, to_grey
from .patches import PatchSource
from .rework import through_jpeg


@dataclass(frozen=True)
class PhotoMixture:
    """What share of each batch is which; the rest was taken by cameras.

    Args:
        white: share with white noise, as `noise` says, all of it clipped to 8 bits.
        clean: share without noise, half of it from JPEG of quality 88 and more: it is to come back as it is.
        drawn: share of the clean ones that nobody photographed (`data.drawn`); a tenth of that of all others.
        busy: of how many crops each clean one is that with the most fine detail: what may be taken for noise.
        grey: share turned to grey, of every kind.
        cameras: what photographs are taken by.
        noise: what white noise is drawn from.
    """

    white: float = 0.25
    clean: float = 0.1
    drawn: float = 0.0
    busy: int = 1
    grey: float = 0.1
    cameras: CameraRange = field(default_factory=CameraRange)
    noise: NoiseMixture = field(default_factory=lambda: NoiseMixture(sigma_max=60, eight_bit=1, camera=0, grey=0))

    @classmethod
    def from_recipe(cls, entries: dict[str, Any]) -> PhotoMixture:
        """From a recipe's `[data]`, in which `cameras` and `noise` are tables of their own.

        Raises:
            TypeError: an entry that there is not.
        """
        tables = dict(entries)
        if "cameras" in tables:
            ranges: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in tables["cameras"].items()}
            tables["cameras"] = CameraRange(**ranges)
        if "noise" in tables:
            tables["noise"] = NoiseMixture(**tables["noise"])
        return cls(**tables)


def draw(source: PatchSource, mixture: PhotoMixture, patch: int, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """A batch of pairs: clean and noisy, (n, 3, patch, patch), the noisy ones in steps of 1 / 255."""
    seeded = Random(generator.initial_seed())
    crops = source.sample(n, patch + 2 * MARGIN, generator)
    white = int(n * mixture.white + seeded.random())
    clean = int(n * mixture.clean + seeded.random())
    if clean and mixture.busy > 1:
        crops[:clean] = busiest(source.sample(clean * mixture.busy, patch + 2 * MARGIN, generator), mixture.busy)
    for i in range(n):
        if seeded.random() < (mixture.drawn if i < clean else mixture.drawn / 10):
            picture = torch.from_numpy(drawing(patch + 2 * MARGIN, seeded)).to(crops.device)
            crops[i] = picture.permute(2, 0, 1).float() / 255
    inner = crops[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    pairs = []
    if clean:
        pairs.append(as_it_is(inner[:clean], seeded))
    if white:
        truth, noisy, _ = degrade(inner[clean : clean + white], mixture.noise, generator)
        pairs.append((truth, noisy))
    if clean + white < n:
        pairs.append(photograph(crops[clean + white :], mixture.cameras, generator))
    truth, noisy = (torch.cat(halves) for halves in zip(*pairs, strict=True))
    grey = torch.rand(n, 1, 1, 1, generator=generator, device=truth.device) < mixture.grey
    truth = torch.where(grey, to_grey(truth), truth)
    return truth, torch.where(grey, to_eight_bits(to_grey(noisy)), noisy)


def busiest(crops: Tensor, of: int) -> Tensor:
    """Of each `of` crops that follow each other the one whose pixels differ most from their neighbours' mean.

    Args:
        crops: (n * of, C, h, w) in [0, 1].
        of: crops to choose from.

    Returns:
        (n, C, h, w).
    """
    around = torch.nn.functional.avg_pool2d(crops, 3, 1)
    detail = (crops[..., 1:-1, 1:-1] - around).abs().mean((1, 2, 3)).view(-1, of)
    chosen = detail.argmax(1) + torch.arange(0, len(crops), of, device=crops.device)
    return crops[chosen]


def as_it_is(pictures: Tensor, seeded: Random) -> tuple[Tensor, Tensor]:
    """Pictures without noise, each its own truth; about half of them from JPEG of high quality."""
    pictures = to_eight_bits(pictures)
    chosen = [i for i in range(len(pictures)) if seeded.random() < 0.5]
    if chosen:
        pictures[chosen] = through_jpeg(pictures[chosen], [seeded.randint(88, 98) for _ in chosen], seeded)
    return pictures, pictures
