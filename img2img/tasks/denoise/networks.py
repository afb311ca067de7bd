"""The denoiser's networks, as engines find them in weight files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...checkpoints import Checkpoint, build
from ...engines.network import Network

if TYPE_CHECKING:
    from torch import nn


def _unet(checkpoint: Checkpoint) -> nn.Module:
    from .model import DenoisingUNet

    return build(checkpoint, "unet", DenoisingUNet)


def _blind(checkpoint: Checkpoint) -> nn.Module:
    from .model import BlindDenoiser

    return build(checkpoint, "blind", BlindDenoiser)


def _estimator_of_blind(checkpoint: Checkpoint) -> nn.Module:
    from .model import BlindDenoiser

    return build(checkpoint, "blind", BlindDenoiser).estimator


def _picture(header: Mapping[str, Any], random: np.random.Generator, height: int, width: int) -> np.ndarray:
    channels = header["config"].get("channels", 3)
    return random.random((1, channels, height, width), dtype=np.float32)


def _with_amount(
    header: Mapping[str, Any], random: np.random.Generator, height: int, width: int
) -> tuple[np.ndarray, ...]:
    return _picture(header, random, height, width), random.random((1, 1, 1, 1), dtype=np.float32) * 2


def _noisy(header: Mapping[str, Any], random: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, ...]:
    # Half of the time one level for all, else a map.
    size = (1, 1) if random.random() < 0.5 else (height, width)
    return _picture(header, random, height, width), random.random((1, 1, *size), dtype=np.float32) * (75 / 255)


# noisy (B, C, H, W), sigma (B, 1, 1, 1) or (B, 1, H, W) to the denoised picture
UNET = Network("unet", _unet, ("noisy", "sigma"), _noisy, prefix="unet")
# noisy (B, 3, H, W), amount (B, 1, 1, 1) to the denoised picture; and log sigma (B, 3, ceil(H / 16), ceil(W / 16)), of
# which 0.01 are 1 % of the level
BLIND = Network("blind", _blind, ("noisy", "amount"), _with_amount, prefix="blind")
FINDER = Network(
    "finder",
    _estimator_of_blind,
    ("noisy",),
    lambda *args: (_picture(*args),),
    prefix="blind.estimator",
    level=0.01 / 0.05,
)

NETWORKS = {
    "unet": (UNET,),
    "blind": (BLIND, FINDER),
}  # by what a weight file's header calls its network
