"""The benchmarks: their protocol to the bit, their bookkeeping, and one run of each from pictures to files."""

import json
import math
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from img2img.checkpoints import save_checkpoint
from img2img.errors import ImageError, Img2ImgError
from img2img.tasks.denoise import DenoisingUNet, pipeline
from img2img.tasks.denoise.model import BlindDenoiser

# By name: mypy cannot see that setup.cfg maps the folder benchmarks/ into the package.
denoise_psnr = import_module("img2img.benchmarks.denoise_psnr")
peers = import_module("img2img.benchmarks.peers")
report = import_module("img2img.benchmarks.report")
speed = import_module("img2img.benchmarks.speed")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A weight file of a tiny denoiser of zeros, which returns what it is given. A tiny blind one finds the level."""
    torch.manual_seed(0)
    config: dict[str, Any] = {"channels": 3, "widths": [4, 8], "blocks": 1}
    unet = DenoisingUNet(**config)
    for parameter in unet.parameters():
        nn.init.zeros_(parameter)
    for network, net, settings in (
        ("unet", unet, config),
        ("blind", BlindDenoiser((4, 8), 1), {"widths": [4, 8], "blocks": 1}),
    ):
        tensors = {f"{network}.{name}": value for name, value in net.state_dict().items()}
        header = {"task": "denoise", "network": network, "config": settings}
        save_checkpoint(tmp_path / f"{network}.safetensors", tensors, header)
    monkeypatch.setattr(pipeline, "ESTIMATOR_WEIGHTS", tmp_path / "blind.safetensors")
    return str(tmp_path / "unet.safetensors")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with a colour picture, a grey one that comes first by name, and something else."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    ramp = np.linspace(0, 255, 24 * 32).reshape(24, 32).astype(np.uint8)
    Image.fromarray(np.stack([ramp, ramp.T.reshape(24, 32), 255 - ramp], axis=2)).save(folder / "b.png")
    Image.fromarray(ramp).save(folder / "a.png")
    (folder / "notes.txt").write_text("not a picture")
    return folder


# ---- protocol


@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7)])
def test_noise_is_the_protocols_bit_for_bit(shape: tuple[int, ...]) -> None:
    clean = np.random.default_rng(1).integers(0, 256, shape).astype(np.float64)
    noisy = clean + np.random.default_rng(0).normal(0, 25, shape)
    assert np.array_equal(denoise_psnr.add_noise(clean, 25), noisy)
    assert np.array_equal(denoise_psnr.add_noise(clean, 25), noisy)  # seeded anew for every picture
    in_a_file = denoise_psnr.add_noise(clean, 25, "8bit")
    assert np.array_equal(in_a_file, np.clip(np.round(noisy), 0, 255))
    assert np.array_equal(in_a_file, in_a_file.astype(np.uint8))


def test_means_and_extremes_of_a_summary() -> None:
    def score(image: str, psnr: float, seconds: float, megapixels: float) -> Any:
        return denoise_psnr.Score("float", "ours", 25.0, image, psnr, psnr + 1, 0.5, seconds, megapixels)

    (row,) = denoise_psnr.summarise([score("a", 30, 1, 0.5), score("b", 20, 8, 2.5)])
    assert (row["psnr"], row["psnr8"], row["ssim"]) == (25, 26, 0.5)
    assert row["seconds_per_megapixel"] == 3  # 9 seconds for 3 megapixels
    assert (row["best"], row["worst"]) == ({"image": "a", "psnr": 30}, {"image": "b", "psnr": 20})


# ---- the denoising benchmark


def test_denoise_from_pictures_to_files(pictures: Path, model: str, tmp_path: Path) -> None:
    said: list[str] = []
    settings = denoise_psnr.Settings(
        data=pictures, sigmas=(50.0, 15.0), models=[model], device="cpu", precision="fp32", out=tmp_path / "out"
    )
    denoise_psnr.run(settings, said.append)
    record = json.loads((tmp_path / "out" / "denoise.json").read_text())

    assert record["images"] == ["a.png", "b.png"]
    assert {"command", "commit", "torch", "threads", "processor"} <= record["environment"].keys()
    methods = ["noisy", "NL-means", "TV (Chambolle)", "wavelet (BayesShrink)", model, f"{model}, auto"]
    assert [row["method"] for row in record["summary"]] == [m for _ in range(2) for m in methods for _ in range(2)]
    assert len(record["scores"]) == 2 * 2 * len(methods) * 2
    found = {(s["case"], s["method"], s["sigma"], s["image"]): s for s in record["scores"]}

    # Grey stays grey: its noise is that of (H, W). And a denoiser that does nothing scores as the noise does.
    noise = np.random.default_rng(0).normal(0, 50, (24, 32))
    expected = 10 * math.log10(255**2 / np.mean(noise**2))
    assert found["float", "noisy", 50.0, "a.png"]["psnr"] == pytest.approx(expected)
    for case, image in [("float", "a.png"), ("float", "b.png"), ("8bit", "b.png")]:
        noisy = found[case, "noisy", 50.0, image]
        assert found[case, model, 50.0, image]["psnr"] == pytest.approx(noisy["psnr"], abs=1e-4)
        assert found[case, "NL-means", 50.0, image]["psnr"] > noisy["psnr"] + 2
    assert found["8bit", "noisy", 50.0, "b.png"]["psnr"] > found["float", "noisy", 50.0, "b.png"]["psnr"] + 0.3
    assert found["8bit", "noisy", 50.0, "b.png"]["psnr"] == found["8bit", "noisy", 50.0, "b.png"]["psnr8"]

    text = "\n".join(said)
    assert "PSNR at 50 / 15" in text
    assert text.count("| NL-means") == 2
    with Image.open(tmp_path / "out" / "denoise_pictures.png") as picture:
        assert picture.size == (4 * (32 * 2 + 8) - 8, 24 * 2 + 28)  # noisy, NL-means, ours, clean
    with Image.open(tmp_path / "out" / "denoise_curve.png") as curve:
        assert np.asarray(curve).std() > 0


def test_limit_case_and_no_noise(pictures: Path) -> None:
    settings = denoise_psnr.Settings(data=pictures, sigmas=(0.0,), models=[], cases=("8bit",), limit=1)
    record = denoise_psnr.run(settings, lambda line: None)
    assert record["images"] == ["a.png"]
    assert {score["case"] for score in record["scores"]} == {"8bit"}
    assert all(score["psnr"] == math.inf for score in record["scores"])  # peers, too, leave a clean picture alone


def test_photographs_of_scikit_image_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    settings = denoise_psnr.Settings(sigmas=(25.0,), models=[], cases=("float",), peers=False)
    record = denoise_psnr.run(settings, lambda line: None)
    assert record["images"] == ["astronaut.png", "chelsea.png", "coffee.png"]
    assert record["summary"][0]["psnr"] == pytest.approx(20.17, abs=0.02)  # 20 log10(255 / 25)


def test_a_bad_picture_or_none_stops_the_benchmark(tmp_path: Path) -> None:
    settings = denoise_psnr.Settings(data=tmp_path, models=[], peers=False)
    with pytest.raises(ImageError, match="no pictures in this folder"):
        denoise_psnr.run(settings)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ImageError, match=r"a\.png: "):
        denoise_psnr.run(settings)
    Image.new("L", (6, 20)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="smaller than 7x7"):
        denoise_psnr.run(settings)


def test_bm3d_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bm3d", None)
    with pytest.raises(Img2ImgError, match="pip install bm3d"):
        peers.bm3d()


@pytest.mark.parametrize("name", ["NL-means", "TV (Chambolle)", "wavelet (BayesShrink)"])
def test_peers_denoise_colour_and_grey(name: str) -> None:
    rows, columns = np.mgrid[:48, :48]
    grey = 128 + 100 * np.sin(rows / 9) * np.cos(columns / 7)
    for clean in (grey, np.stack([grey, grey.T, 255 - grey], axis=2)):
        noisy = denoise_psnr.add_noise(clean, 25)
        result = peers.scikit_image()[name](noisy, 25.0)
        assert result.shape == clean.shape
        assert np.mean((result - clean) ** 2) < 0.4 * np.mean((noisy - clean) ** 2)


# ---- the speed benchmark


def test_multiplications_of_known_layers() -> None:
    def count(layer: nn.Module, channels: int) -> float:
        return float(speed.kmac_per_pixel(layer, torch.rand(2, channels, 8, 12)))

    assert count(nn.Conv2d(4, 6, 3, padding=1), 4) == pytest.approx(4 * 6 * 9 / 1000)
    assert count(nn.Conv2d(4, 6, 3, padding=1, stride=2), 4) == pytest.approx(4 * 6 * 9 / 4 / 1000)
    assert count(nn.Conv2d(4, 6, 3, padding=1, groups=2), 4) == pytest.approx(4 * 6 * 9 / 2 / 1000)
    assert count(nn.ConvTranspose2d(4, 6, 2, stride=2), 4) == pytest.approx(4 * 6 * 4 / 1000)
    assert count(nn.Linear(12, 5), 4) == pytest.approx(4 * 5 / 1000)  # 4 rows a pixel column of 12: 4 x 5 x 12 / 12
    assert count(nn.ReLU(), 4) == 0


def test_ffdnets_shape_costs_what_ffdnet_costs() -> None:
    # 13 -> 96, ten times 96 -> 96, 96 -> 12, all 3x3 at half resolution.
    by_hand = 9 * (13 * 96 + 10 * 96 * 96 + 96 * 12) / 4 / 1000
    image = torch.rand(1, 3, 32, 48)
    assert speed.kmac_per_pixel(speed.FFDNetShaped(), image) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(212.8, abs=0.1)
    assert speed.FFDNetShaped()(image).shape == image.shape


def test_memory_is_the_commands_own_and_failures_are_told() -> None:
    ballast = torch.ones(100_000_000)  # 400 MB here must not be charged to a command
    idle = speed.cost_of([sys.executable, "-c", "pass"])
    busy = speed.cost_of([sys.executable, "-c", "import time; block = b'x' * 100_000_000; time.sleep(0.2)"])
    assert ballast.sum() > 0
    assert idle.peak_mb < 60
    assert 90 < busy.peak_mb - idle.peak_mb < 120
    assert busy.seconds > 0.2
    with pytest.raises(Img2ImgError, match="failed: no such thing"):
        speed.cost_of([sys.executable, "-c", "import sys; sys.exit('no such thing')"])


def test_the_large_picture_is_a_mirrored_one() -> None:
    picture = speed.photograph_of_size(700, 900)
    assert picture.shape == (900, 700, 3)
    assert np.array_equal(picture[:, 600:], picture[:, 599:499:-1])
    assert np.array_equal(picture[400:800], picture[399::-1])


def test_speed_from_command_to_file(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def cost_of(command: list[str]) -> Any:  # the commands themselves take seconds and have their own tests
        commands.append(command)
        return speed.Cost(0.5, 100.0)

    monkeypatch.setattr(speed, "cost_of", cost_of)
    said: list[str] = []
    settings = speed.Settings(
        models=[model], device="cpu", rounds=2, photo=(48, 32), large=(96, 64), out=tmp_path / "out"
    )
    speed.run(settings, said.append)
    record = json.loads((tmp_path / "out" / "speed.json").read_text())

    assert [command[1] for command in commands] == ["--help", "--help", "denoise", "denoise", "denoise"]
    assert [row["seconds_per_megapixel"] for row in record["commands"][1:]] == pytest.approx(
        [0.5 / (48 * 32) * 1e6, 0.5 / (96 * 64) * 1e6]
    )
    methods = {row["method"]: row for row in record["methods"]}
    assert methods["FFDNet's shape, fp32"]["ffdnet_is_1"] == 1
    assert {f"{model}, fp32", f"{model}, bf16, sigma auto", "NL-means"} <= methods.keys()
    assert methods[f"{model}, fp32"]["kmac_per_pixel"] < methods["FFDNet's shape, bf16"]["kmac_per_pixel"]
    assert all(len(row["runs"]) == 2 for row in record["methods"])
    assert "24" not in said[0]
    assert any("kMAC/pixel" in line for line in said)


# ---- reports


def test_json_says_infinity_in_a_way_all_readers_know(tmp_path: Path) -> None:
    report.write_json(tmp_path / "new" / "a.json", {"psnr": math.inf, "list": [1.5, {"x": (math.inf,)}], "none": None})
    text = (tmp_path / "new" / "a.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"psnr": "inf", "list": [1.5, {"x": ["inf"]}], "none": None}


def test_the_commit_is_this_checkouts_or_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(report, "__file__", str(tmp_path / "benchmarks" / "report.py"))
    assert report.environment()["commit"] is None
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/img2img", "bench", "denoise", "--data", "my pictures"])
    assert report.environment()["command"] == "img2img bench denoise --data 'my pictures'"
