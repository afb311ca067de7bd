"""PSNR and SSIM: closed forms, and scikit-image as the reference."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from img2img.metrics import psnr, psnr8, ssim, to_8bit


def _pair(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A smooth-ish clean image and a noisy one that leaves [0, 1] in places."""
    rng = torch.Generator().manual_seed(0)
    clean = torch.rand(shape, generator=rng)
    return clean, clean + 0.1 * torch.randn(shape, generator=rng)


@pytest.mark.parametrize("offset", [1.0, 0.1, 0.004])
def test_psnr_of_a_constant_offset_is_minus_20_log10_of_it(offset: float) -> None:
    image = np.full((3, 4, 5), 0.25)
    assert psnr(image, image + offset) == pytest.approx(-20 * math.log10(offset))


def test_psnr_is_relative_to_the_data_range() -> None:
    clean, noisy = _pair(3, 8, 9)
    assert psnr(255 * clean, 255 * noisy, data_range=255) == pytest.approx(psnr(clean, noisy), abs=1e-4)


def test_identical_images_have_infinite_psnr_and_ssim_one() -> None:
    image = _pair(3, 16, 16)[0]
    assert psnr(image, image) == math.inf
    assert psnr8(image, image) == math.inf
    assert ssim(image, image) == 1.0


def test_psnr_is_scikit_images_and_counts_what_lies_outside_the_range() -> None:
    clean, noisy = _pair(3, 20, 30)
    assert psnr(clean, noisy) == pytest.approx(
        peak_signal_noise_ratio(clean.double().numpy(), noisy.double().numpy(), data_range=1.0)
    )
    assert psnr(clean, noisy) < psnr(clean, noisy.clamp(0, 1))


def test_psnr8_rounds_and_clips_first() -> None:
    black = np.zeros((2, 2))
    assert psnr8(black, black + 0.4 / 255) == math.inf  # rounds to the same grey level
    assert psnr8(black, black - 3.0) == math.inf  # clipped to black
    assert psnr8(black, black + 0.6 / 255) == pytest.approx(20 * math.log10(255))  # one level everywhere
    clean, noisy = _pair(3, 20, 30)
    assert psnr8(clean, noisy) == pytest.approx(peak_signal_noise_ratio(to_8bit(clean), to_8bit(noisy)))


def test_8bit_values_come_back_from_8bit() -> None:
    levels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_8bit(levels / 255.0), levels)
    assert np.array_equal(to_8bit(levels.astype(np.float64), data_range=255.0), levels)


@pytest.mark.parametrize("shape", [(3, 24, 31), (1, 24, 31), (24, 31)])
def test_ssim_is_scikit_images_on_8_bits(shape: tuple[int, ...]) -> None:
    clean, noisy = _pair(*shape)
    reference = structural_similarity(
        to_8bit(clean), to_8bit(noisy), data_range=255, channel_axis=0 if len(shape) == 3 else None
    )
    assert ssim(clean, noisy) == pytest.approx(reference)
    assert 0.2 < ssim(clean, noisy) < 0.99


def test_tensors_of_other_types_count_by_value() -> None:
    clean, noisy = _pair(3, 8, 8)
    clean, noisy = clean.bfloat16(), noisy.bfloat16().requires_grad_()
    assert psnr(clean, noisy) == pytest.approx(psnr(clean.float(), noisy.detach().float()))


def test_images_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        psnr(np.zeros((3, 4, 4)), np.zeros((1, 4, 4)))  # would broadcast
    with pytest.raises(ValueError, match="without pixels"):
        psnr(np.zeros((0, 4)), np.zeros((0, 4)))
    with pytest.raises(ValueError, match="win_size"):
        ssim(np.zeros((3, 6, 6)), np.zeros((3, 6, 6)))  # smaller than the window
    with pytest.raises(ValueError, match="SSIM needs an image"):
        ssim(np.zeros((1, 3, 16, 16)), np.zeros((1, 3, 16, 16)))
