"""Colours as classes: which there are, how they are learnt, what picture they give, by both engines."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from img2img.checkpoints import load_checkpoint, read_header
from img2img.engines.graphs import make_graphs
from img2img.errors import TrainingError
from img2img.register import networks_of, train
from img2img.tasks.translate import Translator
from img2img.tasks.translate.classifier import ColourClassifier, colour_classes
from img2img.tasks.translate.coding import AB, ab_of, lightness_of
from img2img.tasks.translate.loss import ColourObjective, belonging, shares_of

RECIPE = """
name = "tiny"
task = "translate"
steps = 60
lr = 1e-2
warmup = 0
ema = 0.0
every = 30
keep = "last"
precision = "fp32"
loss = "classes"
phases = [{ until = 1.0, patch = 32, batch = 4 }]
[model]
widths = [8, 16]
blocks = [1, 1]
[data]
make = "gray"
space = "lab"
load = 48
zoom = 1.5
"""


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.toml").write_text(RECIPE)
    return train("translate", photos, folder / "tiny.toml", folder / "run", device="cpu")


def test_every_colour_of_srgb_is_in_a_class() -> None:
    colours = np.random.default_rng(0).random((1, 3, 100, 100), np.float32)
    ab = ab_of(colours)[0].reshape(2, -1).T
    classes = colour_classes(12)
    apart = np.abs(ab[:, None] - classes).max(2).min(1)
    assert apart.max() <= 6 + 1  # half a step; the cube's steps let a corner of a cell go
    assert [0, 0] in classes.tolist()
    assert len(np.unique(classes, axis=0)) == len(classes)


def test_a_colour_belongs_most_to_the_class_around_it() -> None:
    net = ColourClassifier((8,), (1,))
    ab = net.classes.T[None, :, :, None] / AB
    shares = belonging(net, ab + 2 / AB)
    assert torch.equal(shares[0, :, :, 0].argmax(0), torch.arange(len(net.classes)))
    torch.testing.assert_close(shares.sum(1), torch.ones_like(shares[:, 0]))


def test_rare_colours_count_more_and_all_together_as_before() -> None:
    net = ColourClassifier((8,), (1,))
    shares = shares_of(net, [torch.full((1, 2, 4, 4), 0.3), torch.zeros(3, 2, 4, 4)])
    weights = ColourObjective(net, shares).weights
    assert float((shares * weights).sum()) == pytest.approx(1)
    assert weights[shares.argmax()] == weights.min()


def test_the_loss_is_least_where_the_likely_classes_are_the_true_ones() -> None:
    net = ColourClassifier((8,), (1,))
    objective = ColourObjective(net, torch.full((len(net.classes),), 1 / len(net.classes)))
    x, y = torch.zeros(1, 1, 8, 8), torch.rand(1, 2, 4, 4).repeat_interleave(2, 2).repeat_interleave(2, 3) * 0.4
    true = belonging(net, y[:, :, ::2, ::2]).clamp_min(1e-30)
    losses = []
    for logits in (true.log(), true.log() + 0.3 * torch.randn_like(true), torch.zeros_like(true)):
        net.logits = lambda x, logits=logits: logits  # type: ignore[method-assign,misc]
        losses.append(float(objective((x, y))["loss"]))
    assert losses == sorted(losses)
    assert losses[0] == pytest.approx(float(-(true * true.log()).sum(1).mean()), abs=1e-4)


def test_the_annealed_mean_is_nearer_to_the_likelier_colour() -> None:
    net = ColourClassifier((8,), (1,))
    logits = torch.full((1, len(net.classes), 2, 2), -100.0)
    logits[:, 3], logits[:, 60] = np.log(0.7), np.log(0.3)
    net.logits = lambda x: logits  # type: ignore[method-assign]
    share = 1 / (1 + (0.3 / 0.7) ** (1 / 0.38))
    wanted = (share * net.classes[3] + (1 - share) * net.classes[60]) / AB
    torch.testing.assert_close(net(torch.zeros(1, 1, 3, 4))[0, :, 1, 1], wanted)


def test_it_learns_and_says_how_far(trained: Path) -> None:
    rows = list(csv.DictReader((trained.parent / "log.csv").open()))
    assert {"classifier/loss", "classifier/entropy"} <= rows[0].keys()
    assert 1 >= float(rows[-1]["val/histogram"]) > float(rows[0]["val/histogram"]) > 0
    assert float(rows[-1]["val/psnr"]) > float(rows[0]["val/psnr"])
    header = read_header(trained)
    assert (header["network"], header["space"], header["pairs"]) == ("classifier", "lab", "gray")
    assert header["config"] == {"widths": [8, 16], "blocks": [1, 1], "step": 12, "temperature": 0.38}


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (33, 70), (64, 96)])
def test_both_engines_give_the_same_colours_and_keep_the_lightness(trained: Path, size: tuple[int, int]) -> None:
    make_graphs(trained, networks_of(load_checkpoint(trained)))
    picture = np.random.default_rng(0).random((1, *size), np.float32)
    results = [Translator.from_pretrained(trained, "cpu", "fp32", engine=name)(picture) for name in ("torch", "onnx")]
    assert results[0].shape == (3, *size)
    assert np.abs(results[0] - results[1]).max() < 0.05 / 255 * 2
    np.testing.assert_allclose(lightness_of(results[0][None]), lightness_of(picture[None]), atol=0.05)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('space = "lab"', 'space = "rgb"', "channels"),
        ("zoom = 1.5", "zoom = 0.5", "zoom must be at least 1"),
        ("zoom = 1.5", "zoom = 3", "no photographs to train on"),
        ("[data]", "[objective]\nl1 = 1.0\n[data]", r"no \[objective\]"),
        ("patch = 32", "patch = 34", "multiples of 4"),
    ],
)
def test_recipes_that_do_not_fit_are_said(photos: Path, tmp_path: Path, before: str, after: str, said: str) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE.replace(before, after))
    with pytest.raises(TrainingError, match=said):
        train("translate", photos, tmp_path / "tiny.toml", tmp_path / "run", device="cpu")
