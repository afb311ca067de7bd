"""The benchmark of noise-level estimates: Chen's estimator on known noise, and costs that can be computed by hand."""

import json
import math
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from img2img.errors import ImageError, Img2ImgError
from img2img.tasks import denoise

# By name: mypy cannot see that setup.cfg maps the folder benchmarks/ into the package.
noise_level = import_module("img2img.benchmarks.noise_level")

GREY = 100  # of the picture in the tests of the whole benchmark


def smooth(height: int = 100, width: int = 120) -> NDArray[np.float64]:
    """A colour picture without noise: waves longer than a patch, and an edge."""
    rows, columns = np.mgrid[:height, :width]
    waves = 128 + 60 * np.sin(rows / 15) * np.cos(columns / 20) + 40 * (columns > width / 3)
    return np.stack([waves, waves[::-1], 255 - waves], axis=2)


class Offset:
    """A denoiser that is off by the level it is told, and estimates a tenth too much of a noise of 10 grey levels."""

    def __call__(self, image: np.ndarray, sigma: float, tta: bool = False) -> np.ndarray:
        return np.full_like(image, GREY / 255 + sigma)

    def estimate_sigma(self, image: np.ndarray) -> float:
        return 11 / 255


@pytest.fixture
def offset(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put it in the place of every denoiser; the list tells which ones were asked for."""
    asked: list[str] = []

    def from_pretrained(name: str, **settings: Any) -> Offset:
        asked.append(name)
        return Offset()

    monkeypatch.setattr(denoise.Denoiser, "from_pretrained", from_pretrained)
    return asked


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("L", (96, 80), GREY).save(folder / name)
    return folder


# ---- the published estimator


@pytest.mark.parametrize("sigma", [5.0, 25.0, 75.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_chen_finds_the_level(sigma: float, channels: int) -> None:
    clean = smooth() if channels == 3 else smooth()[..., 0]
    noisy = clean + np.random.default_rng(3).normal(0, sigma, clean.shape)
    assert noise_level.chen(noisy) == pytest.approx(sigma, rel=0.05)
    assert noise_level.chen(noisy + 1000) == pytest.approx(noise_level.chen(noisy))  # brightness is no noise
    assert noise_level.chen(3 * noisy) == pytest.approx(3 * noise_level.chen(noisy))


def test_chen_sees_through_a_picture_that_fills_few_directions() -> None:
    # Stripes are as strong as the noise is weak: the standard deviation of the values is 40 times the answer.
    stripes = 80.0 * (np.arange(128) // 4 % 2) * np.ones((128, 1))
    noisy = stripes + np.random.default_rng(0).normal(0, 1, stripes.shape)
    assert noisy.std() > 39
    assert noise_level.chen(noisy) == pytest.approx(1, rel=0.05)


def test_chen_of_a_constant_is_nothing() -> None:
    assert noise_level.chen(np.full((20, 30, 3), 77.0)) == 0


@pytest.mark.parametrize("shape", [(13, 11), (9, 12, 3), (8, 8, 1)])
def test_patch_covariance_is_that_of_the_patches_one_by_one(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).uniform(0, 255, shape)
    places = [(row, column) for row in range(shape[0] - 7) for column in range(shape[1] - 7)]
    patches = [image[row : row + 8, column : column + 8].ravel() for row, column in places]
    expected = np.cov(np.transpose(patches), bias=True)
    found = noise_level.patch_covariance(image)
    # The order of the values in a patch is free: the eigenvalues must agree.
    np.testing.assert_allclose(np.linalg.eigvalsh(found), np.linalg.eigvalsh(expected), rtol=1e-9, atol=1e-6)


# ---- the benchmark


def test_errors_and_costs_are_those_computed_by_hand(pictures: Path, offset: list[str], tmp_path: Path) -> None:
    (command,) = entry_points(group="console_scripts", name="img2img")
    args = ["bench", "sigma", "--data", str(pictures), "--sigma", "20,10", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(command.load(), [*args, "--model", str(pictures / "a.png")])
    assert result.exit_code == 0, result.output
    assert offset == [str(pictures / "a.png")]
    record = json.loads((tmp_path / "out" / "noise_level.json").read_text())
    assert record["images"] == ["a.png", "b.png"]
    assert len(record["scores"]) == 2 * 2 * 3 * 2
    assert [row["sigma"] for row in record["summary"]] == [20, 20, 20, 10, 10, 10] * 2

    for row in record["summary"]:
        if row["method"] == noise_level.OURS:  # says 11, whatever the level is
            wrong = 100 * (11 / row["sigma"] - 1)
            assert (row["error_percent"], row["bias_percent"]) == pytest.approx((abs(wrong), wrong))
        else:
            assert row["error_percent"] < 8
    for score in record["scores"]:  # an offset of n has a PSNR of -20 log10(n)
        assert score["cost"] == pytest.approx(20 * math.log10(score["estimate"] / score["sigma"]), abs=1e-4)

    rows = [line for line in result.stdout.splitlines() if line.startswith("| ours")]
    assert len(rows) == 2  # one table for each case
    assert "45.0 / 10.0" in rows[0]
    assert "-45.0 / 10.0" in rows[0]
    assert f"{20 * math.log10(11 / 20):.2f} / 0.83" in rows[0]
    assert str(tmp_path / "out" / "noise_level.json") in result.stdout


@pytest.mark.usefixtures("offset")
def test_limit_and_case(pictures: Path) -> None:
    settings = noise_level.Settings(data=pictures, sigmas=(10.0,), cases=("8bit",), limit=1)
    record = noise_level.run(settings, lambda line: None)
    assert {(score["image"], score["case"]) for score in record["scores"]} == {("a.png", "8bit")}


@pytest.mark.usefixtures("offset")
def test_what_has_no_answer_is_refused(pictures: Path) -> None:
    with pytest.raises(Img2ImgError, match="a noise level of 0"):
        noise_level.run(noise_level.Settings(data=pictures, sigmas=(5.0, 0.0)))
    Image.new("L", (7, 30)).save(pictures / "a.png")
    with pytest.raises(ImageError, match=r"a\.png: smaller than 8x8"):
        noise_level.run(noise_level.Settings(data=pictures))
