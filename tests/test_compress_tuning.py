"""Latents tuned to what eyes see: the network, its training, its graph, its tiles, its files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import run
from PIL import Image
from skimage import data as photographs
from untrained_codec import write_codec, write_tuning

import img2img
from img2img.checkpoints import load_checkpoint, read_header
from img2img.engines.graphs import TOLERANCE, make_graphs
from img2img.errors import Img2ImgError, TrainingError, WeightsError
from img2img.images import Picture
from img2img.register import networks_of, train
from img2img.tasks.compress import Compressor, Decompressor, Target
from img2img.tasks.compress.loss import Seen, ms_ssim_decibels
from img2img.tasks.compress.shape import TUNING_REACH
from img2img.tasks.compress.tuning import TuningNetwork

RECIPE = """
name = "tiny"
task = "tuning"
steps = 40
optimizer = "muon"
lr = 2e-3
warmup = 0
ema = 0.5
every = 40
precision = "fp32"
phases = [{ until = 1.0, patch = 64, batch = 2 }]
[model]
width = 8
[data]
codec = "codec-fast"
restoration = ""
[objective]
similarity = 1300.0
"""


def photograph(height: int = 256, width: int = 256) -> Picture:
    return Picture(np.ascontiguousarray(photographs.astronaut()[:height, 128 : 128 + width]))


def test_it_begins_as_nothing_and_reaches_no_farther_than_said() -> None:
    network = TuningNetwork(latents=6, width=8)
    y, rate = torch.randn(1, 6, 9, 11), torch.full((1, 1, 1, 1), 0.3)
    assert torch.equal(network(y, rate), y)
    torch.nn.init.normal_(network.last.weight)
    moved = network(y, rate)
    y[..., 4, 5] += 1
    rows, columns = (network(y, rate) - moved).abs().amax((0, 1)).nonzero().T
    assert max(int((rows - 4).abs().max()), int((columns - 5).abs().max())) == TUNING_REACH
    assert not torch.equal(network(y, rate), network(y, rate + 0.2))


def test_onnxruntime_tunes_the_same(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = write_tuning(tmp_path, write_codec(tmp_path))
    (agreement,) = make_graphs(path, networks_of(load_checkpoint(path))).values()
    assert agreement.difference <= TOLERANCE


def test_it_learns_and_names_the_file_of_its_codec(tmp_path: Path, photos: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE)
    train("tuning", photos, recipe, out=tmp_path / "run", device="cpu")
    best = tmp_path / "run" / "best.safetensors"
    header = read_header(best)
    assert (header["task"], header["network"]) == ("tuning", "tuning")
    assert header["codec"] == load_checkpoint("codec-fast").sha256
    compressor = Compressor.from_pretrained("codec-fast", "cpu", "fp32", tunings=[best])
    assert len(compressor.compress(photograph(64, 64), tune="ms-ssim").data) > 100


def test_what_does_not_fit_is_said(tmp_path: Path, photos: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    for line, instead, message in (
        ("patch = 64", "patch = 48", "multiples of 32"),
        ("width = 8", "depth = 8", "depth"),
        ("similarity = 1300.0", "beauty = 1.0", "beauty"),
        ("steps = 40", 'steps = 40\nteacher = "vgg"', "has no use for teacher"),
    ):
        recipe.write_text(RECIPE.replace(line, instead))
        with pytest.raises(TrainingError, match=message):
            train("tuning", photos, recipe, out=tmp_path / "run", device="cpu")


def test_what_is_seen_is_structure_brightness_and_tint() -> None:
    x = torch.from_numpy(photograph().samples.transpose(2, 0, 1).copy())[None].float() / 255
    noisy, brighter = x + 0.02 * torch.randn_like(x), x + 0.02
    assert float(Seen(mse=0, low=0)(brighter, x)) < 0.1 * float(Seen(mse=0, low=0)(noisy, x))  # MS-SSIM hardly minds
    assert float(Seen()(brighter, x)) > float(Seen()(noisy, x))
    assert float(Seen()(x, x)) == pytest.approx(0, abs=1e-2)
    small = x[..., :20, :20]
    assert float(Seen()(small + 0.02, small)) == pytest.approx((255 * 0.02) ** 2, rel=1e-3)


@pytest.mark.parametrize("codec", ["codec-fast", "codec-best"])
def test_shipped_codecs_are_better_by_ms_ssim_in_as_many_bytes(codec: str) -> None:
    compressor, reader = Compressor.from_pretrained(codec, "cpu", "fp32"), Decompressor("cpu", "fp32")
    picture = photograph()
    tuned = compressor.compress(picture, Target(quality=20), tune="ms-ssim")
    other = compressor.compress(picture, Target(max_bytes=round(1.05 * len(tuned.data))))
    x, *results = (
        torch.from_numpy(each.samples.transpose(2, 0, 1).copy())[None].float() / 255
        for each in (picture, reader.decompress(tuned.data), reader.decompress(other.data))
    )
    assert ms_ssim_decibels(results[0], x) > ms_ssim_decibels(results[1], x)


def test_tiles_are_tuned_as_if_there_were_none(tmp_path: Path) -> None:
    codec = write_codec(tmp_path)
    tuning = write_tuning(tmp_path, codec)
    model = Compressor.from_pretrained(codec, "cpu", "fp32", tunings=[tuning]).model
    reader = Decompressor("cpu", "fp32", models=[codec])
    whole, tiled, plain = (
        reader.decompress(Compressor(model, tile).compress(photograph(), Target(quality=60), 0, tune).data).samples
        for tile, tune in ((512, "ms-ssim"), (128, "ms-ssim"), (512, "psnr"))
    )
    assert np.array_equal(whole, tiled)
    assert not np.array_equal(whole, plain)


def test_what_was_decoded_is_not_tuned_again() -> None:
    compressor, reader = Compressor.from_pretrained("codec-fast", "cpu", "fp32"), Decompressor("cpu", "fp32")
    first = again = reader.decompress(compressor.compress(photograph(), Target(quality=50), tune="ms-ssim").data)
    for _ in range(3):
        again = reader.decompress(compressor.compress(again, Target(quality=50), tune="ms-ssim").data)
    off = first.samples.astype(float) - again.samples
    assert np.square(off).mean() < 2


def test_a_codec_that_nobody_tuned_is_said(tmp_path: Path) -> None:
    codec = write_codec(tmp_path)
    with pytest.raises(WeightsError, match="tune the codec 'untrained'"):
        Compressor.from_pretrained(codec, "cpu").compress(photograph(64, 64), tune="ms-ssim")
    Image.fromarray(photograph(64, 64).samples).save(tmp_path / "a.png")
    result = run("compress", str(tmp_path / "a.png"), "--tune", "ms-ssim", "--model", str(codec))
    assert result.exit_code != 0
    assert "no weights are here that tune the codec 'untrained'" in result.stderr
    with pytest.raises(Img2ImgError, match="tune is psnr or ms-ssim, not 'eyes'"):
        img2img.compress(str(tmp_path / "a.png"), tune="eyes")
