"""Latents sought by gradients: fewer bits for a better picture, in files that are decoded as all others."""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import run
from PIL import Image
from skimage import data as photographs
from torch import Generator
from untrained_codec import write_codec

from img2img import progress
from img2img.checkpoints import load_checkpoint
from img2img.errors import Img2ImgError
from img2img.images import Picture
from img2img.tasks.compress import Compressor, Decompressor, Target
from img2img.tasks.compress.annealing import Annealing, annealed
from img2img.tasks.compress.hyperprior import HyperpriorCodec
from img2img.tasks.compress.loss import CodecWithPrior, Seen
from img2img.tasks.compress.prior import FactorizedPrior

QUICK = 80  # steps


def photograph(height: int = 128, width: int = 160) -> Picture:
    return Picture(np.ascontiguousarray(photographs.astronaut()[:height, 150 : 150 + width]))


def psnr(a: Picture, b: Picture) -> float:
    error = np.square(a.samples.astype(np.float64) - b.samples).mean() / (2**a.bits - 1) ** 2
    return float(-10 * np.log10(error))


@pytest.fixture(scope="module")
def compressor() -> Compressor:
    shipped = Compressor.from_pretrained("codec-fast", device="cpu", precision="fp32", engine="torch")
    return Compressor(shipped.model, steps=QUICK)


@pytest.fixture(scope="module")
def reader() -> Decompressor:
    return Decompressor(device="cpu", engine="onnx")


@pytest.mark.parametrize("quality", [20, 70])
def test_rate_and_distortion_together_are_less(compressor: Compressor, reader: Decompressor, quality: int) -> None:
    picture = photograph()
    files = [compressor.compress(picture, Target(quality=quality), effort).data for effort in (1, 2)]
    weight = 0.001 * 150 ** ((quality - 1) / 99)  # bits a pixel for a squared grey level
    pixels = picture.width * picture.height
    costs = [
        8 * len(file) / pixels + weight * 255**2 * 10 ** (-psnr(picture, reader.decompress(file)) / 10)
        for file in files
    ]
    assert costs[1] < 0.99 * costs[0]


def test_targets_are_kept_and_better_reached(compressor: Compressor, reader: Decompressor) -> None:
    picture = photograph()
    limit = len(compressor.compress(picture, Target(quality=40)).data)
    plain, sought = (compressor.compress(picture, Target(max_bytes=limit), effort) for effort in (1, 2))
    assert 0.95 * limit < len(sought.data) <= limit
    assert psnr(picture, reader.decompress(sought.data)) > psnr(picture, reader.decompress(plain.data)) + 0.05
    plain, sought = (compressor.compress(picture, Target(psnr=32), effort) for effort in (1, 2))
    assert sought.facts["psnr"] == pytest.approx(psnr(picture, reader.decompress(sought.data)), abs=0.002)
    assert sought.facts["psnr"] >= 32
    assert len(sought.data) <= len(plain.data)  # after so few steps no more can be said


@pytest.mark.parametrize("size", [(192, 200), (64, 90)])
def test_tuned_by_ms_ssim_it_is_better_by_that(
    compressor: Compressor, reader: Decompressor, size: tuple[int, int]
) -> None:
    """At the bytes of the other; small pictures at fewer scales."""
    picture = photograph(*size)
    tuned = compressor.compress(picture, Target(quality=30), 2, "ms-ssim")
    other = compressor.compress(picture, Target(max_bytes=len(tuned.data)), 2)
    x, *results = (
        torch.from_numpy(each.samples.transpose(2, 0, 1).copy())[None].float() / 255
        for each in (picture, reader.decompress(tuned.data), reader.decompress(other.data))
    )
    lost = [float(Seen()(result, x)) for result in results]
    assert lost[0] < 0.97 * lost[1]


@pytest.mark.parametrize("tune", ["psnr", "ms-ssim"])
@pytest.mark.parametrize("quality", [5, 20])
def test_no_file_has_more_bytes_than_asked_for(compressor: Compressor, tune: str, quality: int) -> None:
    """At a low rate what is sought at the same rate has more."""
    picture = photograph()
    limit = len(compressor.compress(picture, Target(quality=quality), 1, tune).data)
    assert len(compressor.compress(picture, Target(quality=quality), 2, tune).data) > limit
    assert 0.9 * limit < len(compressor.compress(picture, Target(max_bytes=limit), 2, tune).data) <= limit


def test_the_same_picture_gives_the_same_bytes(compressor: Compressor) -> None:
    picture = photograph(40, 50)
    first, again = (compressor.compress(picture, Target(quality=30), 2).data for _ in range(2))
    assert first == again


def test_tiles_leave_no_seams(compressor: Compressor, reader: Decompressor) -> None:
    picture = photograph(256, 256)
    tiled = Compressor(compressor.model, tile=128, steps=QUICK).compress(picture, Target(quality=50), 2)
    off = np.square(reader.decompress(tiled.data).samples.astype(np.float64) - picture.samples).mean(2)
    border = np.concatenate([off[120:136].ravel(), off[:, 120:136].ravel()]).mean()
    plain = compressor.compress(picture, Target(quality=50), 1)
    before = np.square(reader.decompress(plain.data).samples.astype(np.float64) - picture.samples).mean(2)
    usual = np.concatenate([before[120:136].ravel(), before[:, 120:136].ravel()]).mean()
    assert border / off.mean() < 1.1 * usual / before.mean()


@pytest.mark.parametrize("network", ["factorized", "hyperprior", "chequerboard"])
@pytest.mark.parametrize(("size", "tile"), [((1, 1), 64), ((33, 70), 48), ((60, 100), 64), ((16, 1100), 128)])
def test_every_codec_and_size(network: str, size: tuple[int, int], tile: int, tmp_path: Path) -> None:
    weights = write_codec(tmp_path, network=network)
    compressor = Compressor(Compressor.from_pretrained(weights, device="cpu").model, tile=tile, steps=2)
    samples = np.random.default_rng(0).integers(0, 65536, (*size, 1)).astype(np.uint16)
    decoded = Decompressor(device="cpu", models=[weights]).decompress(
        compressor.compress(Picture(samples), Target(quality=80), 2).data
    )
    assert decoded.samples.shape == samples.shape


def test_how_far_it_is_is_told_and_never_goes_back(compressor: Compressor) -> None:
    told: list[tuple[int, int]] = []
    with progress.listening(lambda done, total: told.append((done, total))):
        Compressor(compressor.model, tile=64, steps=3).compress(photograph(64, 128), Target(quality=50), 2)
    assert told == [(step, 6) for step in range(1, 7)]


def test_rounding_by_chance_is_fair_and_becomes_sure() -> None:
    codec = HyperpriorCodec(slices=(16,), widths=(8, 12, 16), hyper_channels=8)
    model = Annealing(CodecWithPrior(codec, FactorizedPrior(torch.ones(8))), Generator().manual_seed(0))
    bins = torch.full((1, 1, 100, 100), 2.3, requires_grad=True)
    means = []
    for temperature in (0.5, 0.1, 0.03):
        model.temperature = temperature
        rounded = model.rounded(bins)
        assert 2 <= rounded.min() <= rounded.max() <= 3
        means.append(rounded.mean().item())
    assert all(a > b for a, b in pairwise(means))
    assert means[-1] == pytest.approx(2, abs=1e-3)
    model.temperature = 0.3
    model.rounded(bins).sum().backward()
    assert bins.grad is not None
    assert bins.grad.mean() > 0


def test_what_is_not_shown_costs_nothing(compressor: Compressor) -> None:
    """Where a picture ends within a block, only what is seen of the block is to look right."""
    x = photograph(64, 64).samples.transpose(2, 0, 1).astype(np.float32) / 255
    checkpoint = load_checkpoint("codec-fast")
    y, z = annealed(checkpoint, x, (64, 33), 0.5, steps=30)
    other = x.copy()
    other[:, :, 33:] = 1 - other[:, :, 33:]
    assert y.shape == (y.shape[0], 4, 4)
    assert z is not None
    assert z.shape[1:] == (1, 1)
    assert np.abs(annealed(checkpoint, x, (64, 64), 0.5, steps=30)[0] - y).max() > 0


def test_without_pytorch_it_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Image.fromarray(photographs.astronaut()[:64, :64]).save(tmp_path / "a.png")
    monkeypatch.setattr("img2img.extras.find_spec", lambda name: None if name == "torch" else sys.modules.get(name))
    result = run("compress", str(tmp_path / "a.png"), "--effort", "2", "--engine", "onnx")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "effort 2 needs PyTorch: pip install" in result.stderr
    assert not (tmp_path / "a.i2i").exists()
    with pytest.raises(Img2ImgError, match="needs PyTorch"):
        Compressor.from_pretrained(device="cpu", engine="onnx").compress(photograph(), effort=2)
