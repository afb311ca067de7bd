"""The benchmark of users' pictures: its noise is what it says, and its table and JSON hold what was measured."""

import json
from pathlib import Path

import numpy as np
import pytest
from skimage import data as pictures
from skimage.io import imsave

from img2img.benchmarks import photographs


def test_camera_noise_rises_with_brightness_as_stated() -> None:
    for level in (30.0, 127.5, 200.0):
        noise = photographs.camera(np.full((200, 200, 3), level)) - level
        expected = photographs.SIGMA * np.sqrt(0.8 * level / 127.5 + 0.2)
        assert noise.std() == pytest.approx(expected, rel=0.03)


def test_measures_every_kind_and_writes_what_it_prints(tmp_path: Path) -> None:
    imsave(tmp_path / "a.png", pictures.coffee()[100:164, 100:180], check_contrast=False)
    lines: list[str] = []
    settings = photographs.Settings(data=tmp_path, models=("denoise-fast",), device="cpu", out=tmp_path / "out")
    record = photographs.run(settings, echo=lines.append)
    written = json.loads((tmp_path / "out/photographs.json").read_text())
    assert len(written["scores"]) == 4 * 3
    noisy, ours = (
        next(s["psnr8"] for s in record["scores"] if (s["kind"], s["method"]) == ("camera", method))
        for method in ("as it is", "denoise-fast, auto")
    )
    assert ours > noisy + 4
    assert f"{ours:.2f}" in lines[0]
    assert "inf (lowest inf)" in lines[0]
