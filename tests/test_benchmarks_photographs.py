"""The benchmark of users' pictures: its noise is what it says, and its table and JSON hold what was measured."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage import data as pictures
from skimage.io import imsave

from img2img.benchmarks import photographs, unknown_noise
from img2img.errors import ImageError


def test_more_sensitive_cameras_have_more_noise() -> None:
    clean = pictures.coffee()[100:228, 100:260].astype(float)
    differences = {}
    for kind, wanted, picture in photographs.kinds(clean):
        assert wanted.shape == picture.shape == clean.shape
        assert (picture == np.rint(picture)).all()
        differences[kind] = (picture - wanted).std()
    assert differences["clean"] == 0
    assert 1 < differences["camera, low"] < differences["camera, medium"] < differences["camera, high"] < 40


def test_measures_every_kind_and_writes_what_it_prints(tmp_path: Path) -> None:
    imsave(tmp_path / "a.png", pictures.coffee()[100:164, 100:180], check_contrast=False)
    lines: list[str] = []
    settings = photographs.Settings(
        data=tmp_path, models=("denoise-fast",), device="cpu", out=tmp_path / "out", peers=False, told=True
    )
    record = photographs.run(settings, echo=lines.append)
    written = json.loads((tmp_path / "out/photographs.json").read_text())
    assert len(written["scores"]) == 7 * 3
    assert 0 < min(score["ssim"] for score in written["scores"]) < 1
    noisy, ours = (
        next(s["psnr8"] for s in record["scores"] if (s["kind"], s["method"]) == ("camera, medium", method))
        for method in ("as it is", "denoise-fast")
    )
    assert 20 < noisy < 45
    assert f"{ours:.2f}" in lines[0]
    assert "inf (a.png: inf)" in lines[0]


def test_held_out_pictures_of_one_kind(tmp_path: Path) -> None:
    (tmp_path / "bsds400").mkdir()
    for name in ("103041.jpg", "another.jpg"):
        imsave(tmp_path / "bsds400" / name, pictures.coffee()[100:164, 100:180], check_contrast=False)
    settings = photographs.Settings(data=tmp_path, held_out=True, kinds=("clean",), models=(), peers=False)
    record = photographs.run(settings, echo=lambda line: None)
    assert [(s["image"], s["kind"]) for s in record["scores"]] == [("103041.jpg", "clean")]
    with pytest.raises(ImageError, match="none of the held-out"):
        photographs.run(replace(settings, data=tmp_path / "bsds400"), echo=lambda line: None)


def test_noise_left_and_edges_kept() -> None:
    clean = np.zeros((96, 96))
    clean[:, 48:] = 100
    rng = np.random.default_rng(0)
    places = unknown_noise.Places(clean + rng.normal(0, 8, clean.shape))
    unchanged = places.measure(clean + rng.normal(0, 8, clean.shape))
    assert unchanged["noise_left"] == pytest.approx(8, rel=0.1)
    assert unchanged["edges_kept"] == pytest.approx(1, abs=0.1)
    assert places.measure(clean)["noise_left"] < 0.01
    blurred = places.measure(gaussian_filter(clean, 2))
    # A step behind Gaussians of 0.7 and 2 pixels is less steep than behind the first alone, even where it is steepest.
    assert 0.2 < blurred["edges_kept"] < 0.8
    with pytest.raises(ValueError, match="16x16"):
        unknown_noise.Places(clean[:8])


def test_pictures_without_truth(tmp_path: Path) -> None:
    imsave(tmp_path / "a.png", pictures.coffee()[100:164, 100:180], check_contrast=False)
    settings = unknown_noise.Settings(tmp_path, ("denoise-photo",), (0, 1), out=tmp_path / "out", peers=False)
    record = unknown_noise.run(settings, echo=lambda line: None)
    as_it_is, nothing, ours = record["scores"]
    assert nothing["noise_left"] == pytest.approx(as_it_is["noise_left"], abs=0.01)
    assert ours["noise_left"] < as_it_is["noise_left"]
    assert (tmp_path / "out/unknown_noise.png").exists()
