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
from img2img.processing import Unit
from img2img.register import networks_of, train
from img2img.tasks.compress import Compressor, Decompressor, Target
from img2img.tasks.compress.annealing import annealed
from img2img.tasks.compress.loss import Seen, similarity_of
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
every = 20
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

RESTORATION = """
name = "tiny"
task = "restoration"
steps = 2
optimizer = "muon"
lr = 1e-3
warmup = 0
ema = 0.5
every = 2
precision = "fp32"
phases = [{ until = 1.0, patch = 64, batch = 2 }]
[model]
widths = [8, 8]
[data]
codecs = ["CODEC"]
tuned = 1.0
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
    curve = header["training"]["curve"]
    assert curve["40"] > curve["20"]
    resumed = RECIPE.replace("steps = 40", f"steps = 2\ninit = '{best.as_posix()}'")
    recipe.write_text(resumed)
    train("tuning", photos, recipe, out=tmp_path / "more", device="cpu")
    picture = Image.fromarray(photograph(64, 64).samples)
    tuned = img2img.compress(picture, tune=str(best), device="cpu")
    assert tuned != img2img.compress(picture, device="cpu")
    assert img2img.decompress(tuned, kind="numpy", device="cpu").shape == (64, 64, 3)


def test_what_does_not_fit_is_said(tmp_path: Path, photos: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    for line, instead, message in (
        ("patch = 64", "patch = 48", "multiples of 32"),
        ("width = 8", "depth = 8", "depth"),
        ("similarity = 1300.0", "beauty = 1.0", "beauty"),
        ("steps = 40", 'steps = 40\nteacher = "vgg"', "has no use for teacher"),
        (
            'codec = "codec-fast"\nrestoration = ""',
            f'codec = "{write_codec(tmp_path).as_posix()}"',
            "was not trained on",
        ),
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
    assert similarity_of(results[0], x) > similarity_of(results[1], x)  # type: ignore[operator]


def test_tiles_are_tuned_as_if_there_were_none(tmp_path: Path) -> None:
    codec = write_codec(tmp_path)
    tuning = str(write_tuning(tmp_path, codec))
    model = Compressor.from_pretrained(codec, "cpu", "fp32").model
    reader = Decompressor("cpu", "fp32", models=[codec])
    whole, tiled, plain = (
        reader.decompress(Compressor(model, tile).compress(photograph(), Target(quality=60), 0, tune).data).samples
        for tile, tune in ((512, tuning), (128, tuning), (512, "psnr"))
    )
    # A latent in a million lies so near to the middle between two numbers that it is rounded otherwise.
    assert np.mean(np.abs(whole.astype(int) - tiled) > 1) < 1e-3
    assert np.mean(np.abs(whole.astype(int) - plain) > 1) > 0.1


@pytest.mark.parametrize("network", ["factorized", "chequerboard"])
@pytest.mark.parametrize("size", [(1, 1), (8, 300), (17, 40), (70, 64)])
def test_pictures_of_any_size_and_kind_are_tuned(tmp_path: Path, network: str, size: tuple[int, int]) -> None:
    codec = write_codec(tmp_path, network=network)
    compressor = Compressor.from_pretrained(codec, "cpu", "fp32")
    reader = Decompressor("cpu", "fp32", models=[codec])
    tuning = str(write_tuning(tmp_path, codec))
    for samples in (
        photograph(*size).samples,
        photograph(*size).samples[..., :1].copy(),
        photograph(*size).samples.astype(np.uint16) * 257,
    ):
        for effort in (0, 1):
            data = compressor.compress(Picture(samples), Target(quality=50), effort, tuning).data
            decoded = reader.decompress(data).samples
            assert (decoded.shape, decoded.dtype) == (samples.shape, samples.dtype)


def test_targets_are_kept_by_what_is_tuned() -> None:
    compressor, tuning = Compressor.from_pretrained("codec-fast", "cpu", "fp32"), "ms-ssim"
    picture = photograph()
    limit = len(compressor.compress(picture, Target(quality=50), tune=tuning).data)
    for target in (Target(max_bytes=limit), Target(bpp=limit * 8 / 256**2)):
        assert 0.97 * limit < len(compressor.compress(picture, target, tune=tuning).data) <= limit
    coded = compressor.compress(picture, Target(psnr=30), tune=tuning)
    reached = 10 * np.log10(
        255**2
        / np.square(Decompressor("cpu", "fp32").decompress(coded.data).samples.astype(float) - picture.samples).mean()
    )
    assert 30 <= reached == pytest.approx(coded.facts["psnr"], abs=0.01)


def test_a_search_begins_with_what_was_tuned(tmp_path: Path) -> None:
    codec = write_codec(tmp_path)
    tuning = load_checkpoint(write_tuning(tmp_path, codec))
    x = np.ascontiguousarray(photograph(64, 64).samples.transpose(2, 0, 1)).astype(np.float32) / 255
    plain, tuned = (annealed(load_checkpoint(codec), x, (64, 64), 0.5, 0, tuning=each)[0] for each in (None, tuning))
    assert np.abs(plain - tuned).max() > 0.1 * np.abs(plain).max()


def test_networks_behind_a_codec_learn_from_tuned_latents_if_there_are_any(tmp_path: Path, photos: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    text = RESTORATION.replace("CODEC", "codec-fast")
    recipe.write_text(text)
    train("restoration", photos, recipe, out=tmp_path / "run", device="cpu")
    assert read_header(tmp_path / "run" / "best.safetensors")["training"]["validation"]["score"] > -1
    recipe.write_text(RESTORATION.replace("CODEC", write_codec(tmp_path).as_posix()))
    with pytest.raises(TrainingError, match="no weights are here that tune"):
        train("restoration", photos, recipe, out=tmp_path / "other", device="cpu")


def test_results_are_of_the_weights_that_tuned_them(tmp_path: Path) -> None:
    codec = write_codec(tmp_path)
    tuning = write_tuning(tmp_path, codec)
    assert Unit.of("compress", "codec-fast", {}).weights().split(":")[0] == "codec-fast"
    tuned = Unit.of("compress", "codec-fast", {}, tune="ms-ssim").weights()
    assert [each.split(":")[0] for each in tuned.split()] == ["codec-fast", "codec-fast-tuning"]
    assert str(tuning) in Unit.of("compress", str(codec), {}, tune=str(tuning)).weights()


@pytest.mark.parametrize("effort", [0, 1])
def test_what_was_decoded_is_not_tuned_again(effort: int) -> None:
    compressor, reader = Compressor.from_pretrained("codec-fast", "cpu", "fp32"), Decompressor("cpu", "fp32")
    data = compressor.compress(photograph(), Target(quality=50), effort, "ms-ssim").data
    first = again = reader.decompress(data)
    for _ in range(3):
        again = reader.decompress(compressor.compress(again, Target(quality=50), effort, "ms-ssim").data)
    assert np.square(first.samples.astype(float) - again.samples).mean() < 2


def test_of_a_tuned_photograph_each_quality_takes_more_bytes() -> None:
    compressor = Compressor.from_pretrained("codec-fast", "cpu", "fp32")
    sizes = [len(compressor.compress(photograph(), Target(quality=q), tune="ms-ssim").data) for q in range(1, 101, 9)]
    assert sizes == sorted(sizes)


def test_a_codec_that_nobody_tuned_is_said(tmp_path: Path) -> None:
    codec = write_codec(tmp_path)
    other = write_tuning(tmp_path, codec)
    with pytest.raises(WeightsError, match="nothing is here that tunes the codec 'untrained' by ms-ssim"):
        Compressor.from_pretrained(codec, "cpu").compress(photograph(64, 64), tune="ms-ssim")
    with pytest.raises(WeightsError, match="tune another codec than"):
        img2img.compress(photograph(64, 64), tune=str(other))
    Image.fromarray(photograph(64, 64).samples).save(tmp_path / "a.png")
    for tune, code, said in (
        (("ms-ssim", "--model", str(codec)), 1, "nothing is here that tunes the codec 'untrained'"),
        ((str(codec),), 1, "hold a 'factorized' network"),
        (("eyes",), 2, "'eyes' is neither psnr nor ms-ssim nor a file"),
    ):
        result = run("compress", str(tmp_path / "a.png"), "--tune", *tune)
        assert said in result.stderr
        assert result.exit_code == code
        assert len(result.stderr.splitlines()) == 1 or code == 2
    with pytest.raises(Img2ImgError, match="tune is psnr, ms-ssim or a file of weights, not 'eyes'"):
        img2img.compress(str(tmp_path / "a.png"), tune="eyes")
