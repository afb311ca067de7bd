"""The benchmark of what is seen at equal bytes, and its measure, on small pictures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from skimage import data as photographs
from untrained_codec import write_codec

from img2img.benchmarks import codec_equal_bytes, codec_hostile, codec_rounds, codec_views
from img2img.benchmarks.codec_peers import chosen_of, fitting
from img2img.core.descriptor import VGG
from img2img.errors import Img2ImgError
from img2img.images import Picture, write_picture
from img2img.metrics.features import Crowd, frechet_distance
from img2img.tasks.compress import Compressor, Decompressor
from img2img.tasks.compress.bitstream import read_stream

pytest.importorskip("ssimulacra2")
from img2img.metrics.ssimulacra2 import ssimulacra2

PHOTO = np.ascontiguousarray(photographs.astronaut()[:96, 100:228])


def test_ssimulacra2_falls_with_the_noise() -> None:
    planes = PHOTO.transpose(2, 0, 1)
    noise = np.random.default_rng(0).normal(0, 1, planes.shape)
    assert ssimulacra2(planes, planes, 255) == pytest.approx(100, abs=1e-6)
    assert ssimulacra2(planes / 255, planes / 255) == pytest.approx(100, abs=1e-6)
    scores = [ssimulacra2(planes, planes + level * noise, 255) for level in (1, 4, 16, 64)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 80
    assert scores[-1] < 30
    with pytest.raises(ValueError, match="two images of one shape"):
        ssimulacra2(planes, planes[:, 1:], 255)


def test_peers_use_the_bytes_they_may() -> None:
    for name, coder in fitting().items():
        fit = coder(PHOTO)
        coded = fit(2500)
        assert coded is not None, name
        assert 1800 < coded[0] <= 2500
        assert coded[1].shape == PHOTO.shape
        assert fit(10) is None


def test_half_the_bytes_for_the_same_is_half() -> None:
    measures = [
        (22, 0.8, 10, 0.5, 0.2),
        (25, 0.9, 30, 0.25, 0.1),
        (28, 0.95, 50, 0.12, 0.05),
        (31, 0.97, 70, 0.06, 0.02),
    ]
    names = ("psnr", "ms_ssim", "ssimulacra2", "vgg", "frechet")
    rows = [
        {
            "codec": codec,
            "rate": rate,
            "images": 3,
            "missing": 0,
            "bytes": share * 1000 * 2**rate,
            **dict(zip(names, values, strict=True)),
        }
        for rate, values in enumerate(measures)
        for codec, share in (("AVIF", 1), ("other", 0.5))
    ]
    (other,) = codec_equal_bytes.against_avif(rows)
    assert [other[name] for name in names] == pytest.approx([-50] * 5)
    fewer = rows[0] | {"rate": -1, "images": 1, "psnr": 40}  # a point of other pictures, not of this curve
    assert codec_equal_bytes.against_avif([fewer, *rows]) == [other]
    assert codec_equal_bytes.against_avif([row for row in rows if row["codec"] != "AVIF"]) == []


def test_a_peer_that_is_not_here_is_named() -> None:
    assert list(chosen_of({"a": 1, "b": 2}, ["b"])) == ["b"]
    with pytest.raises(Img2ImgError, match="no codec 'c' here: there are a, b"):
        chosen_of({"a": 1, "b": 2}, ["c"])


def test_patches_are_compared_as_crowds() -> None:
    torch.manual_seed(0)
    patches = torch.randn(1, 6, 40, 50)

    def crowd(*pictures: torch.Tensor) -> Crowd:
        counted = Crowd(6)
        for each in pictures:
            counted.add(each)
        return counted

    true = crowd(patches)
    assert frechet_distance(crowd(patches[:, :, :15], patches[:, :, 15:].flip(3)), true) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(crowd(0.5 * patches), true) == pytest.approx(0.25, rel=0.02)  # (1 - 0.5)^2
    assert frechet_distance(crowd(patches + 1), true) == pytest.approx(1, rel=0.1)  # 6 squares by a trace of 6
    assert frechet_distance(crowd(patches.mean((2, 3), keepdim=True).expand_as(patches)), true) > 0.9


def test_a_run_writes_scores_and_sheets(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for i in range(2):
        write_picture(Picture(np.ascontiguousarray(PHOTO[i:])), tmp_path / "pictures" / f"{i}.png", "png")
    model = write_codec(tmp_path)
    vgg = VGG(((4, 4), (6,), (6,), (8,), (8,)))
    save_file(vgg.state_dict(), tmp_path / "judge.safetensors")
    settings = codec_equal_bytes.Settings(
        tmp_path / "pictures",
        [str(model)],
        rates=(0.02, 2.0),
        judge=tmp_path / "judge.safetensors",
        device="cpu",
        precision="fp32",
        out=tmp_path / "out",
    )
    said: list[str] = []
    record = codec_equal_bytes.run(settings, said.append)
    rows: dict[tuple[str, float], dict[str, Any]] = {(row["codec"], row["rate"]): row for row in record["summary"]}
    ours = rows[str(model), 2.0]
    assert ours["images"] == 2
    assert ours["bytes"] <= 2.0 * PHOTO.shape[0] * PHOTO.shape[1] / 8
    assert ours["ms_ssim"] is None  # too small
    assert (str(model), 0.02) not in rows  # no file is so small
    assert rows["AVIF", 2.0]["ssimulacra2"] > 30
    assert 0 < rows["AVIF", 2.0]["vgg"] < 0.5
    assert 0 < rows["AVIF", 2.0]["frechet"] < 0.5
    assert json.loads((tmp_path / "out" / "codec_seen_pictures.json").read_text())["scores"]
    assert (tmp_path / "out" / "codec_seen_pictures_2.png").is_file()


def test_ours_are_seen_by_each_tune_and_look(tmp_path: Path) -> None:
    write_picture(Picture(PHOTO), tmp_path / "0.png", "png")
    settings = codec_equal_bytes.Settings(
        tmp_path,
        ["codec-fast"],
        rates=(1.0,),
        tunes=("psnr", "ms-ssim"),
        looks=("plain", "faithful"),
        only=("WebP",),
        device="cpu",
        precision="fp32",
    )
    rows = codec_equal_bytes.run(settings, lambda text: None)["summary"]
    names = [row["codec"] for row in rows]
    assert names == ["codec-fast, plain", "codec-fast", "codec-fast, ms-ssim, plain", "codec-fast, ms-ssim", "WebP"]
    assert len({row["psnr"] for row in rows}) == 5


def test_rounds_start_at_like_sizes_and_count_from_the_original(tmp_path: Path) -> None:
    write_picture(Picture(PHOTO), tmp_path / "0.png", "png")
    model = write_codec(tmp_path)
    settings = codec_rounds.Settings(
        tmp_path, [str(model)], (60,), rounds=3, side=80, only=["WebP"], device="cpu", out=tmp_path / "out"
    )
    rows = codec_rounds.run(settings, lambda line: None)["rows"]
    assert [row["codec"] for row in rows] == [str(model), "WebP"]
    assert 0.5 < rows[1]["bytes"][0] / rows[0]["bytes"][0] < 2
    for row in rows:
        assert len(row["psnr"]) == 3
        assert row["psnr"][0] >= row["psnr"][2] > 15
    assert (tmp_path / "out" / "codec_rounds.json").is_file()


def test_files_made_to_be_dear_are_valid(tmp_path: Path) -> None:
    compressor = Compressor.from_pretrained(write_codec(tmp_path), "cpu", "fp32")
    reader = Decompressor("cpu", "fp32", [tmp_path / "untrained.safetensors"])
    picture = Picture(np.random.default_rng(0).integers(0, 256, (33, 300, 3)).astype(np.uint8))
    strips = codec_hostile.in_tiles(compressor, picture, (304, 32))
    assert read_stream(strips).tile_count == 2
    assert reader.decompress(strips).samples.shape == (33, 300, 3)
    absurd = codec_hostile.extreme(compressor, picture, 1e8)
    assert len(absurd) > 3 * len(strips)
    assert reader.decompress(absurd).samples.shape == (33, 300, 3)


def test_views_are_timed_as_commands(tmp_path: Path) -> None:
    record = codec_views.run(codec_views.Settings(["codec-fast"], [(520, 512)], out=tmp_path), lambda line: None)
    assert [row["what"].split()[0] for row in record["rows"]] == ["compress"] + 6 * ["decompress"]
    assert all(row["cpu_seconds"] > 0 and row["peak_mb"] > 50 for row in record["rows"])
    assert (tmp_path / "codec_views.json").is_file()
