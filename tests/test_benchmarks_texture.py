"""The textures' benchmark: its judge against loops, its floors, and one run from samples to files."""

import json
import re
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import save_file
from skimage import data as photographs

from img2img.core.descriptor import VGG
from img2img.descriptors.by_name import load_descriptor
from img2img.errors import Img2ImgError
from img2img.images import Picture, read_picture, write_picture

# By name: mypy cannot see that setup.cfg maps the folder benchmarks/ into the package.
texture = import_module("img2img.benchmarks.texture")
gatys = import_module("img2img.benchmarks.texture_gatys").gatys

(command,) = entry_points(group="console_scripts", name="img2img")

SMALL = ((8, 6), (8, 6), (8, 8), (12, 8), (16,))
SIDE = 48


def bench(*args: object) -> Result:
    return CliRunner().invoke(command.load(), ["bench", "texture", "--device", "cpu", *map(str, args)])


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small VGG of random weights, in a file with torchvision's names."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "vgg.safetensors"
    save_file(dict(VGG(SMALL).state_dict()), file)
    return file


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two samples that are no squares, one in colour, one grey; and something else."""
    folder = tmp_path_factory.mktemp("samples")
    grey = photographs.gravel()[:120, :100, None]
    write_picture(Picture(np.concatenate([grey, grey // 2 + 60, 255 - grey], 2)), folder / "stones.png", "png")
    write_picture(Picture(photographs.gravel()[200:290, :140, None]), folder / "grey.png", "png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def picture(name: str = "gravel") -> torch.Tensor:
    values = getattr(photographs, name)()[:SIDE, :SIDE]
    return torch.tensor(values)[None].float() / 255


class Layers(torch.nn.Module):
    """In a descriptor's place: the image itself, and the differences of its neighbours."""

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        return [image, image[..., 1:] - image[..., :-1]]


# ---- measures


def test_the_judges_distance_by_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    image, sample = (torch.rand(3, 4, width, generator=generator) for width in (5, 7))
    found = texture.relative_distances(texture.grams(Layers(), image), texture.grams(Layers(), sample))
    assert len(found) == 2
    for k, distance in enumerate(found):
        pair = [np.asarray(Layers()(x[None])[k][0], np.float64) for x in (image, sample)]
        apart = size = 0.0
        for i in range(3):
            for j in range(3):
                ours, wanted = (np.mean([[a * b for a, b in zip(x[i].flat, x[j].flat, strict=True)]]) for x in pair)
                apart += (ours - wanted) ** 2
                size += wanted**2
        assert distance == pytest.approx(apart / size, rel=1e-9)


def test_no_features_at_all_are_1_away_and_the_sample_0() -> None:
    wanted = texture.grams(Layers(), picture())
    assert texture.relative_distances(wanted, wanted) == [0, 0]
    assert texture.relative_distances([0 * gram for gram in wanted], wanted) == [1, 1]


def test_a_mirrored_sample_is_far_more_like_it_than_its_shuffled_pixels(judge: Path) -> None:
    image = picture()
    vgg = load_descriptor("vgg19", judge, normalised=False)
    mirrored, shuffled = (row.make(texture.Sample("a", Path(), image)).textures[0] for row in texture.floors())
    assert torch.equal(mirrored, image.flip(2))
    assert torch.equal(shuffled.flatten().sort().values, image.flatten().sort().values)
    wanted = texture.grams(vgg, image)
    distances = [np.mean(texture.relative_distances(texture.grams(vgg, x), wanted)) for x in (mirrored, shuffled)]
    assert 0 < distances[0] < distances[1] / 5


def test_gatys_method_comes_near_the_sample_and_repeats(judge: Path) -> None:
    image = picture()
    vgg = load_descriptor("vgg19", judge, normalised=False)
    wanted = texture.grams(vgg, image)

    def distance(x: torch.Tensor) -> float:
        return float(np.mean(texture.relative_distances(texture.grams(vgg, x), wanted)))

    start, made = (gatys(vgg, image, iterations) for iterations in (1, 30))
    assert made.shape == image.shape
    assert 0 <= made.min() < made.max() <= 1
    assert distance(made) < distance(start) / 10
    assert distance(made) < distance(texture.shuffled(image, 0)) / 3
    assert torch.equal(gatys(vgg, image, 30), made)
    assert not torch.equal(gatys(vgg, image, 30, seed=1), made)


def test_a_sample_is_the_middle_square_scaled(tmp_path: Path) -> None:
    wide = np.zeros((40, 100, 3), np.uint8)
    wide[:, 30:70] = photographs.coffee()[:40, :40]
    write_picture(Picture(wide), tmp_path / "wide.png", "png")
    same = texture.prepared(tmp_path / "wide.png", 40, tmp_path / "out")
    assert np.array_equal(read_picture(same.file).samples, wide[:, 30:70])
    half = texture.prepared(tmp_path / "wide.png", 32, tmp_path / "out")
    assert half.image.shape == (3, 32, 32)
    assert half.image.mean().item() == pytest.approx(same.image.mean().item(), abs=0.01)


def score(sample: str, method: str, distance: float, seconds: float | None = None) -> dict[str, Any]:
    found = {"sample": sample, "method": method, "judge": distance, "gram": {"random": distance}, "copy_rate": 0.25}
    found |= {"seam": [{"horizontal": 1.0, "vertical": distance}], "diversity": None}
    return found if seconds is None else found | {"seconds": seconds, "peak_mb": 100 * seconds}


def test_means_medians_and_the_worst_samples() -> None:
    ours = [score(f"s{i}", "ours", distance, 2.0 + i) for i, distance in enumerate((0.1, 0.8, 0.2, 0.5))]
    theirs = [score(f"s{i}", f"{texture.GATYS}, 9 iterations", 0.1) for i in range(4)]
    texture._compare([*theirs, *ours])
    row = texture.summarise(ours)
    assert row["judge"] == pytest.approx(0.4)
    assert row["judge_median"] == pytest.approx(0.35)
    assert row["to_gatys_median"] == pytest.approx(3.5)
    assert [each["sample"] for each in row["worst"]] == ["s1", "s3", "s2"]
    assert (row["seconds"], row["peak_mb"], row["seam_largest"]) == (3.5, 500, 1.0)
    assert texture.summarise(theirs)["to_gatys_median"] == pytest.approx(1)
    lines = texture.table([texture.summarise(theirs), row]).splitlines()
    assert [cell.strip() for cell in lines[0].split("|")[1:-1]] == [
        *("method", "judge", "median", "x Gatys", "random", "copied", "s", "MB", "worst")
    ]
    assert "s1 0.800, s3 0.500, s2 0.200" in lines[-1]


# ---- runs


def test_from_samples_to_files_and_not_twice(samples: Path, judge: Path, tmp_path: Path) -> None:
    options = ("--data", samples, "--limit", 1, "--judge", judge, "--out", tmp_path, "--size", SIDE, "--resume")
    options += ("--descriptor", "vgg19", "--method", "optimize", "--loss", "gram", "--tileable", "--count", 2)
    options += ("--steps", 12, "--gatys", 12)
    result = bench(*options)
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "texture.json").read_text())
    assert (record["images"], record["descriptors"]) == (["grey.png"], ["vgg19"])
    names = ["the sample mirrored", "its pixels shuffled", "Gatys, VGG-19, 12 iterations", "optimize, vgg19, gram"]
    assert [row["method"] for row in record["summary"]] == names
    mirrored, shuffled, reference, ours = record["scores"]
    assert mirrored["judge"] < shuffled["judge"] / 2
    assert mirrored["gram"]["vgg19"] < shuffled["gram"]["vgg19"] / 2
    made = tmp_path / "textures/optimize-vgg19-gram/grey"
    vgg = load_descriptor("vgg19", judge, normalised=False)
    wanted, *found = (
        texture.grams(vgg, read_picture(file).to_tensor())
        for file in (tmp_path / "samples/grey.png", made / "grey_1.png", made / "grey_2.png")
    )
    distances = [float(np.mean(texture.relative_distances(each, wanted))) for each in found]
    assert ours["judge_each"] == pytest.approx(distances)
    assert distances[0] != distances[1]
    assert ours["to_gatys"] == pytest.approx(ours["judge"] / reference["judge"])
    assert (len(ours["judge_each"]), len(ours["seam"]), len(reference["seam"])) == (2, 2, 1)
    assert np.mean(list(ours["judge_layers"].values())) == pytest.approx(ours["judge"])
    assert ours["diversity"] > 0.3
    assert reference["diversity"] is None
    assert ours["seconds"] > 0.1
    assert ours["peak_mb"] > 50
    assert "seconds" not in mirrored
    for head in ("judge", "x Gatys", "vgg19", "seam z (largest)", "varied"):
        assert f"| {head} " in result.output
    assert re.search(r"optimize, vgg19, gram .*grey \d\.\d{3} +\|", result.output)
    with Image.open(tmp_path / "texture.png") as sheet:
        assert sheet.size == (3 * texture.SIDE + 2 * 6, texture.SIDE + 26)

    assert sorted(path.name for path in made.iterdir()) == ["grey_1.json", "grey_1.png", "grey_2.png"]
    written = (made / "grey_2.png").stat().st_mtime_ns
    assert bench(*options).exit_code == 0
    assert (made / "grey_2.png").stat().st_mtime_ns == written
    again = json.loads((tmp_path / "texture.json").read_text())
    assert again["scores"] == record["scores"]


def test_quilting_is_a_peer(samples: Path, tmp_path: Path) -> None:
    options = ("--data", samples, "--limit", 1, "--out", tmp_path, "--size", 64, "--count", 2, "--tileable")
    result = bench(*options, "--descriptor", "random", "--method", "quilting", "--method", "patches")
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "texture.json").read_text())["summary"]
    assert [row["method"] for row in rows[2:]] == ["quilting", "patches"]
    sample = read_picture(tmp_path / "samples/grey.png").samples
    for method in ("quilting", "patches"):
        one, two = (read_picture(file).samples for file in sorted((tmp_path / "textures" / method).glob("**/*.png")))
        assert one.shape == (64, 64, 1)
        assert (one != two).mean() > 0.5
        assert set(np.unique(one)) <= set(np.unique(sample))
        assert max(row["seam"] for row in rows[2:]) < 3


def test_a_network_is_measured_again_by_the_file_that_it_is_kept_in(samples: Path, judge: Path, tmp_path: Path) -> None:
    options = ("--data", samples, "--limit", 1, "--judge", judge, "--out", tmp_path, "--size", 32)
    options += ("--method", "network", "--descriptor", "vgg19", "--loss", "gram", "--train-steps", 2)
    result = bench(*options)
    assert result.exit_code == 0, result.output
    ours = json.loads((tmp_path / "texture.json").read_text())["scores"][-1]
    kept = tmp_path / "textures/network-vgg19-gram"
    assert (ours["method"], ours["again"]["side"]) == ("network, vgg19, gram", 128)
    assert ours["again"]["bytes"] == (kept / "grey.safetensors").stat().st_size
    assert ours["again"]["seconds"] > 0.1
    assert read_picture(kept / "grey_again.png").samples.shape == (128, 128, 1)
    assert "| again, s " in result.output


def test_a_run_is_taken_again_only_if_command_and_files_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"a")
    source = tmp_path / "source.png"
    write_picture(Picture(photographs.coffee()[:8, :8]), source, "png")
    target = tmp_path / "out" / "a.png"

    def made(resume: bool, word: str = "") -> int:
        run = texture.Run(["/bin/cp", str(source), f"{target.parent}{word}/a.png"], (tmp_path / "in",), [target])
        assert len(run.made(resume).textures) == 1
        return target.stat().st_mtime_ns

    first = made(True)
    assert made(True) == first
    second = made(True, "/.")  # another command
    assert second > first
    (tmp_path / "in").write_bytes(b"b")
    third = made(True, "/.")
    assert third > second
    assert made(False, "/.") > third
    target.with_suffix(".json").write_text('{"run"')
    assert made(True, "/.") > third


def test_every_method_of_the_command_is_measured() -> None:
    choices = {option.name: option.type for option in command.load().get_command(None, "texture").params}
    measured = command.load().get_command(None, "bench").get_command(None, "texture").params
    assert tuple(next(option for option in measured if option.name == "methods").type.choices) == tuple(texture.METHODS)
    called = [method.arguments[1] for method in texture.METHODS.values() if not method.peer]
    assert sorted({*called}) == sorted(choices["method"].choices)
    assert tuple(texture.LOSSES) == tuple(choices["loss"].choices)
    for method in texture.METHODS.values():
        assert set(method.settings) <= {*texture.Settings.__dataclass_fields__} & {*choices}


def test_methods_are_combined_with_what_they_can_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one = texture.Method(settings=("steps",), descriptors=("random",), losses=("swd",))
    monkeypatch.setattr(texture, "METHODS", {"optimize": texture.Method(settings=("steps",)), "one": one})
    settings = texture.Settings(methods=("optimize", "one"))
    rows = [row.name for row in texture._ours(settings, ("vgg19", "random"), tmp_path)]
    both = [f"optimize, {name}, {loss}" for name in ("vgg19", "random") for loss in texture.LOSSES]
    assert rows == [*both, "one, random, swd"]
    with pytest.raises(Img2ImgError, match="two descriptors are called net"):
        list(texture._ours(settings, ("a/net.safetensors", "b/net.safetensors"), tmp_path))


def test_without_weights_the_default_descriptor_is_left_out_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(texture, "names", lambda: ["denoise-fast"])
    assert texture._available(said.append) == ("random",)
    assert said == ["vgg-slim is left out: this installation has no weights of that name"]
    monkeypatch.setattr(texture, "names", lambda: ["denoise-fast", "vgg-slim"])
    assert texture._available(said.append) == ("vgg-slim", "random")
    assert len(said) == 1


def test_scikit_images_textures_are_there_without_a_folder(samples: Path) -> None:
    assert [file.name for file in texture.sample_files(None, 2)] == ["brick.png", "grass.png"]
    assert [file.name for file in texture.sample_files(samples, None)] == ["grey.png", "stones.png"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--gatys", 5), "name its file by --judge"),
        (("--resume",), "nothing to resume without --out"),
        (("--data", "empty"), "no pictures"),
        (("--data", "twice"), "two samples are called a"),
        (("--descriptor", "broken.safetensors"), "damaged"),
        (("--judge", "broken.safetensors"), "damaged"),
    ],
)
def test_what_cannot_be_measured_fails_in_one_line(
    options: tuple[object, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("twice").mkdir()
    for name in ("twice/a.png", "twice/a.jpg"):
        Path(name).touch()
    Path("broken.safetensors").write_bytes(b"\x10")
    result = bench(*options)
    assert result.exit_code == 1
    assert words in result.output
    assert len([line for line in result.output.splitlines() if "error" in line]) == 1
