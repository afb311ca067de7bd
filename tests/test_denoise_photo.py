"""The blind denoiser: it takes camera noise away, and harms nothing that has none."""

from collections.abc import Callable
from functools import cache
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from skimage import data as photographs
from torch import Generator

from img2img.checkpoints import load_checkpoint
from img2img.data.camera import MARGIN, CameraRange, photograph
from img2img.metrics import psnr, psnr8
from img2img.tasks.denoise import BlindDenoiser, Denoiser, DenoisingUNet
from img2img.tasks.denoise.loss import BlindObjective
from img2img.tasks.denoise.pipeline import blended
from img2img.tasks.denoise.train import begin_blind


@cache
def shipped(tile: int | None = None) -> Denoiser:
    return Denoiser.from_pretrained("denoise-photo", device="cpu", precision="fp32", tile=tile)


def in_unit(image: np.ndarray) -> np.ndarray:
    return (image.transpose(2, 0, 1) / 255).astype(np.float32)


def crop(name: str, side: int = 256) -> np.ndarray:
    image = getattr(photographs, name)()
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    return in_unit(image[top : top + side, left : left + side])


def taken(name: str, seed: int, side: int = 232) -> tuple[np.ndarray, np.ndarray]:
    """A photograph by an imitated camera: the mean of its shots, and one of them."""
    scene = torch.from_numpy(crop(name, side + 2 * MARGIN))[None]
    ranges = CameraRange(shot=(1e-2, 1e-2), resize=0, shrink=0)
    truth, noisy = photograph(scene, ranges, Generator().manual_seed(seed))
    return truth[0].numpy(), noisy[0].numpy()


# The network.


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 3), (16, 17), (33, 50)])
def test_output_has_the_size_of_the_input(size: tuple[int, int]) -> None:
    noisy = torch.rand(2, 3, *size)
    assert BlindDenoiser(widths=(4, 4), blocks=1)(noisy, torch.ones(2, 1, 1, 1)).shape == noisy.shape


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    net = BlindDenoiser(widths=(8, 8), blocks=1)
    clean = torch.rand(2, 3, 32, 32)
    BlindObjective(net)((clean, clean + 0.1 * torch.randn_like(clean)))["loss"].backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_images_in_a_batch_do_not_touch_each_other() -> None:
    torch.manual_seed(0)
    net = BlindDenoiser(widths=(8, 8), blocks=1).eval()
    noisy, amount = torch.rand(2, 3, 17, 23), torch.ones(2, 1, 1, 1)
    one_by_one = torch.cat([net(noisy[i : i + 1], amount[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(net(noisy, amount), one_by_one)


def test_it_begins_as_the_denoiser_that_is_told_the_level() -> None:
    """With one scale more than that, whose blocks and levels are taken over."""
    checkpoint = load_checkpoint("denoise-fast")
    told = DenoisingUNet(**checkpoint.header["config"]).eval()
    told.load_state_dict(checkpoint.part("unet"))
    blind = BlindDenoiser(widths=(64, 128, 192, 64), blocks=(2, 2, 2, 1)).eval()
    begin_blind(blind, checkpoint)
    noisy, level = torch.rand(1, 3, 32, 48), 0.1
    with torch.inference_mode():
        wanted = told(noisy, torch.tensor([level]))
        got = blind.unet(noisy, torch.full((1, 3, 32, 48), level))
    torch.testing.assert_close(got, wanted, atol=2e-5, rtol=0)


# What it takes away.


@pytest.mark.parametrize(("name", "seed"), [("astronaut", 0), ("coffee", 1), ("chelsea", 2)])
def test_camera_noise_goes(name: str, seed: int) -> None:
    truth, noisy = taken(name, seed)
    assert psnr8(shipped()(noisy), truth) > psnr8(noisy, truth) + 1.2


@pytest.mark.parametrize(("sigma", "gain"), [(15, 6.5), (25, 8.5), (50, 11)])
def test_white_noise_goes(sigma: int, gain: float) -> None:
    clean = crop("coffee", 192)
    noise = np.random.default_rng(0).normal(0, sigma / 255, clean.shape)
    noisy = (np.rint((clean + noise).clip(0, 1) * 255) / 255).astype(np.float32)
    assert psnr8(shipped()(noisy), clean) > psnr8(noisy, clean) + gain


def test_it_says_how_strong_the_noise_is() -> None:
    clean = np.full((3, 256, 256), 0.5, np.float32)
    sigmas = np.array((12, 6, 9)) / 255
    noise = np.random.default_rng(0).normal(0, 1, clean.shape) * sigmas[:, None, None]
    found = shipped().find_noise((clean + noise).astype(np.float32))
    assert found.channels == pytest.approx(tuple(sigmas), rel=0.5)
    assert found.channels[0] > found.channels[2] > found.channels[1]
    assert found.sigma == pytest.approx(np.sqrt(np.mean(sigmas**2)), rel=0.2)
    assert found.shadows is found.lights is None


# Harm none.


def text_page() -> Image.Image:
    page = Image.new("RGB", (320, 256), "white")
    draw, random = ImageDraw.Draw(page), Random(0)
    for line in range(14):
        words = " ".join("".join(random.choices("etaoinshrdlucmf", k=random.randint(2, 9))) for _ in range(8))
        draw.text((12, 8 + 17 * line), words, fill=(20, 20, 20), font=ImageFont.load_default(11 + line % 3))
    return page


def drawing() -> Image.Image:
    large = Image.new("RGB", (960, 768), (250, 248, 240))
    draw, random = ImageDraw.Draw(large), Random(1)
    for _ in range(24):
        x, y, r = random.randrange(960), random.randrange(768), random.randrange(20, 160)
        colour = tuple(random.randrange(256) for _ in range(3))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour, outline=(10, 10, 10), width=5)
        draw.line((x, y, random.randrange(960), random.randrange(768)), fill=(10, 10, 10), width=4)
    return large.resize((320, 256), Image.Resampling.LANCZOS)


def screenshot() -> Image.Image:
    screen = Image.new("RGB", (320, 256), (58, 110, 165))
    draw = ImageDraw.Draw(screen)
    for i, (left, top) in enumerate(((10, 12), (70, 60), (150, 110))):
        draw.rectangle((left, top, left + 150, top + 110), fill=(236, 233, 216), outline=(0, 0, 0))
        for x in range(150):
            draw.line((left + x, top + 1, left + x, top + 16), fill=(10, 36 + x // 2, 106 + x // 2))
        draw.text((left + 5, top + 2), f"Window {i}", fill="white", font=ImageFont.load_default(11))
        draw.text((left + 8, top + 30), "File  Edit  View  Help\n1.00  2.50  3.75", fill="black")
    return screen


def pixel_art() -> Image.Image:
    random = np.random.default_rng(3)
    palette = random.integers(0, 256, (6, 3), dtype=np.uint8)
    half = random.integers(0, 6, (32, 20))
    sprite = palette[np.concatenate((half, half[:, ::-1]), 1)]
    return Image.fromarray(sprite).resize((320, 256), Image.Resampling.NEAREST)


@pytest.mark.parametrize("make", [text_page, drawing, screenshot, pixel_art])
def test_what_was_drawn_comes_back(make: Callable[[], Image.Image]) -> None:
    picture = in_unit(np.asarray(make()))
    assert psnr8(shipped()(picture), picture) > 45


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
def test_a_clean_photograph_comes_back(name: str) -> None:
    """Made smaller, so that whatever noise it has is gone."""
    image = Image.fromarray(getattr(photographs, name)())
    picture = in_unit(np.asarray(image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)))
    assert psnr8(shipped()(picture), picture) > 45


def test_dark_frames_get_no_colour_cast() -> None:
    noise = np.random.default_rng(0).normal(0, 6, (3, 192, 192))
    frame = (np.rint((12 + noise).clip(0, 255)) / 255).astype(np.float32)
    change = (shipped()(frame) - frame).mean((1, 2)) * 255
    assert np.abs(change).max() < 1
    assert np.ptp(change) < 0.5


def test_skies_get_no_bands() -> None:
    """A slope of 20 levels over 256 pixels under noise: nowhere flat steps of more than a level."""
    slope = np.linspace(120, 140, 256)[None, :, None] + np.array((20, 30, 60))[:, None, None]
    sky = np.broadcast_to(slope, (3, 256, 256))
    noisy = np.rint(sky + np.random.default_rng(0).normal(0, 5, sky.shape)) / 255
    denoised = shipped()(noisy.astype(np.float32)) * 255
    rows = denoised[:, 16:-16, 16:-16].mean(2)
    assert np.abs(rows - sky[:, 16:-16, 0]).max() < 1


def test_tiles_have_no_seams() -> None:
    truth, noisy = taken("astronaut", 5, 400)
    whole, tiled = (shipped(tile)(noisy) for tile in (None, 256))
    assert psnr(tiled, whole) > 50
    assert abs(psnr(tiled, truth) - psnr(whole, truth)) < 0.1


def test_grey_stays_grey() -> None:
    truth, noisy = taken("coffee", 3)
    grey, wanted = noisy.mean(0, keepdims=True), truth.mean(0, keepdims=True)
    denoised = shipped()(grey)
    assert denoised.shape == grey.shape
    assert psnr8(denoised, wanted) > psnr8(grey, wanted) + 1.3


# Control.


def test_lightness_and_colours_are_blended_apart() -> None:
    random = np.random.default_rng(0)
    noisy, denoised = random.random((2, 1, 3, 5, 7), dtype=np.float32)
    weights = np.array((0.299, 0.587, 0.114))[:, None, None]

    def luma(x: np.ndarray) -> np.ndarray:
        return (x[0] * weights).sum(0)

    only_colours = blended(noisy, denoised, luma=0, chroma=1)
    np.testing.assert_allclose(luma(only_colours), luma(noisy), atol=1e-6)
    only_lightness = blended(noisy, denoised, luma=1, chroma=0)
    np.testing.assert_allclose(luma(only_lightness), luma(denoised), atol=1e-6)
    np.testing.assert_allclose(only_lightness[0] - luma(only_lightness), noisy[0] - luma(noisy), atol=1e-6)
    np.testing.assert_array_equal(blended(noisy, denoised, 1, 1), denoised)
    np.testing.assert_allclose(blended(noisy, denoised, 0, 0), noisy, atol=1e-7)


def test_a_blind_network_takes_no_level() -> None:
    with pytest.raises(ValueError, match="find the noise themselves"):
        shipped()(np.zeros((3, 8, 8), np.float32), sigma=0.1)


def test_more_strength_makes_smoother() -> None:
    _, noisy = taken("chelsea", 1)
    roughness = [np.abs(np.diff(shipped()(noisy, strength=strength))).mean() for strength in (0, 0.5, 1, 1.5, 2)]
    assert roughness == sorted(roughness, reverse=True)
    assert roughness[2] > 1.02 * roughness[4]
    with pytest.raises(ValueError, match="between 0 and 2"):
        shipped()(noisy, strength=2.5)
