"""The shipped denoisers on real photographs: what they gain, that tiles do not show, and what they refuse."""

from functools import cache

import numpy as np
import pytest
import torch
from skimage import data as photographs
from torch import Tensor

from img2img.metrics import psnr
from img2img.tasks.denoise import Denoiser

MODELS = ("denoise-fast", "denoise-best")


@cache
def load(name: str, precision: str = "fp32", tile: int | None = None) -> Denoiser:
    return Denoiser.from_pretrained(name, device="cpu", precision=precision, tile=tile)


def photograph(side: int = 192) -> Tensor:
    image = photographs.coffee()[100 : 100 + side, 150 : 150 + side]
    return torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255


def with_noise(clean: Tensor, sigma: float, eight_bit: bool = False) -> Tensor:
    noise = np.random.default_rng(0).normal(0, sigma / 255, clean.shape)
    noisy = clean + torch.from_numpy(noise).float()
    return (noisy.clamp(0, 1) * 255).round() / 255 if eight_bit else noisy


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("sigma", "gain"), [(15, 7.5), (25, 9.5), (50, 12.5)])
@pytest.mark.parametrize("eight_bit", [False, True])
def test_shipped_weights_gain(name: str, sigma: int, gain: float, eight_bit: bool) -> None:
    clean = photograph()
    noisy = with_noise(clean, sigma, eight_bit)
    assert psnr(load(name)(noisy, sigma / 255).clamp(0, 1), clean) > psnr(noisy, clean) + gain - eight_bit


@pytest.mark.parametrize("sigma", [5, 15, 25, 50])
def test_auto_costs_little(sigma: int) -> None:
    clean = photograph(256)
    noisy = with_noise(clean, sigma)
    denoiser = load("denoise-fast")
    assert denoiser.estimate_sigma(noisy) * 255 == pytest.approx(sigma, rel=0.12, abs=0.5)
    assert psnr(denoiser(noisy, "auto"), clean) > psnr(denoiser(noisy, sigma / 255), clean) - 0.15


def test_a_clean_photograph_comes_back() -> None:
    clean = photograph(256)
    assert psnr(load("denoise-fast")(clean, "auto").clamp(0, 1), clean) > 40


def test_grey_stays_grey_and_gains() -> None:
    clean = photograph().mean(0, keepdim=True)
    noisy = with_noise(clean, 25)
    denoised = load("denoise-fast")(noisy, 25 / 255)
    assert denoised.shape == clean.shape
    assert psnr(denoised, clean) > psnr(noisy, clean) + 8


def test_bf16_is_as_good() -> None:
    clean = photograph()
    noisy = with_noise(clean, 25)
    fp32, bf16 = (load("denoise-fast", p)(noisy, 25 / 255) for p in ("fp32", "bf16"))
    assert psnr(bf16, clean) > psnr(fp32, clean) - 0.02


def test_seams_of_tiles_cannot_be_seen() -> None:
    noisy = with_noise(torch.from_numpy(photographs.coffee().copy()).permute(2, 0, 1).float() / 255, 25)
    whole, tiled = (load("denoise-fast", tile=tile)(noisy, 25 / 255) for tile in (None, 256))
    # Far below half a grey level, and no worse at the seams (multiples of 192) than anywhere.
    assert psnr(tiled, whole) > 60
    assert (tiled - whole).abs().max() < 4 / 255


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 3), (16, 16)])
def test_tiny_pictures(size: tuple[int, int]) -> None:
    image = torch.rand(3, *size)
    for sigma in ("auto", 0.1):
        denoised = load("denoise-fast")(image, sigma)  # type: ignore[arg-type]
        assert denoised.shape == image.shape
        assert denoised.isfinite().all()


@pytest.mark.parametrize("sigma", [15, 50])
def test_a_size_that_needs_padding_loses_little_at_its_border(sigma: int) -> None:
    clean = photograph(200)
    noisy = with_noise(clean, sigma)
    alone = load("denoise-fast")(noisy[:, :193, :193], sigma / 255)
    surrounded = load("denoise-fast")(noisy, sigma / 255)[:, :193, :193]
    for border in (np.s_[:, -8:], np.s_[:, :, -8:]):
        wanted = clean[:, :193, :193][border]
        assert psnr(alone[border], wanted) > psnr(surrounded[border], wanted) - 1.4


def test_strength_blends() -> None:
    noisy = with_noise(photograph(64), 25)
    nothing, half, all_of_it = (load("denoise-fast")(noisy, 0.1, strength) for strength in (0, 0.5, 1))
    assert torch.equal(nothing, noisy)
    torch.testing.assert_close(half, (noisy + all_of_it) / 2)


def test_a_self_ensemble_knows_no_direction_and_is_better() -> None:
    clean = photograph(96)
    noisy = with_noise(clean, 25)
    denoiser = load("denoise-fast")
    made = denoiser(noisy, 25 / 255, tta=True)
    for turned in (lambda x: x.flip(2), lambda x: torch.rot90(x, 1, (1, 2))):
        torch.testing.assert_close(denoiser(turned(noisy), 25 / 255, tta=True), turned(made), atol=1e-4, rtol=0)
    assert psnr(made, clean) > psnr(denoiser(noisy, 25 / 255), clean)


def test_same_input_same_output() -> None:
    noisy = with_noise(photograph(64), 25)
    assert torch.equal(load("denoise-fast")(noisy), load("denoise-fast")(noisy))


def test_wrong_arguments_are_named() -> None:
    denoiser = load("denoise-fast")
    for arguments, message in [
        ((torch.rand(2, 8, 8), 0.1), r"\(1 or 3, H, W\)"),
        ((torch.rand(8, 8), 0.1), r"\(1 or 3, H, W\)"),
        ((torch.rand(3, 8, 8), 0.1, 1.5), "strength"),
        ((torch.rand(3, 8, 8), -0.1), "sigma"),
        ((torch.rand(3, 8, 8), float("nan")), "sigma"),
    ]:
        with pytest.raises(ValueError, match=message):
            denoiser(*arguments)  # type: ignore[arg-type]
