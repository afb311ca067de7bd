"""The shipped denoisers on real photographs: what they gain, that tiles do not show, and what they refuse."""

from functools import cache

import numpy as np
import pytest
from skimage import data as photographs

from img2img.metrics import psnr
from img2img.tasks.denoise import Denoiser

MODELS = ("denoise-fast",)


@cache
def load(name: str, precision: str = "fp32", tile: int | None = None) -> Denoiser:
    return Denoiser.from_pretrained(name, device="cpu", precision=precision, tile=tile)


def in_unit(image: np.ndarray) -> np.ndarray:
    return (image.transpose(2, 0, 1) / 255).astype(np.float32)


def photograph(side: int = 192) -> np.ndarray:
    image = photographs.coffee()[100 : 100 + side, 150 : 150 + side]
    return in_unit(image)


def with_noise(clean: np.ndarray, sigma: float, eight_bit: bool = False) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, sigma / 255, clean.shape)
    noisy = (clean + noise).astype(np.float32)
    return np.rint(noisy.clip(0, 1) * 255) / np.float32(255) if eight_bit else noisy


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("sigma", "gain"), [(15, 7.5), (25, 9.5), (50, 12.5)])
@pytest.mark.parametrize("eight_bit", [False, True])
def test_shipped_weights_gain(name: str, sigma: int, gain: float, eight_bit: bool) -> None:
    clean = photograph()
    noisy = with_noise(clean, sigma, eight_bit)
    assert psnr(load(name)(noisy, sigma / 255).clip(0, 1), clean) > psnr(noisy, clean) + gain - eight_bit


@pytest.mark.parametrize("sigma", [5, 15, 25, 50, 75])
@pytest.mark.parametrize("channels", [1, 3])
def test_auto_costs_little(sigma: int, channels: int) -> None:
    clean = photograph(256)
    clean = clean if channels == 3 else clean.mean(0, keepdims=True)
    noisy = with_noise(clean, sigma)
    denoiser = load("denoise-fast")
    assert denoiser.estimate_sigma(noisy) * 255 == pytest.approx(sigma, rel=0.12, abs=0.5)
    assert psnr(denoiser(noisy, "auto"), clean) > psnr(denoiser(noisy, sigma / 255), clean) - 0.15


def test_a_clean_photograph_comes_back() -> None:
    clean = photograph(256)
    assert psnr(load("denoise-fast")(clean, "auto").clip(0, 1), clean) > 40


def test_grey_stays_grey_and_gains() -> None:
    clean = photograph().mean(0, keepdims=True)
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
    noisy = with_noise(in_unit(photographs.coffee()), 25)
    whole, tiled = (load("denoise-fast", tile=tile)(noisy, 25 / 255) for tile in (None, 256))
    # Far below half a grey level, and no worse at the seams (multiples of 192) than anywhere.
    assert psnr(tiled, whole) > 60
    assert np.abs(tiled - whole).max() < 4 / 255


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 3), (16, 16)])
def test_tiny_pictures(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((3, *size))
    for sigma in ("auto", 0.1):
        denoised = load("denoise-fast")(image, sigma)  # type: ignore[arg-type]
        assert denoised.shape == image.shape
        assert np.isfinite(denoised).all()


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
    assert np.array_equal(nothing, noisy)
    np.testing.assert_allclose(half, (noisy + all_of_it) / 2, atol=1e-6)


def test_a_self_ensemble_knows_no_direction_and_is_better() -> None:
    clean = photograph(96)
    noisy = with_noise(clean, 25)
    denoiser = load("denoise-fast")
    made = denoiser(noisy, 25 / 255, tta=True)
    for turned in (lambda x: x[..., ::-1], lambda x: np.rot90(x, 1, (1, 2))):
        np.testing.assert_allclose(denoiser(turned(noisy), 25 / 255, tta=True), turned(made), atol=1e-4)
    assert psnr(made, clean) > psnr(denoiser(noisy, 25 / 255), clean)


def test_same_input_same_output() -> None:
    noisy = with_noise(photograph(64), 25)
    assert np.array_equal(load("denoise-fast")(noisy), load("denoise-fast")(noisy))


def test_wrong_arguments_are_named() -> None:
    denoiser = load("denoise-fast")
    for arguments, message in [
        ((np.random.default_rng(0).random((2, 8, 8)), 0.1), r"\(1 or 3, H, W\)"),
        ((np.random.default_rng(0).random((8, 8)), 0.1), r"\(1 or 3, H, W\)"),
        ((np.random.default_rng(0).random((3, 8, 8)), 0.1, 2.5), "strength"),
        ((np.random.default_rng(0).random((3, 8, 8)), -0.1), "sigma"),
        ((np.random.default_rng(0).random((3, 8, 8)), float("nan")), "sigma"),
    ]:
        with pytest.raises(ValueError, match=message):
            denoiser(*arguments)  # type: ignore[arg-type]
