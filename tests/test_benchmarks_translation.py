"""The translator's benchmarks: what they measure, by closed forms, and one run of each from pictures to files."""

import json
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from skimage import data as photographs

from img2img.checkpoints import load_checkpoint, save_checkpoint
from img2img.images import Picture, write_picture
from img2img.tasks.translate import UNetGenerator

# By name: mypy cannot see that setup.cfg maps the folder benchmarks/ into the package.
labels = import_module("img2img.benchmarks.facade_labels")
sheets = import_module("img2img.benchmarks.sheets")
translate_speed = import_module("img2img.benchmarks.translate_speed")
translation = import_module("img2img.benchmarks.translation")

(command,) = entry_points(group="console_scripts", name="img2img")


def bench(*args: object) -> Result:
    return CliRunner().invoke(command.load(), ["bench", *map(str, args)])


def write_model(path: Path, pairs: str, space: str = "rgb", **config: int) -> Path:
    torch.manual_seed(0)
    shape = {"width": 4, "depth": 4} | config
    tensors = {f"generator.{name}": tensor for name, tensor in UNetGenerator(**shape).state_dict().items()}
    header = {"task": "translate", "network": "generator", "config": shape, "space": space, "pairs": pairs}
    save_checkpoint(path, tensors, header | {"direction": "BtoA" if pairs == "files" else "AtoB"})
    return path


@pytest.fixture(scope="module")
def facades(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs on the left, on the right coloured bands as labels: train, val and test."""
    root = tmp_path_factory.mktemp("facades")
    bands = np.repeat(np.array(labels.COLOURS, np.uint8), 24, axis=0)[None, :256].repeat(256, 0)
    for part, count in (("train", 2), ("val", 1), ("test", 2)):
        (root / part).mkdir()
        for i in range(count):
            photo = photographs.coffee()[60 * i : 60 * i + 256, 100:356]
            write_picture(Picture(np.concatenate((photo, bands), 1)), root / part / f"{i}.png", "png")
    return root


# ---- measures


def test_labels_are_read_although_jpeg_blurred_their_colours() -> None:
    colours = torch.tensor(labels.COLOURS) / 255
    blurred = (colours + torch.empty_like(colours).uniform_(-0.06, 0.06, generator=torch.Generator().manual_seed(0))).T
    assert labels.classes_of(blurred[None, :, None]).tolist() == [[list(range(12))]]


def test_a_contact_sheet_has_room_for_every_picture(tmp_path: Path) -> None:
    tall, flat = np.zeros((20, 10, 3), np.uint8), np.zeros((5, 40), np.uint8)
    sheets.contact_sheet([[tall, flat], [flat, flat]], ["a", "b"], tmp_path / "s.png", side=32)
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.size == (2 * 32 + 6, 26 + 32 + 6 + 4)


# ---- runs


def test_a_colouriser_is_measured_on_photographs_beside_its_floors(tmp_path: Path) -> None:
    model = write_model(tmp_path / "grey.safetensors", "gray", "lab", in_channels=1, out_channels=2)
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(2):
        write_picture(Picture(photographs.coffee()[90 * i : 90 * i + 70, 200:290]), folder / f"{i}.png", "png")
    more = ("--width", 120, "--points", 9)
    result = bench("translate", "--model", model, "--data", folder, "--out", tmp_path / "out", "--device", "cpu", *more)
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "out/translate_grey.json").read_text())
    rows = {row["method"]: row for row in record["summary"]}
    ours = ["grey, seen at its own size", "grey", "grey, 9 points"]
    assert list(rows) == ["the input itself", "the mean colour", *ours, "the true pictures"]
    assert rows["grey, 9 points"]["psnr"] > rows["grey"]["psnr"]
    assert rows["the input itself"]["colourfulness"] == pytest.approx(0, abs=1e-6)
    # The coffee is brown all over: its mean colour is nearer than no colour.
    assert rows["the mean colour"]["psnr"] > rows["the input itself"]["psnr"]
    assert rows["the true pictures"]["ab_intersection"] == pytest.approx(1)
    assert (tmp_path / "out/translate_grey.png").is_file()


def test_the_ablation_trains_goes_on_and_measures(facades: Path, tmp_path: Path) -> None:
    options = ("--data", facades, "--out", tmp_path / "out", "--steps", 1, "--width", 2, "--device", "cpu")
    chosen = ("--only", "L1", "--only", "encoder-decoder, L1+cGAN")
    result = bench("translate-ablation", *options, *chosen)
    assert result.exit_code == 0, result.output
    names = ["L1", "encoder-decoder-L1+cGAN"]
    files = [tmp_path / "out" / name / f"{name}.safetensors" for name in names]
    assert [load_checkpoint(file).header["config"]["skip"] for file in files] == ["concat", "none"]
    record = json.loads((tmp_path / "out/ablation.json").read_text())
    assert record["images"] == ["0.png", "1.png"]  # those of `test`
    assert [row["method"] for row in record["summary"]][2:4] == names

    written = [file.stat().st_mtime_ns for file in files]
    assert bench("translate-ablation", *options, *chosen).exit_code == 0
    assert [file.stat().st_mtime_ns for file in files] == written
    again = bench("translate-ablation", *options[:-4], "--width", 3, "--device", "cpu", *chosen)
    assert again.exit_code == 1
    assert "of other settings" in again.output


def test_the_segmenter_learns_and_its_score_is_printed(facades: Path, tmp_path: Path) -> None:
    segmenter = labels.trained_segmenter(tmp_path / "segmenter", facades, "cpu", steps=2)
    assert segmenter(torch.rand(1, 3, 33, 50)).shape == (1, 12, 33, 50)
    found = translation.fcn_score(segmenter, [torch.rand(3, 32, 48)], [torch.rand(1, 3, 32, 48)])
    assert 0 <= found.pixel <= 1
    again = labels.trained_segmenter(tmp_path / "segmenter", facades, "cpu", steps=2)  # read, not trained
    torch.testing.assert_close(again.state_dict(), segmenter.state_dict())


def test_pairs_that_are_not_made_have_to_be_given(tmp_path: Path) -> None:
    model = write_model(tmp_path / "facades.safetensors", "files")
    result = bench("translate", "--model", model)
    assert result.exit_code == 1
    assert "give some by --data" in result.output
    other = write_model(tmp_path / "edges.safetensors", "edges", in_channels=1)
    result = bench("translate", "--model", model, "--model", other)
    assert result.exit_code == 1
    assert "pairs of different kinds" in result.output


def test_tiles_cannot_be_seen_and_those_computed_alone_can(tmp_path: Path) -> None:
    model = write_model(tmp_path / "deep.safetensors", "files", depth=5)
    settings = translate_speed.Settings(
        models=(str(model),), device="cpu", rounds=1, side=128, tile=32, photo=(32, 16), large=(40, 33), out=tmp_path
    )
    record = translate_speed.run(settings, echo=lambda _: None)
    rows = {row["how"]: row for row in record["tiles"] if row["precision"] == "fp32"}
    assert rows["at once"]["largest_difference"] == 0
    assert rows["in tiles"]["largest_difference"] < 0.05
    assert rows["tiles by themselves"]["mean_difference"] > 20 * rows["in tiles"]["mean_difference"]
    assert [row["peak_mb"] > 50 for row in record["commands"]] == [True, True]
