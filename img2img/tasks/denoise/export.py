"""Denoisers as they are exported."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ...checkpoints import build, load_checkpoint
from ...engines.subject import GREY, IMAGE, RESULT, SIGMA, WHOLE, Subject
from ...engines.torch_engine import TorchEngine
from .model import BlindDenoiser, DenoisingUNet
from .pipeline import Denoiser


def denoiser(name_or_file: str | Path, facts: dict[str, str]) -> Subject:
    """A denoiser as a Subject; the noise level is given to it, not estimated."""
    checkpoint = load_checkpoint(name_or_file)
    pipeline = Denoiser(checkpoint, TorchEngine("cpu", "fp32"), WHOLE)
    return Subject(
        str(name_or_file),
        build(checkpoint, "unet", DenoisingUNet).eval(),
        lambda image, sigma: torch.from_numpy(pipeline(image.numpy(), sigma)),
        channels=3,
        inputs={"image": IMAGE.format(channels=3) + ", with noise" + GREY, "sigma": SIGMA},
        output=RESULT.format(channels=3) + ", not clamped",
        facts=facts,
    )


class BlindGraph(nn.Module):
    """A blind denoiser that takes away all noise it finds.

    Shape:
        image: (B, 3, H, W) in [0, 1]; any H, W >= 1.
        returns: (B, 3, H, W), not clamped.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        denoised: Tensor = self.model(image, torch.ones(1, 1, 1, 1))
        return denoised


def blind_denoiser(name_or_file: str | Path, facts: dict[str, str]) -> Subject:
    """A denoiser that finds the noise itself, as a Subject."""
    checkpoint = load_checkpoint(name_or_file)
    pipeline = Denoiser(checkpoint, TorchEngine("cpu", "fp32"), WHOLE)
    return Subject(
        str(name_or_file),
        BlindGraph(build(checkpoint, "blind", BlindDenoiser)).eval(),
        lambda image, _: torch.from_numpy(pipeline(image.numpy())),
        channels=3,
        inputs={"image": IMAGE.format(channels=3) + ", with noise" + GREY},
        output=RESULT.format(channels=3) + ", not clamped",
        facts=facts,
    )
