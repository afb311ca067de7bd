"""Distributions moved onto others, against closed forms."""

import numpy as np
import torch
from torch import Generator, Tensor

from img2img.tasks.texture.transport import ranked_as, transported


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=Generator().manual_seed(seed))


def test_ranks_are_kept_and_values_are_the_wanted_ones() -> None:
    values, wanted = noise(3, 40), noise(3, 40, seed=1).square()
    moved = ranked_as(values, wanted)
    assert torch.equal(moved.sort(1).values, wanted.sort(1).values)
    assert torch.equal(moved.argsort(1), values.argsort(1))
    longer = ranked_as(values, noise(3, 4001, seed=1).square())
    torch.testing.assert_close(longer.mean(1), torch.full((3,), 1 / 3), atol=0.02, rtol=0)


def test_distributions_that_gaussians_do_not_tell_apart_are_transported() -> None:
    # Four spots at the corners of a square, turned by 45 degrees: covariance of a round Gaussian.
    corners = torch.tensor([[1.0, -1, 0, 0], [0, 0, 1, -1]])
    wanted = corners.repeat(1, 250) + 0.01 * noise(2, 1000)
    start = torch.randn(2, 1000, generator=Generator().manual_seed(1)) * 0.5**0.5
    moved = transported(start, wanted, 30, np.random.default_rng(0))
    nearest, before = (torch.cdist(x.T, corners.T).amin(1).mean() for x in (moved, start))
    assert nearest < 0.35 * before
    assert torch.equal(moved, transported(start, wanted, 30, np.random.default_rng(0)))
