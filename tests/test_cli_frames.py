"""Frames, pages and metadata through a whole command: what comes out, what is said, what is refused."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result
from image_files import smooth_picture
from PIL import Image

from img2img.cli.main import main


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["denoise", *arguments, "--engine", "onnx"])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pixels = smooth_picture().samples
    images = [Image.fromarray(np.roll(pixels, 7 * i, axis=1)) for i in range(3)]
    images[0].save("film.png", save_all=True, append_images=images[1:], duration=[100, 200, 300], loop=2)
    noisy = np.random.default_rng(0).normal(0, 20, (3, *pixels.shape))
    pages = np.clip(np.stack([np.asarray(image) for image in images]) + noisy, 0, 255).astype(np.uint8)
    tifffile.imwrite("pages.tif", pages, photometric="rgb")
    stream = io.BytesIO()
    images[0].save(stream, "JPEG", comment=b"hello")
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(stream.getvalue())
    return tmp_path


def test_every_frame_is_kept_with_its_timing(here: Path) -> None:
    result = run("film.png", "--sigma", "5", "--strength", "0", "--json")
    facts = json.loads(result.stdout)
    assert (facts["frames"], facts["lost"], result.stderr) == (3, [], "")
    before, after = Image.open("film.png"), Image.open("film_denoised.png")
    assert after.info["loop"] == before.info["loop"] == 2
    for number, milliseconds in enumerate((100, 200, 300)):
        before.seek(number)
        after.seek(number)
        assert after.info["duration"] == milliseconds
        np.testing.assert_array_equal(np.asarray(after.convert("RGB")), np.asarray(before.convert("RGB")))


def test_every_page_is_denoised_at_one_level(here: Path) -> None:
    facts = json.loads(run("pages.tif", "--json").stdout)
    assert (facts["output"], facts["frames"]) == ("pages_denoised.tif", 3)
    before, after = (tifffile.imread(name, key=slice(None)).astype(float) for name in ("pages.tif", facts["output"]))
    clean = np.stack([np.roll(smooth_picture().samples, 7 * i, axis=1) for i in range(3)])
    for noisy, denoised, ideal in zip(before, after, clean, strict=True):
        assert np.abs(denoised - ideal).mean() < 0.5 * np.abs(noisy - ideal).mean()
    assert run("pages.tif", "--frame", "2", "-o", "one.tif").exit_code == 0
    assert len(tifffile.TiffFile("one.tif").pages) == 1
    assert "there is no frame 4: it has 3" in run("pages.tif", "--frame", "4", "-o", "four.tif").stderr


def test_what_is_lost_is_said_once_and_strict_refuses_it(here: Path) -> None:
    result = run("a.jpg", "b.jpg", "--sigma", "5", "-o", "out/", "--format", "webp")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "img2img: a.jpg: not kept: comment",
        "img2img: 1 more: not kept: comment",
    ]
    result = run("a.jpg", "-o", "strict.webp", "--strict")
    assert result.exit_code == 1
    assert "a.jpg: webp would lose comment; without --strict that is only said" in result.stderr
    assert not (here / "strict.webp").exists()
    assert (
        run("pages.tif", "-o", "first.png").stderr.splitlines()[0].startswith("img2img: pages.tif: not kept: pages 2")
    )
    assert run("a.jpg", "-o", "bare.webp", "--strict", "--metadata", "none").exit_code == 0


def test_a_jpeg_keeps_quality_and_comment(here: Path) -> None:
    assert run("a.jpg", "-o", "again.jpg").exit_code == 0
    again, before = Image.open("again.jpg"), Image.open("a.jpg")
    assert again.quantization == before.quantization
    assert again.info["comment"] == b"hello"
