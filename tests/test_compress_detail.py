"""Made-up detail: its network, its noise, what it is worth, its training, its graph."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.fabric import Fabric
from safetensors.torch import load_file, save_file
from untrained_codec import write_detail

from img2img.checkpoints import build as build_checked
from img2img.checkpoints import load_checkpoint, read_header
from img2img.core.descriptor import VGG
from img2img.core.patch_gan import PatchDiscriminator
from img2img.engines.graphs import TOLERANCE, make_graphs
from img2img.errors import TrainingError
from img2img.register import networks_of, train
from img2img.tasks.compress.detail import DetailNetwork
from img2img.tasks.compress.detail_loss import (
    DetailBatch,
    DetailDiscriminatorObjective,
    DetailObjective,
    Worth,
    band_error,
    error_ratio,
    feature_errors,
    lattice,
    texture_errors,
    tint,
)
from img2img.tasks.compress.grain import grain
from img2img.tasks.compress.loss import round_with_dead_zone
from img2img.tasks.compress.train_detail import build
from img2img.training.loop import Training
from img2img.training.recipe import read_recipe


@pytest.fixture
def detail() -> DetailNetwork:
    torch.manual_seed(0)
    net = DetailNetwork(widths=(8, 12))
    for parameter in net.net.decoder.up[-1].parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return net.eval()


def inputs(batch: int = 2, height: int = 32, width: int = 48) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x_hat, rates at which detail is added, noise."""
    rates = torch.linspace(0, 0.5, batch).view(-1, 1, 1, 1)
    return torch.rand(batch, 3, height, width), rates, torch.randn(batch, 1, height, width)


# ---- the network


def test_it_begins_as_nothing_and_fades_to_nothing(detail: DetailNetwork) -> None:
    assert not DetailNetwork(widths=(8, 12))(*inputs()).any()
    x_hat, _, noise = inputs(1)
    assert detail(x_hat, torch.full((1, 1, 1, 1), 0.2), noise).any()
    assert not detail(x_hat, torch.full((1, 1, 1, 1), 0.75), noise).any()
    assert detail.strength(torch.tensor([0.0, 0.35, 0.55, 0.75, 1.0])).tolist() == pytest.approx([1, 1, 0.5, 0, 0])


@settings(max_examples=10, deadline=None)
@given(h=st.integers(1, 6), w=st.integers(1, 6))
def test_detail_has_the_size_of_the_picture(h: int, w: int) -> None:
    net = DetailNetwork(widths=(4, 4))
    assert net(*inputs(1, 8 * h, 8 * w)).shape == (1, 3, 8 * h, 8 * w)


def test_every_parameter_learns(detail: DetailNetwork) -> None:
    detail(*inputs()).square().mean().backward()
    assert [name for name, p in detail.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_pictures_in_a_batch_do_not_touch_each_other(detail: DetailNetwork) -> None:
    given = inputs()
    one_by_one = torch.cat([detail(*(x[i : i + 1] for x in given)) for i in range(2)])
    torch.testing.assert_close(detail(*given), one_by_one)


def test_it_looks_no_further_than_the_margin(detail: DetailNetwork) -> None:
    x_hat, rate, noise = inputs(1, 256, 16)
    x_hat.requires_grad_()
    detail(x_hat, rate, noise)[..., 128:, :].sum().backward()
    assert x_hat.grad is not None
    seen = x_hat.grad.abs().sum((0, 1, 3)).nonzero()
    assert 128 - 48 <= int(seen.min()) < 128 - 24  # REACH: 3 latents of 16 pixels


def test_without_noise_a_picture_gets_the_same_detail_everywhere() -> None:
    torch.manual_seed(0)
    quiet, noisy = (DetailNetwork((8, 12), noisy=noisy).eval() for noisy in (False, True))
    for net in (quiet, noisy):
        torch.nn.init.normal_(next(net.net.decoder.up[-1].parameters()), std=0.1)
    x_hat, rate, noise = inputs(1)
    assert torch.equal(quiet(x_hat, rate, noise), quiet(x_hat, rate, -noise))
    assert not torch.equal(noisy(x_hat, rate, noise), noisy(x_hat, rate, -noise))


# ---- noise


def test_noise_is_the_same_in_every_part_and_noise() -> None:
    whole = grain(slice(0, 300), slice(0, 200))
    np.testing.assert_array_equal(whole[37:60, 101:150], grain(slice(37, 60), slice(101, 150)))
    assert abs(whole.mean()) < 0.02
    assert abs(whole.std() - 1) < 0.02
    for down, across in ((1, 0), (0, 1), (1, 1), (16, 0), (0, 16)):  # no neighbours are alike
        assert abs((whole * np.roll(whole, (down, across), (0, 1))).mean()) < 0.02


def test_noise_is_what_it_always_was() -> None:
    expected = [[-0.23791, 0.52147], [-1.51822, -0.88017]]
    np.testing.assert_allclose(grain(slice(5, 7), slice(1000, 1002)), expected, atol=1e-4)


# ---- what it is worth


def test_what_is_no_different_costs_nothing_and_what_was_decoded_costs_one() -> None:
    vgg, x = VGG(((4,), (4,), (4,), (4,), (4,))), torch.rand(2, 3, 64, 64)
    features = vgg(x)
    assert max(feature_errors(features, features)) == 0
    assert max(texture_errors(features, features)) == 0
    x_hat = x + 0.1 * torch.randn_like(x)
    assert error_ratio(x_hat, x_hat, x) == pytest.approx(1, abs=0.01)
    assert error_ratio(x, x_hat, x) == 0


def test_the_same_texture_elsewhere_costs_less_than_none() -> None:
    torch.manual_seed(0)
    vgg = VGG(((8,), (8,), (8,), (8,), (8,)))
    grass, other = 0.5 + 0.2 * torch.randn(2, 1, 3, 128, 128)
    wanted, flat = vgg(grass), vgg(torch.full_like(grass, 0.5))
    texture = [float(sum(texture_errors(found, wanted))) for found in (vgg(other), flat)]
    assert texture[0] < 0.1 * texture[1]
    features = [float(feature_errors(found, wanted)[0]) for found in (vgg(other), flat)]
    assert features[0] > features[1]  # place by place it is the worse of the two


def test_a_lattice_is_seen_in_noise_and_a_tint() -> None:
    torch.manual_seed(0)
    noise = 0.05 * torch.randn(1, 3, 128, 128)
    assert lattice(noise) < 0.5  # of 163 squared levels
    pattern = torch.zeros(1, 3, 128, 128)
    pattern[..., ::4, ::4] = 0.05
    assert lattice(noise + pattern - pattern.mean()) > 9
    assert tint(noise) < 1
    assert tint(noise + 2 / 255) == pytest.approx(4, abs=1)


def test_a_weave_is_seen_whose_threads_are_light_or_dark_at_random() -> None:
    torch.manual_seed(0)
    cells = torch.nn.functional.interpolate(0.02 * torch.randn(2, 3, 32, 32), scale_factor=4)
    assert abs(cells.view(2, 3, 8, 16, 8, 16).mean((2, 4))).max() < 0.01  # no pattern
    assert lattice(cells) > 5
    assert lattice(0.02 * torch.randn(2, 3, 128, 128)) < 0.1


def test_frequencies_are_as_strong_as_they_are_on_average_of_the_place() -> None:
    torch.manual_seed(0)
    x = 0.5 + 0.02 * torch.randn(1, 3, 96, 96)
    assert band_error(x, x) == 0
    other, flat = 0.5 + 0.02 * torch.randn(1, 3, 96, 96), torch.full_like(x, 0.5)
    wave = flat + 0.02 * 2**0.5 * torch.cos(torch.arange(96) * 1.8)  # as strong as the noise, but one frequency
    errors = [float(band_error(picture, x)) for picture in (other, flat, wave)]
    assert errors[0] < 0.4 * min(errors[1:])


def test_a_dead_zone_rounds_towards_zero() -> None:
    x = torch.tensor([-1.7, -1.55, -0.4, 0.55, 0.65, 2.5])
    assert round_with_dead_zone(x, 0.1).tolist() == [-2, -1, 0, 0, 1, 2]


def test_detail_and_discriminator_learn_in_turn(detail: DetailNetwork) -> None:
    discriminator = PatchDiscriminator(6, 16, 4, "spectral")
    first = DetailObjective(detail, VGG(((4,),) * 5), Worth(gan=0.1), discriminator)
    second = DetailDiscriminatorObjective(discriminator, first)
    x_hat, rate, noise = inputs(2, 64, 64)
    batch = DetailBatch(torch.rand_like(x_hat), x_hat, rate, noise)
    first(batch)["loss"].backward()
    assert all(p.grad is not None for p in detail.parameters())
    assert all(p.grad is None for p in discriminator.parameters())
    second(batch)["loss"].backward()
    assert all(p.grad is not None for p in discriminator.parameters())
    with pytest.raises(RuntimeError, match="run that first"):
        second(batch)


@pytest.mark.parametrize("noisy", [True, False])
def test_onnxruntime_makes_the_same_up(tmp_path: Path, noisy: bool) -> None:
    pytest.importorskip("onnxruntime")
    path = write_detail(tmp_path, noisy=noisy)
    (agreement,) = make_graphs(path, networks_of(load_checkpoint(path))).values()
    assert agreement.difference <= TOLERANCE


# ---- training

RECIPE = """
name = "tiny"
task = "detail"
steps = 4
lr = 1e-3
warmup = 0
ema = 0.5
every = 2
keep = "last"
precision = "fp32"
phases = [{ until = 1.0, patch = 64, batch = 2 }]
[model]
widths = [4, 4]
[data]
codecs = ["codec-fast"]
[objective]
gan = 0.1
patch = 16
width = 4
layers = [1, 1, 1, 1, 0.5]
"""


def run(recipe: Path, photos: Path, folder: Path, minutes: float | None = None, resume: bool = False) -> None:
    """A training on the CPU."""
    plan = read_recipe(recipe)
    fabric = Fabric(accelerator="cpu", devices=1)
    torch.manual_seed(plan.seed)
    training = Training(build(plan, photos, torch.device("cpu")), plan, folder, fabric, quiet=True)
    if resume:
        training.resume()
    training.run(minutes)


def test_it_trains_resumes_to_the_bit_and_makes_detail_up(tmp_path: Path, photos: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE)
    run(recipe, photos, tmp_path / "whole")
    run(recipe, photos, tmp_path / "parts", minutes=0)
    run(recipe, photos, tmp_path / "parts", resume=True)
    whole, parts = (load_file(tmp_path / name / "state.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert [name for name in whole if not torch.equal(whole[name], parts[name])] == []
    best = tmp_path / "whole" / "best.safetensors"
    header = read_header(best)
    assert (header["task"], header["network"], header["codecs"]) == ("detail", "detail", ["codec-fast"])
    shipped = build_checked(load_checkpoint(best), "detail", DetailNetwork)
    assert shipped(*inputs(1)).any()


def test_a_teacher_sees_the_pictures_in_the_place_of_vgg_slim(tmp_path: Path, photos: Path) -> None:
    torch.manual_seed(0)
    recipe, teacher = tmp_path / "tiny.toml", tmp_path / "teacher.safetensors"
    recipe.write_text(RECIPE)
    save_file(VGG(((4, 4), (6,), (6,), (8,), (8,))).state_dict(), teacher)
    plan = read_recipe(recipe)
    for wanted, channels in ((None, 384), (str(teacher), 8)):
        task = build(replace(plan, teacher=wanted), photos, torch.device("cpu"))
        assert task.descriptor.channels[-1] == channels


@pytest.mark.parametrize(
    ("line", "instead", "message"),
    [
        ("gan = 0.1", "gun = 0.1", "gun"),
        ("patch = 64", "patch = 48", "multiples of 32"),
        ('"codec-fast"', '"vgg-slim"', "not those of a codec"),
    ],
)
def test_what_does_not_fit_is_said(line: str, instead: str, message: str, tmp_path: Path, photos: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE.replace(line, instead))
    options: dict[str, Any] = {"out": tmp_path / "run", "device": "cpu"}
    with pytest.raises(TrainingError, match=message):
        train("detail", photos, recipe, **options)
