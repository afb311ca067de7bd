"""Distillation of the texture descriptor: a student learns from a tiny teacher, and what is shipped loads."""

import csv
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from skimage import data as photographs
from skimage.io import imsave
from torch import Generator, nn

from img2img.checkpoints import read_header
from img2img.core.descriptor import LAYERS, VGG
from img2img.data.patches import PatchSource
from img2img.descriptors.by_name import load_descriptor
from img2img.errors import TrainingError
from img2img.register import find_recipe, train
from img2img.tasks.texture.loss import gram_matrix
from img2img.tasks.texture.train_descriptor import (
    Distillation,
    DistillationData,
    Student,
    bounded,
    build,
    fit,
    mapped_and_compared,
    middle,
    teach,
)

(command,) = entry_points(group="console_scripts", name="img2img")

RECIPE = """
name = "tiny-vgg"
task = "descriptor"
steps = 60
lr = 1e-2
warmup = 5
every = 20
ema = 0.8
precision = "fp32"
phases = [{ until = 1.0, patch = 32, batch = 4 }]
[model]
widths = [[6, 4], [6], [8], [8], [8]]
[data]
noisy = 0.5
"""
TEACHER = ((8, 8), (8, 8), (12, 8), (12, 12), (12,))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for i, image in enumerate([photographs.astronaut(), photographs.coffee(), photographs.chelsea()]):
        for k in range(2):  # the one held out looks like one to learn from
            imsave(folder / f"{i}{k}.png", image[100 + k : 180 + k, 100:200], check_contrast=False)
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return tmp_path / "tiny.toml"


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    vgg = VGG(TEACHER)
    for conv in vgg.convolutions():
        conv.bias.fill_(0.3)  # type: ignore[union-attr]  # or an untrained network's channels hardly ever fire
    save_file(vgg.state_dict(), tmp_path / "teacher.safetensors")
    return tmp_path / "teacher.safetensors"


def test_the_student_learns_and_what_is_shipped_loads(
    recipe: Path, pictures: Path, teacher: Path, tmp_path: Path
) -> None:
    arguments = ["--data", pictures, "--recipe", recipe, "--out", tmp_path / "run", "--teacher", teacher]
    result = CliRunner().invoke(command.load(), ["train", "descriptor", *map(str, arguments), "--device", "cpu"])
    assert result.exit_code == 0, result.stderr
    rows = list(csv.DictReader((tmp_path / "run/log.csv").open()))
    assert float(rows[-1]["val/score"]) > float(rows[0]["val/score"]) + 0.03
    assert float(rows[-1]["val/gram"]) < float(rows[0]["val/gram"])
    best = tmp_path / "run/best.safetensors"
    header = read_header(best)
    assert (header["task"], header["network"], header["name"]) == ("descriptor", "vgg", "tiny-vgg")
    assert {f"r2_{layer}" for layer in LAYERS} < header["training"]["validation"].keys()
    assert {k.split(".")[0] for k in load_file(best)} == {"vgg"}  # neither maps nor teacher
    # Of mean 1 over the very crops that training measured them on.
    plan = replace(find_recipe("descriptor", recipe), teacher=str(teacher))
    task = build(plan, pictures, torch.device("cpu"))
    crops = task._measured()
    descriptor = load_descriptor(str(best), circular=True)
    means = torch.cat([f.mean((0, 2, 3)) for f in descriptor(crops)])
    assert means.max() < 1.02  # less are those that hardly ever fire
    assert (means > 0.98).float().mean() > 0.6
    assert not any(p.requires_grad for p in descriptor.parameters())


def test_kept_answers_are_the_teachers_and_the_same_each_time(recipe: Path, pictures: Path, teacher: Path) -> None:
    plan = replace(find_recipe("descriptor", recipe), teacher=str(teacher), data={"noisy": 0.5, "kept": 3})
    task = build(plan, pictures, torch.device("cpu"))
    seen: dict[bytes, list[torch.Tensor]] = {}
    for step in range(12):
        images, lesson = task.batch(32, 2, Generator().manual_seed(step))
        for layer, wanted in zip(lesson.features, task._seen(images), strict=True):
            torch.testing.assert_close(layer, wanted, rtol=1e-3, atol=1e-3)  # fp16
        before = seen.setdefault(images.numpy().tobytes(), lesson.features)
        assert all(torch.equal(a, b) for a, b in zip(before, lesson.features, strict=True))
    assert len(seen) == 3
    again = build(plan, pictures, torch.device("cpu")).batch(32, 2, Generator().manual_seed(11))
    assert torch.equal(again[0], images)


def test_without_a_teacher_it_says_what_is_missing(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="by teacher"):
        train("descriptor", pictures, recipe, tmp_path / "run", device="cpu")


def test_pictures_too_small_to_judge_by_are_said(recipe: Path, teacher: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for name, side in (("0.png", 15), ("1.png", 40)):
        imsave(tmp_path / "pictures" / name, photographs.astronaut()[:side, :side], check_contrast=False)
    with pytest.raises(TrainingError, match="has 16 pixels"):
        train("descriptor", tmp_path / "pictures", recipe, tmp_path / "run", device="cpu", teacher=teacher)


@pytest.mark.parametrize("name", ["vgg-slim", "vgg-slim-more"])
def test_the_shipped_recipes_name_what_the_networks_take(name: str) -> None:
    plan = find_recipe("descriptor", Path(name))
    assert plan.name == "vgg-slim"
    assert plan.validation == find_recipe("descriptor", None).validation
    assert VGG(**plan.model).state_dict().keys() == VGG().state_dict().keys()
    assert all(phase.patch % 16 == 0 for phase in plan.phases)
    DistillationData(**plan.data)
    Distillation(Student(VGG(TEACHER), [8] * 5), **plan.objective)


@pytest.mark.parametrize("side", [2, 20])  # the one way and the other
def test_mapped_features_are_compared_alike_by_the_shorter_way(side: int) -> None:
    torch.manual_seed(1)
    layer, to_teacher = torch.rand(2, 5, side, side + 1), nn.Conv2d(5, 9, 1)
    wanted = torch.rand(2, 9, side, side + 1)
    mapped = to_teacher(layer)
    error, gram = mapped_and_compared(layer, to_teacher, wanted, gram_matrix(wanted))
    torch.testing.assert_close(error, (mapped - wanted).square().mean((1, 2, 3)))
    torch.testing.assert_close(gram, gram_matrix(mapped))
    # The shorter way believes what it is told of the teacher's Gram matrix; the longer one looks for itself.
    told, _ = mapped_and_compared(layer, to_teacher, wanted, torch.zeros(2, 9, 9))
    assert torch.allclose(told, error) == (side == 2)


def test_a_map_is_found_by_regression() -> None:
    torch.manual_seed(1)
    own, truth, found = torch.rand(2, 5, 30, 30), nn.Conv2d(5, 9, 1), nn.Conv2d(5, 9, 1)
    fit(found, own, truth(own).detach())
    torch.testing.assert_close(found(own), truth(own), rtol=0, atol=0.03)  # the ridge shrinks it by a hundredth
    fit(found, torch.ones(1, 5, 2, 2), torch.full((1, 9, 2, 2), 3.0))  # fewer positions than channels, all alike
    torch.testing.assert_close(found(torch.rand(1, 5, 1, 1)), torch.full((1, 9, 1, 1), 3.0))


def test_a_black_picture_counts_as_one_of_features_of_one() -> None:
    target = torch.tensor([0.0, 1, 2]).view(3, 1, 1).expand(3, 4, 4)
    torch.testing.assert_close(bounded(torch.zeros(3, 4, 4), target), torch.tensor([0.0, 1, 1]))
    torch.testing.assert_close(bounded(3 * torch.ones(3, 4, 4), target), torch.tensor([9, 4, 0.25]))


def test_a_lesson_holds_gram_matrices_and_each_images_distance_from_the_mean() -> None:
    layer = 3 * torch.rand(4, 5, 6, 7)
    lesson = teach([layer])
    torch.testing.assert_close(lesson.grams[0], gram_matrix(layer))
    torch.testing.assert_close(lesson.spreads[0], (layer - 1).square().mean((1, 2, 3)))


def test_who_knows_everything_loses_nothing_and_who_says_the_mean_one() -> None:
    torch.manual_seed(2)
    vgg, images = VGG(TEACHER), torch.rand(4, 3, 32, 32)
    lesson = teach(vgg(images))
    student = Student(VGG(TEACHER), vgg.channels)
    student.descriptor.load_state_dict(vgg.state_dict())
    for to_teacher, layer in zip(student.maps, lesson.features, strict=True):
        to_teacher.weight.data = torch.eye(layer.shape[1])[:, :, None, None]
        to_teacher.bias.data.zero_()  # type: ignore[union-attr]
    losses = Distillation(student)((images, lesson))
    assert losses["loss"].item() == pytest.approx(0, abs=1e-6)
    for to_teacher in student.maps:
        to_teacher.weight.data.zero_()  # type: ignore[operator]
        to_teacher.bias.data.fill_(1)  # type: ignore[operator]
    assert Distillation(student)((images, lesson))["features"].item() == pytest.approx(1, rel=1e-4)


def test_every_parameter_of_the_student_learns() -> None:
    torch.manual_seed(3)
    images = torch.rand(2, 3, 32, 32)
    student = Student(VGG(((6, 4), (6,), (8,), (8,), (8,))), VGG(TEACHER).channels)
    Distillation(student)((images, teach(VGG(TEACHER)(images))))["loss"].backward()
    assert [name for name, p in student.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_share_of_the_crops_gets_noise_and_the_rest_none() -> None:
    grey = PatchSource([np.full((9, 9, 3), 128, np.uint8)], torch.device("cpu"))
    clean = 128 / 255
    noisy = DistillationData(noisy=0.25, sigma=0.2)(grey, 400, 4, Generator().manual_seed(0))
    deviation = (noisy - clean).std((1, 2, 3)).where((noisy - clean).abs().amax((1, 2, 3)) > 1e-6, 0)
    assert 0.18 < (deviation > 0).float().mean() < 0.32
    assert 0.15 < deviation.max() < 0.3
    assert (noisy - clean).amin() < 0 < (noisy - clean).amax()


def test_a_share_of_the_crops_is_of_twice_the_side_and_halved() -> None:
    """A checkerboard of single pixels is grey when it is halved."""
    board = np.indices((20, 20)).sum(0)[:, :, None].repeat(3, 2) % 2 * 255
    source = PatchSource([board.astype(np.uint8)], torch.device("cpu"))
    data, generator = DistillationData(noisy=0, halved=0.3), Generator().manual_seed(0)
    crops = [data(source, 1, 8, generator) for _ in range(100)]
    assert {tuple(crop.shape) for crop in crops} == {(1, 3, 8, 8)}
    grey = [bool((crop == 0.5).all()) for crop in crops]
    assert 0.15 < sum(grey) / 100 < 0.45
    assert all(is_grey or crop.std() > 0.4 for crop, is_grey in zip(crops, grey, strict=True))


def test_it_starts_from_another_descriptor_unchanged_but_for_the_channels_scale(
    recipe: Path, pictures: Path, teacher: Path, tmp_path: Path
) -> None:
    first = train("descriptor", pictures, recipe, tmp_path / "first", device="cpu", steps=2, teacher=teacher)
    plan = replace(find_recipe("descriptor", recipe), teacher=str(teacher), init=str(first))
    task = build(plan, pictures, torch.device("cpu"))
    assert isinstance(task.model, Student)
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        found, shipped = (net(image) for net in (task.model.descriptor, load_descriptor(str(first), circular=True)))
    for ours, theirs in zip(found, shipped, strict=True):
        factor = ours.sum((0, 2, 3)) / theirs.sum((0, 2, 3)).clamp_min(1e-9)
        torch.testing.assert_close(ours, theirs * factor[None, :, None, None], rtol=1e-3, atol=1e-4)
    for tap in task.model.descriptor.taps:
        norms = task.model.descriptor.get_parameter(f"features.{tap - 1}.weight").detach().square().sum((1, 2, 3))
        assert norms.max() == pytest.approx(2, rel=1e-4)  # less where a channel hardly fires
        assert norms.median() == pytest.approx(2, rel=1e-4)
    with pytest.raises(TrainingError, match="weights of layers are 0 or more"):
        build(replace(plan, objective={"layers": [0.0] * 5}), pictures, torch.device("cpu"))
    with pytest.raises(TrainingError, match="do not fit"):
        build(replace(plan, model={"widths": [[6], [6], [8], [8], [8]]}), pictures, torch.device("cpu"))


def test_layers_have_their_weights_in_the_loss() -> None:
    torch.manual_seed(1)
    images = torch.rand(2, 3, 32, 32)
    lesson = teach(VGG(TEACHER)(images))
    student = Student(VGG(((6, 4), (6,), (8,), (8,), (8,))), VGG(TEACHER).channels)
    alone = [
        Distillation(student, layers=[float(i == k) for i in range(5)])((images, lesson))["loss"] for k in range(5)
    ]
    weighted = Distillation(student, layers=[1, 0, 0, 0, 3])((images, lesson))["loss"]
    torch.testing.assert_close(weighted, alone[0] / 4 + alone[4] * 3 / 4)
    torch.testing.assert_close(Distillation(student)((images, lesson))["loss"], torch.stack(alone).mean())
    for wrong in ([0.0] * 5, [-1.0, 1, 1, 1, 1]):
        with pytest.raises(ValueError, match="0 or more"):
            Distillation(student, layers=wrong)


def test_autocast_leaves_the_loss_in_float32() -> None:
    images = torch.rand(2, 3, 32, 32)
    student = Student(VGG(((6, 4), (6,), (8,), (8,), (8,))), VGG(TEACHER).channels)
    with torch.autocast("cpu", torch.bfloat16):
        figures = Distillation(student)((images, teach(VGG(TEACHER)(images))))
    assert {figure.dtype for figure in figures.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(200, 200, (128, 128)), (100, 40, (96, 32)), (16, 200, (16, 128))]
)
def test_held_out_middles_have_sides_that_pool_evenly(height: int, width: int, expected: tuple[int, int]) -> None:
    assert tuple(middle(torch.rand(1, 3, height, width), 128).shape[2:]) == expected
