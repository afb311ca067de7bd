"""What a codec lost, brought back by squared error: its network, its training, its graph, its latents."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data as photographs
from untrained_codec import write_codec, write_restoration

from img2img.checkpoints import load_checkpoint, read_header
from img2img.engines.graphs import TOLERANCE, make_graphs
from img2img.errors import TrainingError
from img2img.images import Picture
from img2img.register import networks_of, train
from img2img.tasks.compress import Compressor, Decompressor, Target, View
from img2img.tasks.compress.annealing import annealed
from img2img.tasks.compress.decoded_crops import frozen_codec
from img2img.tasks.compress.detail import RestorationNetwork

RECIPE = """
name = "tiny"
task = "restoration"
steps = 100
optimizer = "muon"
lr = 2e-3
warmup = 0
ema = 0.5
every = 100
precision = "fp32"
phases = [{ until = 1.0, patch = 64, batch = 4 }]
[model]
widths = [8, 8]
[data]
codecs = ["codec-fast"]
power = 1.0
weighed = 0.9
smaller = 1.05
"""


def test_it_begins_as_nothing_and_helps_at_every_rate() -> None:
    network = RestorationNetwork((8, 12))
    x_hat, rates = torch.rand(3, 3, 32, 40), torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1)
    assert not network(x_hat, rates).any()
    for parameter in network.net.decoder.up[-1].parameters():
        torch.nn.init.normal_(parameter)
    added = network(x_hat, rates)
    assert added.shape == x_hat.shape
    assert bool(added.flatten(1).any(1).all())


def test_onnxruntime_restores_the_same(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = write_restoration(tmp_path, write_codec(tmp_path))
    (agreement,) = make_graphs(path, networks_of(load_checkpoint(path))).values()
    assert agreement.difference <= TOLERANCE


def test_it_learns_and_names_the_files_of_the_codecs_that_it_knows(tmp_path: Path, photos: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE)
    train("restoration", photos, recipe, out=tmp_path / "run", device="cpu")
    header = read_header(tmp_path / "run" / "best.safetensors")
    assert (header["task"], header["network"]) == ("restoration", "restoration")
    assert header["codecs"] == {"codec-fast": load_checkpoint("codec-fast").sha256}
    assert header["training"]["validation"]["score"] > 0  # decibels: even after so few steps


def test_training_sees_what_files_of_the_encoder_decode_to() -> None:
    photo = np.ascontiguousarray(photographs.astronaut()[:128, 160:288])
    data = Compressor.from_pretrained("codec-fast", "cpu", "fp32").compress(Picture(photo), Target(quality=34)).data
    decoded = Decompressor("cpu", "fp32").decompress(data, view=View(look=None)).samples
    codec = frozen_codec("codec-fast", 0.0, torch.device("cpu"))
    x = torch.from_numpy(photo.transpose(2, 0, 1).astype(np.float32) / 255)[None]

    def off(weighs: bool) -> float:
        codec.weighs = weighs
        with torch.no_grad():
            x_hat = codec(x, torch.tensor([33 / 99]))[0][0].clamp(0, 1).numpy().transpose(1, 2, 0) * 255
        return float(np.square(x_hat - decoded).mean())

    assert off(True) < 0.2 * off(False)  # a few symbols in a thousand are chosen otherwise


def test_what_does_not_fit_is_said(tmp_path: Path, photos: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    for line, instead, message in (
        ("patch = 64", "patch = 48", "multiples of 32"),
        ("widths = [8, 8]", "depths = [8, 8]", "depths"),
        ("power = 1.0", "power = 1.0\n[objective]\ngan = 1", "has no use for objective"),
    ):
        recipe.write_text(RECIPE.replace(line, instead))
        with pytest.raises(TrainingError, match=message):
            train("restoration", photos, recipe, out=tmp_path / "run", device="cpu")


def test_latents_are_sought_for_what_readers_see(tmp_path: Path) -> None:
    codec = load_checkpoint(write_codec(tmp_path))
    restoration = load_checkpoint(write_restoration(tmp_path, tmp_path / "untrained.safetensors"))
    x = np.ascontiguousarray(photographs.astronaut()[:64, :64].transpose(2, 0, 1)).astype(np.float32) / 255
    plain, restored = (annealed(codec, x, (64, 64), 0.5, 12, restoration=weights)[0] for weights in (None, restoration))
    assert not np.array_equal(plain, restored)
