"""Generator, discriminator, losses: shapes, gradients, receptive fields, closed forms."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia.color import rgb_to_lab
from torch import Generator, Tensor, nn

from img2img.checkpoints import load_checkpoint, save_checkpoint
from img2img.core.blocks import Dropout, InstanceNorm
from img2img.core.encoder_decoder import Layout
from img2img.core.patch_gan import LAYERS, generator_gan_loss, hinge, lsgan, receptive_field, vanilla
from img2img.errors import ImageError
from img2img.register import find_recipe
from img2img.tasks.translate import PatchDiscriminator, UNetGenerator
from img2img.tasks.translate.classifier import ColourClassifier
from img2img.tasks.translate.coding import Lab, Rgb, into_gamut, lightness_of
from img2img.tasks.translate.generator import start_small
from img2img.tasks.translate.loss import (
    DiscriminatorObjective,
    GeneratorObjective,
)
from img2img.tasks.translate.shape import Shape

RECIPES = ("colorize", "edges", "facades", "pairs")


TINY: dict[str, Any] = {"width": 4, "depth": 4}


def tiny(**arguments: Any) -> UNetGenerator:
    torch.manual_seed(0)
    return UNetGenerator(**(TINY | arguments))


def test_the_default_generator_is_the_papers() -> None:
    """Isola 2017, appendix: the layers and their order, and the 54.4 M parameters of its U-Net 256."""
    net = UNetGenerator()
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(54.41e6, rel=1e-3)
    down = [[type(m) for m in stage] for stage in net.net.encoder.stages]  # type: ignore[attr-defined]
    assert down == [[nn.LeakyReLU], *[[InstanceNorm, nn.LeakyReLU]] * 6, [nn.LeakyReLU]]
    up = [[type(m) for m in after] for after in net.net.decoder.after]  # type: ignore[attr-defined]
    assert up == [*[[InstanceNorm, Dropout, nn.ReLU]] * 3, *[[InstanceNorm, nn.ReLU]] * 4]
    assert {m.rate for m in net.modules() if isinstance(m, Dropout)} == {0.5}
    assert {m.negative_slope for m in net.modules() if isinstance(m, nn.LeakyReLU)} == {0.2}


@settings(max_examples=20, deadline=None)
@given(h=st.integers(1, 40), w=st.integers(1, 40), c=st.integers(1, 8), d=st.integers(1, 8), depth=st.integers(2, 5))
def test_any_size_and_1_to_8_channels(h: int, w: int, c: int, d: int, depth: int) -> None:
    result = UNetGenerator(c, d, width=2, depth=depth).eval()(torch.rand(1, c, h, w))
    assert result.shape == (1, d, h, w)
    assert result.abs().max() <= 1


@pytest.mark.parametrize("up", ["transposed", "resize", "shuffle"])
@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("skip", ["concat", "none"])
def test_every_weight_learns(up: str, norm: str, skip: str) -> None:
    net = tiny(up=up, norm=norm, skip=skip, width=6, dropout=0.0)
    result = net(torch.rand(2, 3, 32, 32))
    (result * torch.rand_like(result)).mean().backward()
    # A bias in front of a norm cannot matter; every weight must.
    weights = {name: p.grad for name, p in net.named_parameters() if not name.endswith("bias")}
    assert [name for name, grad in weights.items() if grad is None or not grad.any()] == []


def test_images_in_a_batch_do_not_touch_each_other() -> None:
    net, x = tiny().eval(), torch.rand(2, 3, 17, 23)
    torch.testing.assert_close(net(x), torch.cat([net(x[:1]), net(x[1:])]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 9}, "in_channels must be 1 to 8, not 9"),
        ({"out_channels": 0}, "out_channels must be 1 to 8, not 0"),
        ({"up": "unpool"}, "up must be one of transposed, resize, shuffle"),
        ({"norm": "gdn"}, "norm must be one of instance, batch"),
        ({"depth": 1}, "depth"),
        ({"dropout": 1.0}, "less than 1"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**arguments)


def test_layouts_that_contradict_themselves_are_refused() -> None:
    for arguments in ({"bare_ends": True}, {"dropout": (0.5, 0.0)}):
        with pytest.raises(ValueError, match="without blocks"):
            Layout((4, 8), blocks=1, **arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dropout has 1 entries for 2 widths"):
        Layout((4, 8), blocks=0, dropout=(0.5,))


@pytest.mark.parametrize("up", ["transposed", "shuffle"])
def test_the_start_is_the_papers(up: str) -> None:
    net = UNetGenerator(width=32, depth=5, up=up)  # type: ignore[arg-type]
    start_small(net)
    for name, p in net.named_parameters():
        if name.endswith("bias"):
            assert not p.any()
        elif p.ndim == 4:
            assert p.std().item() == pytest.approx(0.02, rel=0.1), name
        else:
            assert p.mean().item() == pytest.approx(1, abs=0.02), name
    if up == "shuffle":
        weight = net.net.decoder.up[0].conv.weight  # type: ignore[union-attr]
        assert torch.equal(weight[::4], weight[1::4])


# --- The noise ---


def test_noise_is_there_in_use_repeats_with_its_seed_and_leaves_the_mean() -> None:
    layer = Dropout(0.5).eval()
    ones = torch.ones(1, 64, 64, 64)
    assert torch.equal(layer(ones), ones)
    shape = Shape(width=64, widest=1, depth=4)
    first, again, other = (shape.masks(500, 500, np.random.default_rng(seed))[-1] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    layer.mask = torch.from_numpy(first[..., :64, :64])
    assert set(layer(ones).unique().tolist()) == {0.0, 2.0}
    assert layer(ones).mean().item() == pytest.approx(1, abs=0.02)
    layer.mask = torch.from_numpy(shape.masks(500, 500, None)[-1])
    assert torch.equal(layer(ones), ones)
    layer.mask = None
    assert set(layer.train()(ones).unique().tolist()) == {0.0, 2.0}


# --- Discriminator ---


@pytest.mark.parametrize("patch", LAYERS)
def test_receptive_field_by_formula_and_by_gradient(patch: int) -> None:
    assert receptive_field(LAYERS[patch]) == patch
    torch.manual_seed(0)
    net = PatchDiscriminator(2, patch, width=2, norm="batch").eval().double()  # an instance norm sees everything
    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.constant_(m.weight, 0.1)  # so that no gradient cancels or underflows
    side = 2 * patch + 64
    x = torch.rand(1, 1, side, side).double().requires_grad_()
    score = net(x, torch.rand_like(x))
    middle = score.shape[-1] // 2
    (gradient,) = torch.autograd.grad(score[0, 0, middle, middle], x)
    rows, columns = gradient[0, 0].nonzero().T
    assert rows.max() - rows.min() + 1 == columns.max() - columns.min() + 1 == patch


@pytest.mark.parametrize(("patch", "side", "scores"), [(1, 256, 256), (16, 256, 126), (70, 256, 30), (286, 256, 6)])
def test_scores_of_patches(patch: int, side: int, scores: int) -> None:
    x = torch.rand(1, 3, side, side)
    assert PatchDiscriminator(6, patch, width=2)(x, x).shape == (1, 1, scores, scores)


def test_the_discriminator_of_70_pixels_is_the_papers() -> None:
    convs = [m for m in PatchDiscriminator(6).modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convs] == [64, 128, 256, 512, 1]
    # 2.77 M as in the authors' code, where the convolutions in front of a norm have a bias as well.
    assert sum(m.weight.numel() for m in convs) == 16 * (6 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512)


def test_the_discriminator_sees_the_input_too() -> None:
    net, y = PatchDiscriminator(4, 16, width=4), torch.rand(1, 3, 32, 32)
    assert not torch.equal(net(torch.zeros(1, 1, 32, 32), y), net(torch.ones(1, 1, 32, 32), y))
    with pytest.raises(ValueError, match="patch must be one of 1, 16, 70, 286"):
        PatchDiscriminator(4, 17)


# --- Losses ---


def test_gans_in_closed_form() -> None:
    score = torch.tensor([-2.0, 0.0, 3.0])
    sigmoid = [1 / (1 + math.exp(-s)) for s in score.tolist()]
    assert vanilla(score, True).item() == pytest.approx(-sum(math.log(p) for p in sigmoid) / 3, rel=1e-5)
    assert vanilla(score, False).item() == pytest.approx(-sum(math.log(1 - p) for p in sigmoid) / 3, rel=1e-5)
    assert lsgan(score, True).item() == pytest.approx((9 + 1 + 4) / 3)
    assert lsgan(score, False).item() == pytest.approx((4 + 0 + 9) / 3)
    assert hinge(score, True).item() == pytest.approx((3 + 1 + 0) / 3)
    assert hinge(score, False).item() == pytest.approx((0 + 1 + 4) / 3)
    assert generator_gan_loss(score, "hinge").item() == pytest.approx(-1 / 3)
    assert generator_gan_loss(score, "vanilla") == vanilla(score, True)


def objectives(gan: str = "vanilla") -> tuple[GeneratorObjective, DiscriminatorObjective, tuple[Tensor, Tensor]]:
    generator, discriminator = tiny(dropout=0.0), PatchDiscriminator(6, 16, width=4)
    first = GeneratorObjective(generator, discriminator, gan)
    batch = (torch.rand(2, 3, 32, 32) * 2 - 1, torch.rand(2, 3, 32, 32) * 2 - 1)
    return first, DiscriminatorObjective(discriminator, first, gan), batch


@pytest.mark.parametrize("gan", ["vanilla", "lsgan", "hinge"])
def test_objectives_are_what_the_paper_says(gan: str) -> None:
    first, second, (x, y) = objectives(gan)
    made, judged = first((x, y)), second((x, y))
    fake = first.generator(x)
    loss = {"vanilla": vanilla, "lsgan": lsgan, "hinge": hinge}[gan]
    real_score, fake_score = second.discriminator(x, y), second.discriminator(x, fake)
    torch.testing.assert_close(made["loss"], generator_gan_loss(fake_score, gan) + 100 * (fake - y).abs().mean())
    torch.testing.assert_close(judged["loss"], (loss(real_score, True) + loss(fake_score, False)) / 2)


def test_each_objective_teaches_its_own_network_only() -> None:
    first, second, batch = objectives()
    parameters = {"generator": [*first.parameters()], "discriminator": [*second.parameters()]}
    assert not {id(p) for p in parameters["generator"]} & {id(p) for p in parameters["discriminator"]}
    first(batch)["loss"].backward()
    assert all(p.grad is None and p.requires_grad for p in second.parameters())
    assert any(p.grad is not None and p.grad.any() for p in first.parameters())
    before = [p.grad.clone() if p.grad is not None else None for p in first.parameters()]
    second(batch)["loss"].backward()
    assert all(p.grad is not None for p in second.parameters())
    for p, grad in zip(first.parameters(), before, strict=True):
        assert p.grad is grad or torch.equal(p.grad, grad)  # type: ignore[arg-type]


def test_the_generator_runs_once_a_step() -> None:
    first, second, batch = objectives()
    calls: list[int] = []
    first.generator.register_forward_hook(lambda *_: calls.append(1))
    first(batch)
    second(batch)
    assert len(calls) == 1
    with pytest.raises(RuntimeError, match="run that first"):
        second(batch)
    with pytest.raises(ValueError, match="vanilla, lsgan, hinge"):
        GeneratorObjective(first.generator, None, "wgan")


def test_one_batch_can_be_learnt_by_heart() -> None:
    first, second, (x, _) = objectives()
    batch = (x, torch.rand(2, 3, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3) * 2 - 1)
    steps = [(o, torch.optim.Adam(o.parameters(), 5e-3, (0.5, 0.999))) for o in (first, second)]
    begun = first(batch)["l1"].item()
    for _ in range(80):
        for objective, optimizer in steps:
            losses = objective(batch)
            optimizer.zero_grad()
            losses["loss"].backward()
            optimizer.step()
            if objective is first:
                ended = losses["l1"].item()
    assert ended < begun / 3


# --- Coding ---


@pytest.mark.parametrize("channels", [1, 3])
def test_lightness_is_that_of_kornia(channels: int) -> None:
    image = torch.rand(2, channels, 9, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    image[..., 0] *= 0.01  # where both curves are straight lines
    expected = rgb_to_lab(image.expand(-1, 3, -1, -1))[:, :1]
    torch.testing.assert_close(lightness_of(image), expected, atol=1e-3, rtol=0)


def test_lab_keeps_the_lightness_whatever_the_colours() -> None:
    coding = Lab(1, 2)
    image = torch.rand(2, 3, 20, 31, generator=Generator().manual_seed(0))
    wild = torch.rand(2, 2, 20, 31, generator=Generator().manual_seed(1)) * 2 - 1
    result = coding.image(wild, coding.source(image))
    assert 0 <= result.min() <= result.max() <= 1
    torch.testing.assert_close(rgb_to_lab(result)[:, 0], rgb_to_lab(image)[:, 0], atol=1e-3, rtol=0)  # of 100
    assert rgb_to_lab(result)[:, 1:].abs().mean() > 10
    torch.testing.assert_close(coding.image(coding.target(image), coding.source(image)), image, atol=1e-4, rtol=0)


def test_only_colours_outside_srgb_are_changed_and_keep_their_hue() -> None:
    lab = torch.tensor([[50.0, 20.0, 10.0], [50.0, 100.0, 50.0]]).T[None, :, None]
    result = rgb_to_lab(into_gamut(lab))[0, :, 0].T
    torch.testing.assert_close(result[0], lab[0, :, 0, 0], atol=1e-2, rtol=0)
    assert result[1, 1] < 99
    assert (result[1, 2] / result[1, 1]).item() == pytest.approx(0.5, abs=1e-2)


def test_rgb_stretches_and_says_what_does_not_fit() -> None:
    coding, image = Rgb(3, 3), torch.rand(1, 3, 5, 6)
    torch.testing.assert_close(coding.image(coding.target(image), coding.source(image)), image)
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    assert Rgb(1, 3).source(red).item() == pytest.approx(2 * 0.299 - 1)
    assert torch.equal(coding.source(image[:, :1]), coding.source(image[:, :1].expand(-1, 3, -1, -1)))
    with pytest.raises(ImageError, match=r"has 2 channels, the model takes 3 channels \(RGB\)"):
        coding.source(image[:, :2])
    with pytest.raises(ImageError, match="has 5 channels, the model takes grey or RGB"):
        Lab(1, 2).source(torch.rand(1, 5, 4, 4))
    with pytest.raises(ValueError, match="1 channel in and 2 out"):
        Lab(3, 3)


# --- Files ---


def test_statistics_of_batch_norms_survive_in_a_file(tmp_path: Path) -> None:
    net = tiny(norm="batch")
    net(torch.rand(2, 3, 32, 32))
    norm = next(m for m in net.modules() if isinstance(m, nn.BatchNorm2d))
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    norm.running_var.fill_(1e6)  # beyond fp16
    norm.running_mean.fill_(1 / 3)
    norm.num_batches_tracked.fill_(100_001)
    save_checkpoint(tmp_path / "x", {f"generator.{k}": v for k, v in net.state_dict().items()}, {})
    again = tiny(norm="batch")
    again.load_state_dict(load_checkpoint(tmp_path / "x").part("generator"))
    for name, buffer in net.named_buffers():
        assert torch.equal(again.get_buffer(name), buffer), name


def test_the_shipped_recipes_fit_into_17_mib() -> None:
    sizes = {}
    for name in RECIPES:
        recipe = find_recipe("translate", Path(name))
        net = ColourClassifier(**recipe.model) if recipe.loss == "classes" else UNetGenerator(**recipe.model)
        assert recipe.name == name
        assert all(phase.patch % net.net.layout.stride == 0 for phase in recipe.phases)
        sizes[name] = 2 * sum(p.numel() for p in net.parameters())
    assert sum(sizes[name] for name in ("colorize", "edges", "facades")) <= 17 * 2**20
