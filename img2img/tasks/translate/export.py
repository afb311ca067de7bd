"""Translators as they are exported."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ...checkpoints import load_checkpoint
from ...engines.subject import GREY, IMAGE, RESULT, WHOLE, Subject
from ...engines.torch_engine import TorchEngine
from .coding import Coding, Lab
from .networks import CLASSIFIER, generator_of
from .pipeline import Translator


class TranslatorGraph(nn.Module):
    """A translator from image to image, with the colour coding on both sides and without dropout's noise.

    Shape:
        image: (B, C, H, W) in [0, 1], C as the coding takes it; any H, W >= 1.
        returns: (B, C', H, W) in [0, 1].
    """

    def __init__(self, model: nn.Module, coding: Coding) -> None:
        super().__init__()
        self.model, self.coding = model, coding

    def forward(self, image: Tensor) -> Tensor:
        x = self.coding.source(image)
        return self.coding.image(self.model(x), x)


def translator(name_or_file: str | Path, facts: dict[str, str]) -> Subject:
    """A translator as a Subject, without noise."""
    checkpoint = load_checkpoint(name_or_file)
    pipeline = Translator(checkpoint, TorchEngine("cpu", "fp32"), WHOLE)
    in_lab = isinstance(pipeline.coding, Lab)
    channels = 3 if in_lab else pipeline.network.in_channels
    model = generator_of(checkpoint) if checkpoint.header["network"] == "generator" else CLASSIFIER.build(checkpoint)
    out = pipeline.coding.channels
    return Subject(
        str(name_or_file),
        TranslatorGraph(model, pipeline.coding).eval(),
        lambda image, _: torch.from_numpy(pipeline.at_its_size(image.numpy())),
        channels=channels,
        inputs={"image": IMAGE.format(channels=channels) + (GREY if in_lab else "")},
        output=RESULT.format(channels=out),
        facts=facts | {"noise": "none: the dropout is off"},
    )
