"""Crops: where they come from, and their eight positions."""

import numpy as np
import pytest
import torch
from torch import Generator

from img2img.data.patches import PatchSource
from img2img.errors import TrainingError


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_crops_are_crops_in_all_eight_positions() -> None:
    image = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    crops = (PatchSource([image], torch.device("cpu")).sample(400, 3, generator()) * 255).round().byte()
    seen = {crop.permute(1, 2, 0).contiguous().numpy().tobytes() for crop in crops}
    possible = set()
    for top in range(2):
        for left in range(3):
            crop = image[top : top + 3, left : left + 3]
            for turned in (crop, crop.transpose(1, 0, 2)):
                for flipped in (turned, turned[::-1], turned[:, ::-1], turned[::-1, ::-1]):
                    possible.add(np.ascontiguousarray(flipped).tobytes())
    assert seen == possible


def test_every_image_is_drawn_whatever_its_size() -> None:
    images = [np.full((8, 8, 3), 10, np.uint8), np.full((64, 64, 3), 200, np.uint8)]
    crops = PatchSource(images, torch.device("cpu")).sample(1000, 8, generator())
    assert 0.45 < (crops.mean((1, 2, 3)) < 0.5).float().mean() < 0.55


def test_no_images_is_said() -> None:
    with pytest.raises(TrainingError, match="no pictures"):
        PatchSource([], torch.device("cpu"))
