"""The judge of textures: layers that no loss saw, and their Gram matrices by loops."""

import pytest
import torch
from untrained_texture import gravel, noise, untrained

from img2img.core.descriptor import RandomFilters
from img2img.tasks.texture.judge import unseen
from img2img.tasks.texture.sample_features import sample_features


def test_gram_distance_is_a_matrix_by_loops_at_layers_that_are_not_optimised() -> None:
    descriptor = untrained()
    judge = unseen(descriptor)
    assert judge.names == ("relu1_2", "relu2_2", "relu3_4", "relu4_4")
    assert descriptor.taps != judge.descriptor.taps  # type: ignore[attr-defined]
    texture, sample = noise(3, 32, 32), gravel()
    found = judge.distance(texture, [sample], [1.0])
    grams = []
    for image in (texture, sample):
        (layer,) = sample_features(judge.descriptor, image[None])[2][0:1]
        flat = layer.reshape(len(layer), -1)
        grams.append(torch.stack([torch.stack([(a * b).mean() for b in flat]) for a in flat]))
    ours, theirs = grams
    assert found["relu3_4"] == pytest.approx(((ours - theirs).square().sum() / theirs.square().sum()).item(), rel=1e-4)
    assert all(value == 0 for value in judge.distance(sample, [sample, sample], [0.5, 0.5]).values())
    (name,) = unseen(RandomFilters(2, (3, 7), circular=True)).distance(texture, [sample], [1.0])
    assert name == "random, other filters"
