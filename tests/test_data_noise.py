"""Noise: its statistics, its determinism, its shapes."""

import pytest
import torch
from torch import Generator

from img2img.data.noise import NoiseMixture, camera_noise, degrade, draw_sigma, jpeg, to_eight_bits

ONLY_GAUSSIAN = NoiseMixture(eight_bit=0, camera=0, grey=0)


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_gaussian_noise_has_the_level_it_says() -> None:
    clean = torch.full((8, 3, 64, 64), 0.5)
    same, noisy, level = degrade(clean, ONLY_GAUSSIAN, generator())
    assert torch.equal(same, clean)
    measured = (noisy - clean).flatten(1).std(1)
    torch.testing.assert_close(measured, level[:, 0, 0, 0], rtol=0.03, atol=1e-4)


def test_levels_reach_from_nothing_to_the_largest() -> None:
    sigma = draw_sigma(10_000, 75, generator()) * 255
    assert 0 <= sigma.min() < 0.1
    assert 74 < sigma.max() <= 75


@pytest.mark.parametrize("seed", range(4))
def test_camera_noise_has_the_variance_its_map_says(seed: int) -> None:
    clean = torch.rand(1, 3, 1, 1, generator=generator(seed)).expand(1, 3, 256, 256)
    noise, level = camera_noise(clean, torch.tensor([0.1]), generator(seed))
    assert noise.square().mean().sqrt().item() == pytest.approx(level.mean().item(), rel=0.03)


def test_the_mixture_rounds_what_it_says_it_rounds() -> None:
    clean = torch.rand(8, 3, 32, 32, generator=generator())
    _, noisy, _ = degrade(clean, NoiseMixture(eight_bit=0.5, camera=0.25, grey=0), generator())
    steps = noisy * 255
    rounded = [bool((s - s.round()).abs().max() < 1e-3) for s in steps]
    assert sum(rounded) in (6, 7)  # 0.75 of 8, dithered
    assert noisy[rounded].min() >= 0
    assert noisy[rounded].max() <= 1


def test_grey_pictures_carry_the_same_noise_in_all_channels() -> None:
    clean, noisy, _ = degrade(torch.rand(4, 3, 16, 16), NoiseMixture(eight_bit=0.5, camera=0, grey=1.0), generator())
    for image in (clean, noisy):
        torch.testing.assert_close(image[:, 0], image[:, 1])
        torch.testing.assert_close(image[:, 0], image[:, 2])


def test_same_seed_same_batch() -> None:
    clean = torch.rand(6, 3, 16, 16)
    first, second = (degrade(clean, NoiseMixture(), generator(3)) for _ in range(2))
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))


def test_jpeg_is_near_at_high_quality_and_coarse_at_low() -> None:
    line = torch.linspace(0, 1, 37)
    smooth = (line[:, None] * line[None, :]).expand(2, 3, 37, 37)
    error = (jpeg(smooth, torch.tensor([95.0, 5.0])) - smooth).square().flatten(1).mean(1)
    assert error[0] < 1e-4
    assert error[1] > 3 * error[0]


def test_to_eight_bits_clips_and_rounds() -> None:
    assert (to_eight_bits(torch.tensor([-1.0, 0.5, 2.0])) * 255).tolist() == pytest.approx([0, 128, 255])
