"""Texture Networks: any size, tori, tiles, training, files, and `img2img texture --method network` on real files.

The descriptor is a small untrained VGG; training pictures are small.
"""

import json
import re
from dataclasses import replace
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor
from untrained_texture import CPU, JUDGED, RECIPE, gravel, untrained, write_descriptor, write_recipe

from img2img.checkpoints import load_checkpoint, read_header, save_checkpoint
from img2img.errors import ImageError, TrainingError, WeightsError
from img2img.images import FORMATS, Picture, read_picture, write_picture
from img2img.metrics.texture import seam_scores
from img2img.register import train
from img2img.tasks.texture import Texture, TextureNetwork, train_network
from img2img.tasks.texture.generator import (
    NoiseField,
    TextureGenerator,
    folded,
    grow,
    join,
    measure_statistics,
    random_noises,
)
from img2img.tasks.texture.job import TextureJob
from img2img.tasks.texture.loss import GramLoss, Loss, SlicedWassersteinLoss, gram_matrix
from img2img.tasks.texture.methods.by_torch import TorchEye
from img2img.tasks.texture.methods.optimize import Progress
from img2img.tasks.texture.train_network import NetworkTask, Sample, Sight, Statistics, as_one, diversity, start_network
from img2img.training.loop import Training
from img2img.training.recipe import read_recipe
from img2img.training.run import launched

(command,) = entry_points(group="console_scripts", name="img2img")
RGB = torch.rand(3, 1, 50, generator=Generator().manual_seed(5))


def generator(norm: str = "instance", widths: tuple[int, ...] = (4, 6, 8), **more: object) -> TextureGenerator:
    torch.manual_seed(0)
    return TextureGenerator(widths=widths, excited=3, norm=norm, **more)  # type: ignore[arg-type]


@cache
def trained(channels: int = 3) -> TextureNetwork:
    """As after training: its norms folded with measured statistics."""
    net = generator(channels=channels)
    measure_statistics(net, random_noises(net, 4, (32, 32), Generator().manual_seed(1)))
    return TextureNetwork(folded(net), RGB, CPU, facts={"bits": 8}, icc=b"profile")


def losses(kind: str, features: list[Tensor], redraw: bool) -> Loss:
    if kind == "gram":
        return GramLoss(features, "relative")
    return SlicedWassersteinLoss(features, redraw=redraw)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recipe(tmp_path_factory.mktemp("recipe"))


# The generator


@settings(max_examples=25, deadline=None)
@given(h=st.integers(1, 70), w=st.integers(1, 70), tileable=st.booleans())
def test_any_size(h: int, w: int, tileable: bool) -> None:
    texture = trained()((h, w), tileable=tileable)
    assert texture.shape == (3, h, w)
    assert texture.dtype == torch.float32
    assert texture.isfinite().all()


def test_the_shipped_shape_is_half_a_megabyte_and_as_coarse_as_the_descriptor() -> None:
    net = TextureGenerator()
    assert 230_000 < sum(p.numel() for p in net.parameters()) < 270_000
    assert net.stride == 16


def test_every_parameter_learns() -> None:
    net = generator()
    noises = random_noises(net, 2, (16, 24), Generator().manual_seed(0))
    (net(noises) * torch.rand(2, 3, 16, 24)).mean().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_textures_of_a_batch_do_not_touch_each_other() -> None:
    net = generator()
    noises = random_noises(net, 2, (16, 24), Generator().manual_seed(0))
    alone = torch.cat([net([z[i : i + 1] for z in noises]) for i in range(2)])
    torch.testing.assert_close(net(noises), alone)


def test_noise_that_is_turned_around_the_torus_turns_the_texture() -> None:
    net = generator()
    noises = random_noises(net, 1, (24, 16), Generator().manual_seed(0))
    turned = [z.roll((8 >> i, 4 >> i), (2, 3)) for i, z in enumerate(noises)]
    torch.testing.assert_close(net(turned), net(noises).roll((8, 4), (2, 3)))


def test_noise_matters_at_every_scale() -> None:
    net = generator()
    noises = random_noises(net, 1, (16, 16), Generator().manual_seed(0))
    for scale in range(3):
        others = [z.flip(2) if i == scale else z for i, z in enumerate(noises)]
        assert (net(others) - net(noises)).abs().mean() > 1e-3


def test_joining_repeats_every_coarse_pixel_four_times() -> None:
    coarse, fine = torch.arange(12.0).reshape(1, 1, 3, 4), torch.zeros(1, 2, 4, 6)
    joined = join(coarse, fine)
    assert joined.shape == (1, 3, 4, 6)
    assert joined[0, 0].tolist() == [[coarse[0, 0, (y + 1) // 2, (x + 1) // 2] for x in range(6)] for y in range(4)]


@pytest.mark.parametrize("arguments", [{"channels": 2}, {"widths": ()}, {"widths": (8,) * 9}, {"widths": (10**6,)}])
def test_absurd_shapes_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"there are|a texture has"):
        TextureGenerator(**arguments)  # type: ignore[arg-type]


# Fixed statistics


def test_measured_statistics_normalise_the_batch_that_they_are_of() -> None:
    net = generator()
    noises = random_noises(net, 4, (32, 32), Generator().manual_seed(0))
    measure_statistics(net, noises)
    outputs: list[Tensor] = []
    for norm in net.norms():
        norm.register_forward_hook(lambda _norm, _x, y: outputs.append(y.detach().clone()))  # then it is rectified
    net(noises)
    assert len(outputs) == 9
    for y in outputs:
        torch.testing.assert_close(y.mean((0, 2, 3)), torch.zeros(y.shape[1]), atol=1e-4, rtol=0)
        torch.testing.assert_close(y.var((0, 2, 3), correction=0), torch.ones(y.shape[1]), atol=1e-2, rtol=0)


def test_folded_norms_compute_the_same() -> None:
    net = generator()
    with torch.no_grad():
        for norm in net.norms():
            norm.weight.uniform_(0.5, 2)
            norm.bias.uniform_(-1, 1)
    with pytest.raises(ValueError, match="measured first"):
        folded(net)
    measure_statistics(net, random_noises(net, 4, (32, 32), Generator().manual_seed(0)))
    noises = random_noises(net, 1, (16, 48), Generator().manual_seed(1))
    plain = folded(net, "circular")
    torch.testing.assert_close(plain(noises), net(noises), atol=5e-3, rtol=0)  # weights are rounded to fp16
    assert all(torch.equal(p, p.half().float()) for p in plain.parameters())


# Noise, and tiles


def test_a_window_of_noise_is_a_part_of_the_whole_around_the_torus() -> None:
    field = NoiseField(3, (96, 64), channels=2)
    for scale, (h, w) in enumerate([(96, 64), (48, 32), (24, 16)]):
        whole = field.window(scale, 0, 0, h, w)
        wide = whole.repeat(1, 1, 3, 3)
        for top, left, height, width in [(-5, -7, 40, 20), (10, 3, h, w), (h - 1, w - 1, 2, 2), (-h, 0, 2 * h, 1)]:
            window = field.window(scale, top, left, height, width)
            assert torch.equal(window, wide[..., top + h :, left + w :][..., :height, :width])


def test_noise_has_mean_0_and_variance_1_and_depends_on_seed_and_scale_only() -> None:
    z = NoiseField(1, (256, 256), 3).window(0, 0, 0, 256, 256)
    assert abs(z.mean()) < 0.01
    assert z.var() == pytest.approx(1, abs=0.01)
    assert torch.equal(z[..., :100, :90], NoiseField(1, (1024, 128), 3).window(0, 0, 0, 100, 90))
    others = (
        NoiseField(2, (256, 256), 3).window(0, 0, 0, 64, 64),
        NoiseField(1, (256, 256), 3).window(1, 0, 0, 64, 64),
    )
    blocks = [z[..., :64, :64], *others, z[..., 64:128, :64], z[..., :64, 64:128]]
    flat = torch.stack([block.flatten() for block in blocks])
    assert (torch.corrcoef(flat) - torch.eye(len(flat))).abs().max() < 0.05


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_tiles_are_the_whole(blocks: int) -> None:
    net = generator(widths=(4, 6, 6, 8), blocks=blocks).double()
    measure_statistics(net, random_noises(net.float(), 2, (32, 32), Generator().manual_seed(0)))
    size = (40, 72)
    whole, parts = (folded(net, padding).double() for padding in ("circular", "valid"))  # type: ignore[arg-type]
    for part in (whole, parts):
        part.image.float()
    field = NoiseField(7, size, 3)
    at_once = whole([field.window(i, 0, 0, size[0] >> i, size[1] >> i).double() for i in range(4)])
    for tile in (8, 32, 128):
        torch.testing.assert_close(grow(parts, size, 7, tile, CPU, torch.float64), at_once, atol=1e-6, rtol=0)


def test_tiles_are_the_whole_in_use() -> None:
    in_tiles = TextureNetwork(trained().generator, RGB, CPU, tile=16)
    torch.testing.assert_close(in_tiles((70, 90), seed=3), trained()((70, 90), seed=3), atol=1e-5, rtol=0)


def test_same_seed_same_texture() -> None:
    first, again, other = (trained()((40, 50), seed=seed) for seed in (4, 4, 5))
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 0.02


def test_a_larger_texture_has_the_same_statistics() -> None:
    small, large = trained()((64, 64)), trained()((320, 320), seed=1)
    torch.testing.assert_close(small.mean((1, 2)), large.mean((1, 2)), atol=0.02, rtol=0)
    torch.testing.assert_close(small.std((1, 2)), large.std((1, 2)), atol=0.02, rtol=0)


@pytest.mark.parametrize("size", [(64, 96), (63, 90)])
def test_a_tileable_texture_has_no_seam(size: tuple[int, int]) -> None:
    scores = [seam_scores(trained()(size, tileable=True, seed=seed)) for seed in range(3)]
    assert max(max(score.values()) for score in scores) < 3
    twice = trained()(size, tileable=True).repeat(1, 2, 2)
    assert twice.shape == (3, 2 * size[0], 2 * size[1])


def test_colours_are_those_of_the_sample_if_wanted() -> None:
    keep, match = (trained()((32, 40), colour=colour) for colour in ("keep", "match"))  # type: ignore[arg-type]
    assert (keep.mean((1, 2)) - RGB.mean((1, 2))).abs().max() > 0.01
    torch.testing.assert_close(match.mean((1, 2)), RGB.mean((1, 2)), atol=0.01, rtol=0)
    assert trained()((32, 40), colour="luminance").shape == (3, 32, 40)
    assert trained(1)((32, 40)).shape == (3, 32, 40)  # a network of luminance, a sample of colours


def test_sizes_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="at least 1x1"):
        trained()((0, 5))
    with pytest.raises(ValueError, match="colour is one of"):
        trained()((5, 5), colour="red")  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="a texture of 10000000x10000000 pixels takes about"):
        trained()((10**7, 10**7))


# Diversity


def test_diversity_is_the_logarithm_of_the_nearest_distance() -> None:
    flat = [torch.full((3, 8, 8), level) for level in (0.1, 0.2, 0.5)]
    unrelated = 0.25
    nearest = torch.tensor([0.1, 0.1, 0.3]).square() / unrelated
    wanted = 0.5 * torch.log(nearest + 1e-4).mean()
    assert diversity(torch.stack(flat), unrelated).item() == pytest.approx(wanted.item(), rel=1e-5)
    apart = torch.rand(4, 3, 64, 64, generator=Generator().manual_seed(0))
    assert diversity(apart, 2 / 12 * 0.9).item() == 0  # as different as can be counted


def test_diversity_drives_alike_pictures_apart() -> None:
    images = (0.5 + 0.01 * torch.randn(2, 3, 8, 8, generator=Generator().manual_seed(0))).requires_grad_()
    (slope,) = torch.autograd.grad(diversity(images, 0.1), images)
    assert ((images[0] - images[1]) * slope[0]).sum() > 0
    assert torch.allclose(slope[0], -slope[1], atol=1e-6)


# Training


def sample_of(image: Tensor) -> Sample:
    return Sample([image[None]], [1.0], image.flatten(1)[:, :100][:, None])


def test_a_generator_starts_with_the_colours_of_the_sample() -> None:
    sample = sample_of(0.3 + 0.3 * gravel(64))
    net = start_network(sample, seed=0)
    made = net(random_noises(net, 2, (64, 64), Generator().manual_seed(0))).detach()
    torch.testing.assert_close(made.mean((0, 2, 3)), sample.images[0].mean((0, 2, 3)), atol=0.05, rtol=0)
    assert torch.equal(start_network(sample, 0).image.weight, net.image.weight)
    assert not torch.equal(start_network(sample, 1).stages[0][0][0].weight, net.stages[0][0][0].weight)


def task_of(kind: str, recipe: Path, **about: Any) -> NetworkTask:
    job = TextureJob(method="network", loss=kind)  # type: ignore[arg-type]
    return NetworkTask(Sight(untrained(), CPU, torch.float32), [gravel(64)], job, read_recipe(recipe), **about)


@pytest.mark.parametrize("kind", ["gram", "swd"])
def test_training_lowers_the_held_out_loss_and_keeps_the_best(kind: str, recipe: Path, tmp_path: Path) -> None:
    found: list[TextureNetwork] = []
    seen: list[Progress] = []
    task = task_of(kind, recipe, watch=seen.append, improved=found.append)
    plan = replace(task.recipe, steps=40, every=1)
    Training(task, plan, tmp_path, launched("cpu", "fp32"), quiet=True).run()
    assert [p.step for p in seen] == list(range(1, 41))
    losses = [net.facts["training"]["held_out_loss"] for net in found]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 1.5
    # What is kept is what was judged: as it is used, tile by tile; and what the file holds.
    assert task.best is found[-1]
    task.used = folded_on_torus(task.best.generator)
    noises, turn = task.batch(32, 4, Generator().manual_seed(train_network.HELD_OUT_SEED))
    judged = task.held_out(task.used(noises).roll(turn, (2, 3)), together=True).item()
    assert judged == pytest.approx(losses[-1], rel=1e-3)
    kept = TextureNetwork.load(tmp_path / "best.safetensors", "cpu", "fp32")
    assert torch.equal(kept((40, 40)), task.best((40, 40)))


def test_a_run_that_is_gone_on_with_ends_as_if_never_stopped(recipe: Path, tmp_path: Path) -> None:
    """Before its norms are fixed, and after."""
    ends = []
    for stops in ((), (2, 5)):
        folder = tmp_path / str(stops)
        for stop in (*stops, 6):
            task = task_of("gram", recipe)
            training = Training(task, task.recipe, folder, launched("cpu", "fp32"), quiet=True)
            if (folder / "state.safetensors").exists():
                training.resume()
            lasting = training._train_step
            while training.step < stop:
                lasting()
            training.save()
        ends.append(load_file(folder / "state.safetensors"))
    whole, parts = ends
    assert whole.keys() == parts.keys()
    assert [name for name in whole if not torch.equal(whole[name], parts[name])] == []


def test_train_texture_makes_a_network_of_a_folder(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "pebbles").mkdir()
    descriptor = write_descriptor(tmp_path)
    with pytest.raises(TrainingError, match="holds no picture"):
        train("texture", tmp_path / "pebbles", recipe, tmp_path / "run", device="cpu", teacher=descriptor)
    save(str(tmp_path / "pebbles/a.png"), gravel())
    best = train("texture", tmp_path / "pebbles", recipe, tmp_path / "run", device="cpu", teacher=descriptor)
    assert TextureNetwork.load(best, "cpu")((20, 30)).shape == (3, 20, 30)
    assert read_header(best)["training"]["steps"] == 6
    odd = tmp_path / "odd.toml"
    odd.write_text(RECIPE.replace("patch = 32", "patch = 30"))
    with pytest.raises(TrainingError, match="multiples of 4"):
        train("texture", tmp_path / "pebbles", odd, tmp_path / "odd", device="cpu", teacher=descriptor)
    odd.write_text(RECIPE.replace("widths", "width"))
    with pytest.raises(TrainingError, match="unexpected keyword argument 'width'"):
        train("texture", tmp_path / "pebbles", odd, tmp_path / "odd", device="cpu", teacher=descriptor)


def test_pictures_together_are_one_picture() -> None:
    features = torch.rand(3, 4, 5, 6, generator=Generator().manual_seed(0))
    (gram,) = gram_matrix(as_one(features))
    torch.testing.assert_close(gram, gram_matrix(features).mean(0))


def folded_on_torus(net: TextureGenerator) -> TextureGenerator:
    same = TextureGenerator(**net.config)  # type: ignore[arg-type]
    same.load_state_dict(net.state_dict())
    return same


def test_the_same_seed_trains_the_same_network(recipe: Path) -> None:
    texture = Texture(TorchEye(untrained(), CPU))
    nets = [texture.train(gravel(), steps=4, seed=seed, recipe=recipe) for seed in (1, 1, 2)]
    first, again, other = (torch.cat([p.flatten() for p in net.generator.parameters()]) for net in nets)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (8, 8)])
def test_samples_of_any_size_train_and_flat_ones_stay_flat(size: tuple[int, int], recipe: Path) -> None:
    sample = torch.full((3, *size), 0.4)
    made = Texture(TorchEye(untrained(), CPU)).train(sample, steps=40, recipe=recipe)((40, 40))
    assert (made - 0.4).abs().mean() < 0.1


def test_luminance_is_trained_grey_and_a_mixture_of_samples_is_a_mixture(recipe: Path) -> None:
    texture = Texture(TorchEye(untrained(), CPU))
    net = texture.train(gravel(), colour="luminance", steps=2, recipe=recipe)
    assert net.generator.channels == 1
    assert net((20, 20)).shape == (3, 20, 20)
    grey = texture.train(gravel()[:1], steps=1, recipe=recipe)
    assert grey((20, 20)).shape == (1, 20, 20)
    dark, bright = torch.full((3, 32, 32), 0.1), torch.full((3, 32, 32), 0.9)
    mixed = texture.train([dark, bright], mix=[1, 3], steps=2, recipe=recipe)
    assert mixed.palette.mean() == pytest.approx(0.7, abs=0.01)


def test_what_was_found_before_an_interruption_is_kept(recipe: Path, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == 5:
            raise KeyboardInterrupt

    file = tmp_path / "net.safetensors"
    keep = partial(TextureNetwork.save, file=file)
    with pytest.raises(KeyboardInterrupt):
        Texture(TorchEye(untrained(), CPU)).train(gravel(), steps=30, watch=stop, improved=keep, recipe=recipe)
    assert 1 <= read_header(file)["training"]["step"] <= 4
    assert TextureNetwork.load(file, "cpu")((9, 9)).isfinite().all()


def test_the_descriptor_never_learns() -> None:
    descriptor = untrained()
    loss = Statistics(descriptor, sample_of(gravel(64)), partial(losses, "gram"), True, torch.float32, 128)
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    loss(image).backward()
    assert list(loss.losses) == [1, 2]
    assert image.grad is not None
    assert [name for name, p in descriptor.named_parameters() if p.grad is not None] == []
    tiny = Statistics(descriptor, sample_of(gravel(63)), partial(losses, "gram"), True, torch.float32, 128)
    assert list(tiny.losses) == [1]


# Files


def test_a_network_comes_back_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    trained().save(file)
    again = TextureNetwork.load(file, "cpu", "fp32")
    assert torch.equal(again((50, 60), seed=2), trained()((50, 60), seed=2))
    assert torch.equal(again((20, 20), colour="match"), trained()((20, 20), colour="match"))
    assert (again.icc, again.facts) == (b"profile", {"bits": 8})
    again.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()


def test_the_file_is_about_half_a_megabyte(tmp_path: Path) -> None:
    net = TextureGenerator()
    measure_statistics(net, random_noises(net, 1, (16, 16), Generator().manual_seed(0)))
    whole = TextureNetwork(folded(net), torch.rand(3, 1, train_network.PALETTE), CPU)
    whole.save(tmp_path / "net.safetensors")
    assert 450_000 < (tmp_path / "net.safetensors").stat().st_size < 550_000


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    whole, file = tmp_path / "whole.safetensors", tmp_path / "net.safetensors"
    trained().save(whole)
    checkpoint = load_checkpoint(whole)
    header, tensors = checkpoint.header, checkpoint.tensors
    lame = {name: t for name, t in tensors.items() if name != "palette"}
    cases = [
        (tensors, {**header, "network": "generator"}, "hold a 'generator' network"),
        (tensors, {**header, "config": {}}, "do not fit"),
        (tensors, {**header, "config": header["config"] | {"widths": [4, 6, 9]}}, "do not fit"),
        (tensors, {**header, "config": header["config"] | {"widths": [4, 6, 10**9]}}, "do not fit"),
        (tensors, {**header, "config": header["config"] | {"norm": "instance"}}, "do not fit"),
        (lame, header, "do not fit"),
        (tensors | {"palette": torch.rand(2, 1, 5)}, header, "do not fit"),
        (tensors | {"icc": torch.rand(5)}, header, "do not fit"),
    ]
    for changed, told, words in cases:
        save_checkpoint(file, changed, told)
        with pytest.raises(WeightsError, match=words):
            TextureNetwork.load(file, "cpu")
    save_file(load_file(whole), file)
    with pytest.raises(WeightsError, match="was not made by img2img"):
        TextureNetwork.load(file, "cpu")
    file.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="damaged"):
        TextureNetwork.load(file, "cpu")
    with pytest.raises(WeightsError, match="cannot be written"):
        trained().save(tmp_path / "nowhere" / "net.safetensors")


# The command


@pytest.fixture(scope="module")
def means(tmp_path_factory: pytest.TempPathFactory, recipe: Path) -> tuple[str, ...]:
    """Options by which a network is quickly trained."""
    descriptor = write_descriptor(tmp_path_factory.mktemp("descriptor"))
    return "--descriptor", str(descriptor), "--recipe", str(recipe)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def save(name: str, image: Tensor, dtype: type = np.uint8) -> None:
    samples = np.rint(image.permute(1, 2, 0).numpy() * np.iinfo(dtype).max).astype(dtype)
    write_picture(Picture(samples, icc=None), Path(name), FORMATS[Path(name).suffix])


def texture(*args: str) -> Result:
    return CliRunner().invoke(command.load(), ("texture", "--device", "cpu", *args))


def trained_by(means: tuple[str, ...], *args: str) -> Result:
    return texture("--method", "network", *means, "--train-steps", "3", "--size", "40x30", *args)


def test_a_network_is_trained_kept_and_used_again(means: tuple[str, ...]) -> None:
    save("stone.tiff", gravel(), np.uint16)
    result = trained_by(
        means, "stone.tiff", "--save", "net.safetensors", "--seed", "3", "--count", "2", "--format", "tiff"
    )
    names = ["stone_texture_1.tiff", "stone_texture_2.tiff"]
    assert (result.exit_code, result.stdout.splitlines(), result.stderr) == (0, names, "")
    made = [read_picture(Path(name)).samples for name in names]
    assert made[0].shape == (30, 40, 3)
    assert made[0].dtype == np.uint16
    assert (made[0] != made[1]).mean() > 0.5
    again = texture("--net", "net.safetensors", "--size", "40x30", "--seed", "4", "--format", "tiff")
    assert (again.exit_code, again.stdout, again.stderr) == (0, "net_texture.tiff\n", "")
    assert np.array_equal(read_picture(Path("net_texture.tiff")).samples, made[1])
    many = texture("--net", "net.safetensors", "--size", "70", "--tileable", "--count", "2", "-o", "out/", "--json")
    facts = [json.loads(line) for line in many.stdout.splitlines()]
    assert [(fact["output"], fact["width"], fact["seed"]) for fact in facts] == [
        ("out/net_1.png", 70, 0),
        ("out/net_2.png", 70, 1),
    ]
    info = json.loads(CliRunner().invoke(command.load(), ("info", "net.safetensors")).stdout)
    assert (info["task"], info["network"], info["name"], info["samples"]) == (
        *("texture", "texture-net", "net"),
        ["stone.tiff"],
    )
    assert (info["descriptor"], info["loss"], info["bits"], info["training"]["steps"]) == (means[1], "gram", 16, 3)
    assert 1 <= info["training"]["step"] <= 3
    assert info["training"]["held_out_loss"] > 0


def test_a_network_may_take_names_and_measures_from_samples(means: tuple[str, ...]) -> None:
    save("a.png", gravel())
    save("b.png", gravel(64)[:1])
    assert (
        trained_by(means, "a.png", "--save", "net.safetensors", "-o", "first.png", "--report", "0.json").exit_code == 0
    )
    (entry,) = json.loads(Path("0.json").read_text())["textures"]
    assert (entry["method"], entry["train_steps"], entry["samples"]) == ("network", 3, ["a.png"])
    assert entry["gram_distance"].keys() == JUDGED
    net = ("--net", "net.safetensors", "--size", "40x30")
    result = texture("a.png", "b.png", *net, *means[:2], "--report", "1.json", "--colour", "match")
    assert (result.exit_code, result.stdout) == (0, "a_texture.png\nb_texture.png\n")
    entries = json.loads(Path("1.json").read_text())["textures"]
    assert [entry["samples"] for entry in entries] == [["a.png"], ["b.png"]]
    assert all({"gram_distance", "copy_rate", "seam", "net"} <= entry.keys() for entry in entries)
    # Without a sample there is no likeness, but a seam and variety.
    assert texture(*net, "--count", "2", "--report", "2.json", "--max-seam", "50").exit_code == 0
    entries = json.loads(Path("2.json").read_text())["textures"]
    assert all(entry["samples"] == [] and "gram_distance" not in entry for entry in entries)
    assert entries[0]["diversity"] == entries[1]["diversity"] > 0
    seam = texture(*net, "--max-seam", "1e-9", "-o", "seam.png")
    assert (seam.exit_code, seam.stdout) == (1, "seam.png\n")


def test_ctrl_c_keeps_the_best_so_far(means: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    save("a.png", gravel())
    whole, calls = Statistics.__call__, []

    def interrupted(self: Statistics, images: Tensor, together: bool = False) -> Tensor:
        calls.append(0)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return whole(self, images, together)

    monkeypatch.setattr(Statistics, "__call__", interrupted)
    result = trained_by(means, "a.png", "--save", "net.safetensors")
    assert (result.exit_code, result.stdout) == (130, "")
    assert "net.safetensors holds the best network so far" in result.stderr
    assert not Path("a_texture.png").exists()
    assert texture("--net", "net.safetensors", "--size", "16").exit_code == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "Missing argument 'INPUT...'"),
        (("--net", "a.png", "--method", "optimize"), "--net is for --method network"),
        (("--net", "a.png", "--save", "b.safetensors"), "--save has no part"),
        (("--net", "a.png", "--train-steps", "5"), "--train-steps has no part"),
        (("a.png", "--net", "a.png", "--steps", "5"), "--steps has no part"),
        (("a.png", "a.png", "--net", "a.png", "--mix", "0.5"), "--mix has no part"),
        (("--net", "a.png", "--loss", "swd"), "--loss has no part"),
        (("a.png", "--net", "a.png", "--descriptor", "random"), "--descriptor has no part"),
        (("--net", "a.png", "--descriptor", "random", "--report", "r.json"), "--descriptor has no part"),
        (("--net", "missing"), "'missing' does not exist"),
        (("a.png", "--train-steps", "5"), "--train-steps is for --method network"),
        (("a.png", "--save", "b.safetensors"), "--save is for --method network"),
        (("a.png", "--method", "network", "--steps", "5"), "--steps is for --method optimize"),
        (("a.png", "--method", "network", "--train-steps", "0"), "0 is not in the range"),
        (("a.png", "a.png", "--method", "network", "--save", "b.safetensors"), "the network of one sample"),
        ((".", "--method", "network", "--save", "b.safetensors"), "the network of one sample"),
        (("a.png", "--method", "network", "--save", "b.png"), "ends with .safetensors"),
        (("a.png", "--method", "network", "--save", "no/b.safetensors"), "nothing can be written"),
        (("a.png", "--method", "network", "--save", "other.safetensors"), "exists already"),
        (("a.png", "--method", "network", "--save", "other.safetensors", "--overwrite"), "no texture's network"),
    ],
)
def test_wrong_use_is_one_line_and_code_2(args: tuple[str, ...], words: str) -> None:
    save("a.png", gravel(8))
    save_file({"a": torch.zeros(1)}, "other.safetensors")
    result = texture(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(r"img2img: error: .*\n", result.stderr)
    assert words in result.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["a.png", "other.safetensors"]


def test_a_network_of_something_else_is_one_line() -> None:
    save_checkpoint(Path("other.safetensors"), {"a": torch.zeros(1)}, {"network": "generator", "config": {}})
    for file in ("other.safetensors", "cut.safetensors"):
        Path("cut.safetensors").write_bytes(b"\x10")
        result = texture("--net", file)
        assert (result.exit_code, result.stdout) == (1, "")
        assert re.fullmatch(r"img2img: error: .*\n", result.stderr)
