"""Measures of textures: copies by loops, diversity and seams by closed forms."""

import numpy as np
import pytest
import torch
from untrained_texture import gravel, noise

from img2img.metrics.texture import Diversity, copy_distances, copy_rate, seam_scores


def test_a_copy_is_a_copy_and_noise_is_none() -> None:
    sample = gravel(96)
    assert copy_rate(copy_distances(sample, [sample])) == 1
    tiled = sample[:, 5:60, 7:70].repeat(1, 2, 2)[:, :50, :60]
    assert copy_rate(copy_distances(tiled, [noise(3, 40, 40), sample])) == 1
    unlike = copy_distances(noise(3, 64, 64), [noise(3, 80, 80, seed=1)])
    assert copy_rate(unlike) == 0
    assert 0.7 < np.median(unlike) < 1.1


def test_what_shows_nothing_copies_nothing() -> None:
    flat = torch.full((3, 40, 40), 0.5)
    rounded = flat + torch.round(noise(3, 40, 40)) / 255  # a grey level off here and there
    for texture in (flat, rounded):
        assert copy_rate(copy_distances(texture, [flat])) == 0
    sample = torch.cat([flat.expand(3, 40, 40), noise(3, 40, 40)], 2)  # half of it is blank
    mirrored = sample.flip(2)
    assert copy_rate(copy_distances(mirrored, [sample])) == 0
    assert copy_rate(copy_distances(sample, [sample])) == 1


def test_nearest_patches_are_those_of_a_loop() -> None:
    texture, sample = noise(3, 20, 18), noise(3, 24, 21, seed=1)
    found = copy_distances(texture, [sample], chunk=1000)  # so that there are several
    unrelated = 2 * sample.flatten(1).var(1, correction=0).mean()
    theirs = sample.unfold(1, 16, 1).unfold(2, 16, 1)
    wanted = [
        (
            (texture[:, top : top + 16, left : left + 16][:, None, None] - theirs).square().mean((0, 3, 4)).min()
            / unrelated
        )
        for top in range(5)
        for left in range(3)
    ]
    np.testing.assert_allclose(found, torch.stack(wanted).numpy(), rtol=1e-4, atol=1e-5)


def test_small_images_have_small_patches() -> None:
    assert len(copy_distances(noise(3, 8, 30), [noise(3, 5, 5)])) > 0
    assert copy_distances(noise(1, 1, 1), [noise(1, 1, 1)]).tolist() == []


def test_diversity_of_equal_and_of_independent_pictures() -> None:
    sample = noise(3, 64, 64)
    same, apart = Diversity(sample), Diversity(sample)
    assert same.value() is None
    pictures = [noise(3, 50, 50, seed=seed) for seed in range(1, 5)]
    for picture in pictures:
        same.add(pictures[0])
        apart.add(picture)
    assert same.value() == pytest.approx(0, abs=1e-9)
    assert apart.value() == pytest.approx(1, abs=0.05)
    pairs = [(a - b).square().mean() for i, a in enumerate(pictures) for b in pictures[:i]]
    unrelated = 2 * sample.flatten(1).double().var(1, correction=0).mean()
    assert apart.value() == pytest.approx((sum(pairs) / len(pairs) / unrelated).item(), rel=1e-4)


def test_seam_scores_see_a_step_and_nothing_on_a_torus() -> None:
    x = torch.arange(64) * 2 * torch.pi / 64
    torus = (torch.sin(3 * x)[:, None] + torch.cos(5 * x)).expand(1, 64, 64) + 0.2 * noise(1, 64, 64)
    assert all(abs(score) < 2.5 for score in seam_scores(torus).values())
    ramp = torch.linspace(0, 1, 64).expand(3, 64, 64) + 0.01 * noise(3, 64, 64)
    scores = seam_scores(ramp)
    assert scores["horizontal"] > 100
    assert abs(scores["vertical"]) < 3
    assert seam_scores(ramp.transpose(1, 2)) == {"horizontal": scores["vertical"], "vertical": scores["horizontal"]}
    assert seam_scores(torch.full((3, 9, 9), 0.5)) == {"horizontal": 0.0, "vertical": 0.0}
    assert seam_scores(noise(1, 1, 2)) == {"horizontal": 0.0, "vertical": 0.0}
