"""What a VGG-19 sees of pictures. Nothing of ours is trained against its features, so it may judge them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Features = Callable[["Tensor"], "Sequence[Tensor]"]
"""Takes a picture (C, H, W) in [0, 1], C 1 or 3; returns relu1_1 to relu5_1, each (1, channels, h, w)."""


def vgg_features(weights: Path, device: str) -> Features:
    """What `img2img.metrics.features.feature_distance` compares.

    Args:
        weights: file of a VGG-19, as for `img2img texture --descriptor vgg19`.
        device: auto, cpu, cuda or mps.

    Raises:
        WeightsError: they cannot be loaded.
    """
    import torch

    from img2img.descriptors.by_name import load_descriptor
    from img2img.runtime import pick_device

    where = pick_device(device)
    descriptor = load_descriptor("vgg19", weights=weights, device=where, normalised=False)

    @torch.inference_mode()
    def features(picture: Tensor) -> Sequence[Tensor]:
        found: Sequence[Tensor] = descriptor(picture[None].to(where))
        return found

    return features
