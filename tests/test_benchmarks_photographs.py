"""The benchmark of users' pictures: its noise is what it says, and its table and JSON hold what was measured."""

import json
from pathlib import Path

import numpy as np
from skimage import data as pictures
from skimage.io import imsave

from img2img.benchmarks import photographs


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
    settings = photographs.Settings(data=tmp_path, models=("denoise-fast",), device="cpu", out=tmp_path / "out")
    record = photographs.run(settings, echo=lines.append)
    written = json.loads((tmp_path / "out/photographs.json").read_text())
    assert len(written["scores"]) == 7 * 3
    noisy, ours = (
        next(s["psnr8"] for s in record["scores"] if (s["kind"], s["method"]) == ("camera, medium", method))
        for method in ("as it is", "denoise-fast, auto")
    )
    assert 20 < noisy < 45
    assert f"{ours:.2f}" in lines[0]
    assert "inf (lowest inf)" in lines[0]
