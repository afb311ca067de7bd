"""The imitated camera: closed forms of its parts, and the statistics of its noise beside those of real cameras."""

from importlib.resources import files
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from img2img.data import camera
from img2img.data.camera import DEMOSAICING, MARGIN, CameraRange, colour_masks, photograph
from img2img.data.patches import PatchSource, load_rgb

PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png")
PLAIN = CameraRange(
    tone=0, matrix=0, mosaic=0, row=0, heavy=0, smooth=0, shrink=0, sharpen=0, blotch=0, resize=0, compress=0
)


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def smooth_scene(n: int, side: int) -> Tensor:
    """Coloured slopes, of all brightnesses."""
    corners = torch.rand(n, 3, 3, 3, generator=generator(1))
    return torch.nn.functional.interpolate(corners, (side, side), mode="bilinear", align_corners=True)


@pytest.mark.parametrize("name", DEMOSAICING)
def test_demosaicing_keeps_what_the_mosaic_read(name: str) -> None:
    scene = torch.rand(2, 3, 24, 30, generator=generator())
    masks = torch.cat(colour_masks(scene), 1)
    colours = DEMOSAICING[name]((scene * masks).sum(1, keepdim=True))
    torch.testing.assert_close(colours * masks, scene * masks)


@pytest.mark.parametrize("name", DEMOSAICING)
def test_demosaicing_brings_back_an_even_slope(name: str) -> None:
    """Grey slopes are what all three interpolate exactly, away from the border."""
    line = torch.linspace(0.1, 0.9, 32)
    scene = (line[:, None] + 0.3 * line[None])[None, None].expand(1, 3, 32, 32) / 1.3
    masks = torch.cat(colour_masks(scene), 1)
    colours = DEMOSAICING[name]((scene * masks).sum(1, keepdim=True))
    torch.testing.assert_close(colours[..., 4:-4, 4:-4], scene[..., 4:-4, 4:-4])


@pytest.mark.parametrize("name", DEMOSAICING)
def test_what_demosaicing_leaves_of_noise(name: str) -> None:
    noise = 0.02 * torch.randn(4, 3, 96, 96, generator=generator())
    masks = torch.cat(colour_masks(noise), 1)
    left = DEMOSAICING[name](0.5 + (noise * masks).sum(1, keepdim=True)).var() / 0.0004
    assert left.item() == pytest.approx(camera.LEFT[name], abs=0.04)


def test_the_truth_is_the_mean_of_many_shots() -> None:
    """In the shadows of a strong tone curve, where the noise is cut off, too; and not what a noiseless camera shows."""
    ranges = CameraRange(
        shot=(2e-2, 2e-2), tone=1, resize=0, compress=0, shrink=0, blotch=0, row=0, heavy=0, sharpen=0, smooth=0
    )
    scene = torch.linspace(0.02, 0.6, 88)[None, None, :, None].expand(1, 3, 88, 88)
    taken = camera._Camera(8, ranges, generator(11))
    raw = taken.unprocess(scene.repeat(8, 1, 1, 1))
    developed = [taken.develop(raw, taken.expose(raw), Random(1)) for _ in range(40)]
    truth = developed[0][0]
    mean = torch.stack([noisy for _, noisy in developed]).mean(0)
    quiet = taken._colours(raw)
    rows = slice(8, -8)

    def rms(difference: Tensor) -> float:
        return difference[..., rows, :].mean(3).square().mean().sqrt().item() * 255

    assert rms(quiet - mean) > 1.5
    assert rms(truth - mean) < 0.5 * rms(quiet - mean)


def test_development_undoes_unprocessing() -> None:
    """Without mosaic and noise a camera gives back what it was shown; colours outside its gamut are clipped."""
    quiet = CameraRange(shot=(1e-12, 1e-12), mosaic=0, smooth=0, sharpen=0, shrink=0, blotch=0)
    taken = camera._Camera(6, quiet, generator(3))
    scene = 0.35 + 0.3 * torch.rand(6, 3, 20, 20, generator=generator(4))
    raw = taken.unprocess(scene)
    developed, same = taken.develop(raw, raw, Random(0))
    torch.testing.assert_close(developed, scene, atol=2e-4, rtol=0)
    torch.testing.assert_close(same, scene, atol=2e-4, rtol=0)


def test_the_sensors_noise_has_variance_a_x_plus_b() -> None:
    taken = camera._Camera(1, CameraRange(row=0, heavy=1, shot=(1e-2, 1e-2)), generator(5))
    for value in (0.0, 0.2, 0.8):
        raw = torch.full((1, 3, 300, 300), value)
        noise = taken.expose(raw) - raw
        wanted = taken.shot.item() * value + taken.read.item()
        assert noise.var().item() == pytest.approx(wanted, rel=0.06)
        assert abs(noise.mean().item()) < 4 * (wanted / 270_000) ** 0.5


def test_without_noise_the_pair_differs_by_rounding_only() -> None:
    scene = smooth_scene(4, 64 + 2 * MARGIN)
    quiet = CameraRange(shot=(1e-12, 1e-12), compress=0, blotch=0, shrink=0)
    clean, noisy = photograph(scene, quiet, generator(6))
    # Even a camera of no shot noise reads noise of 1e-9: a hundredth of a grey level in the light, more in the dark.
    assert (clean - noisy).abs().mean().item() * 255 < 0.35


def test_a_plain_camera_changes_the_picture_by_its_noise_alone() -> None:
    scene = smooth_scene(4, 64 + 2 * MARGIN)
    clean, noisy = photograph(scene, PLAIN, generator(7))
    torch.testing.assert_close(clean, scene[..., MARGIN:-MARGIN, MARGIN:-MARGIN], atol=0.03, rtol=0)
    assert (noisy * 255 - (noisy * 255).round()).abs().max() < 1e-3
    assert 0.5 < (noisy - clean).std().item() * 255 < 40


@pytest.mark.parametrize("seed", range(6))
def test_pairs_have_the_size_that_was_asked_for_and_lie_on_each_other(seed: int) -> None:
    scene = smooth_scene(5, 48 + 2 * MARGIN)
    clean, noisy = photograph(scene, CameraRange(), generator(seed))
    assert clean.shape == noisy.shape == (5, 3, 48, 48)
    assert clean.isfinite().all()
    assert noisy.min() >= 0
    assert noisy.max() <= 1
    # The same scene: the picture without noise is nearer to its own noisy one than to any other.
    distances = torch.cdist(clean.flatten(1), noisy.flatten(1))
    assert distances.argmin(1).tolist() == list(range(5))


def test_same_seed_same_pictures() -> None:
    scene = smooth_scene(4, 48 + 2 * MARGIN)
    first, second = (photograph(scene, CameraRange(), generator(9)) for _ in range(2))
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))


def photographs() -> PatchSource:
    """The photographs inside scikit-image, read as files: its own functions may download."""
    folder = Path(str(files("skimage.data")))
    return PatchSource([load_rgb(folder / name) for name in PHOTOGRAPHS], torch.device("cpu"))


def statistics() -> dict[str, np.ndarray]:
    """Of noise between 2 and 12 grey levels, as those of real cameras were taken: means over pictures."""
    source = photographs()
    rows: dict[str, list[np.ndarray]] = {"sigma": [], "green": [], "red": [], "channels": [], "brightness": []}
    for seed in range(12):
        scene = source.sample(8, 96 + 2 * MARGIN, generator(seed))
        clean, noisy = photograph(scene, CameraRange(), generator(seed))
        for truth, picture in zip(clean, noisy, strict=True):
            noise = ((picture - truth) * 255).numpy()
            noise = noise - noise.mean((1, 2), keepdims=True)
            sigma = noise.std((1, 2))
            if not 2 < sigma.mean() < 12:
                continue
            rows["sigma"].append(sigma)
            for name, plane in (("green", noise[1]), ("red", noise[0])):
                rows[name].append(
                    np.array([(plane[:, :-k] * plane[:, k:]).mean() / plane.var() for k in (1, 2, 3, 4, 8)])
                )
            rows["channels"].append(np.corrcoef(noise.reshape(3, -1))[[0, 1, 0], [1, 2, 2]])
    return {name: np.mean(values, 0) for name, values in rows.items() if values}


def test_its_noise_is_like_that_of_real_cameras() -> None:
    """Real (PolyU): green at lags 1, 2, 3, 4, 8 0.62, 0.30, 0.20, 0.18, 0.11; red 0.67; channels 0.64 to 0.69."""
    found = statistics()
    red, green, blue = found["sigma"]
    assert 1.0 < red / green < 1.5
    assert 1.0 < blue / green < 1.5
    assert found["green"] == pytest.approx([0.62, 0.30, 0.20, 0.18, 0.11], abs=0.08)
    assert found["red"][0] == pytest.approx(0.67, abs=0.08)
    assert found["channels"] == pytest.approx([0.66] * 3, abs=0.12)
