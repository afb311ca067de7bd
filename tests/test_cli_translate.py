"""`img2img translate` and `img2img pairs` on real files, with small untrained networks."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from command_line import run
from kornia.color import rgb_to_lab
from PIL import Image
from skimage import data as photographs

from img2img.checkpoints import save_checkpoint
from img2img.images import FORMATS, Picture, read_picture, write_picture
from img2img.tasks.translate import UNetGenerator

pytestmark = pytest.mark.usefixtures("empty_folder")


def write_model(path: Path, space: str = "rgb", **config: Any) -> str:
    """A weight file as training makes it, of a network that has learnt nothing."""
    torch.manual_seed(0)
    config = {"width": 4, "depth": 5} | config
    tensors = {f"generator.{name}": tensor for name, tensor in UNetGenerator(**config).state_dict().items()}
    save_checkpoint(path, tensors, {"task": "translate", "network": "generator", "config": config, "space": space})
    return str(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_model(tmp_path_factory.mktemp("weights") / "untrained.safetensors")


def translate(*args: str) -> Result:
    return run("translate", "--device", "cpu", *args)


def samples(height: int, width: int, channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)


def save(name: str, picture: Picture) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    write_picture(picture, Path(name), FORMATS[Path(name).suffix])


def test_a_folder_comes_out_as_it_went_in(model: str) -> None:
    save("in/deep/sixteen.tiff", Picture(samples(17, 9, 3, np.uint16)))
    save("in/alpha.png", Picture(samples(12, 13), alpha=samples(12, 13, 1)[..., 0]))
    save("in/grey.png", Picture(samples(8, 8, 1)))
    Path("in/text.jpg").write_text("I am no picture")
    result = translate("-r", "in", "--model", model, "--json", "--errors", "errors.jsonl")
    assert result.exit_code == 1
    done = ["in/alpha.png", "in/grey.png", "in/deep/sixteen.tiff"]
    assert [json.loads(line)["input"] for line in result.stdout.splitlines()] == done
    assert read_picture(Path("in_translated/grey.png")).samples.shape == (8, 8, 3)
    (text,) = result.stderr.splitlines()
    assert text.startswith("img2img: error: in/text.jpg: not an image")
    assert len(Path("errors.jsonl").read_text().splitlines()) == 1
    for name in ("alpha.png", "deep/sixteen.tiff"):
        before, after = (read_picture(Path(folder) / name) for folder in ("in", "in_translated"))
        assert after.samples.shape == before.samples.shape
        assert after.samples.dtype == before.samples.dtype
        assert (after.samples != before.samples).any()
        if before.alpha is not None and after.alpha is not None:
            np.testing.assert_array_equal(after.alpha, before.alpha)
        assert (after.alpha is None) == (before.alpha is None)


def test_the_seed_decides_the_bytes(model: str) -> None:
    save("a.png", Picture(samples(40, 50)))
    outputs = {}
    for name, args in {"0": (), "1": ("--seed", "1"), "again": ("--seed", "1"), "none": ("--no-noise",)}.items():
        assert translate("a.png", "--model", model, *args, "-o", f"{name}.png").exit_code == 0
        outputs[name] = Path(f"{name}.png").read_bytes()
    assert outputs["1"] == outputs["again"]
    assert len(set(outputs.values())) == 3


def test_tiles_give_the_same_picture(model: str) -> None:
    save("a.png", Picture(samples(100, 230)))
    for tile in ("auto", "32"):
        args = ("--precision", "fp32", "--tile", tile, "-o", f"{tile}.png")
        assert translate("a.png", "--model", model, *args).exit_code == 0
    whole, tiled = (read_picture(Path(f"{tile}.png")).samples.astype(int) for tile in ("auto", "32"))
    assert abs(whole - tiled).max() <= 1  # where float rounding decides which grey level is nearer
    assert (whole != tiled).mean() < 0.001


@pytest.mark.parametrize("channels", [1, 3])
def test_colourisation_keeps_the_lightness(channels: int) -> None:
    model = write_model(Path("lab.safetensors"), "lab", in_channels=1, out_channels=2)
    smooth = np.linspace(0, 65535, 40 * 50 * channels).reshape(40, 50, channels).astype(np.uint16)
    save("a.png", Picture(smooth))
    assert translate("a.png", "--model", model).stdout == "a_translated.png\n"
    before, after = (read_picture(Path(name)).to_tensor()[None] for name in ("a.png", "a_translated.png"))
    assert after.shape == (1, 3, 40, 50)
    assert (after.amax(1) - after.amin(1)).max() > 0.1
    lightness = rgb_to_lab(before.expand(-1, 3, -1, -1))[:, 0]
    torch.testing.assert_close(rgb_to_lab(after)[:, 0], lightness, atol=0.02, rtol=0)  # of 100; the file has 16 bits


def test_a_drawing_in_rgb_suits_a_model_of_one_channel() -> None:
    model = write_model(Path("edges.safetensors"), in_channels=1)
    drawing = samples(30, 30, 1)
    save("grey.png", Picture(drawing))
    save("rgb.png", Picture(drawing.repeat(3, 2)))
    assert translate("grey.png", "rgb.png", "--model", model, "--precision", "fp32", "-o", "out/").exit_code == 0
    grey, rgb = (read_picture(Path(f"out/{name}.png")).samples.astype(int) for name in ("grey", "rgb"))
    assert grey.shape == (30, 30, 3)
    assert abs(grey - rgb).max() <= 1


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "Missing option '--model'"),
        ((), "colorize, facades, edges or a file"),
        (("--model", "nothing"), "no weights are called 'nothing'; there are colorize, facades, edges, or name a file"),
        (("--model", "denoise-fast"), "the weights denoise-fast are not for translate"),
        (("--model", "MODEL", "--seed", "-1"), "-1"),
        (("--model", "MODEL", "--tile", "1"), "a whole number from 32 on"),
    ],
)
def test_wrong_use_is_one_line_and_code_2(args: tuple[str, ...], words: str, model: str) -> None:
    save("a.png", Picture(samples(8, 8)))
    result = translate("a.png", *(model if word == "MODEL" else word for word in args))
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(r"img2img: error: .*\n", result.stderr)
    assert words in result.stderr
    assert [path.name for path in Path().iterdir()] == ["a.png"]


def test_damaged_and_foreign_weights_are_one_line(model: str) -> None:
    save("a.png", Picture(samples(8, 8)))
    Path("cut.safetensors").write_bytes(Path(model).read_bytes()[:-100])
    for file in ("cut.safetensors", "a.png"):
        result = translate("a.png", "--model", file)
        assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
        assert file in result.stderr


def test_channels_that_no_file_has_are_said_before_the_first_picture(tmp_path: Path) -> None:
    save("in.png", Picture(samples(20, 30)))
    result = translate("in.png", "--model", write_model(tmp_path / "eight.safetensors", out_channels=8))
    assert result.exit_code == 1
    assert "eight.safetensors make 8 channels, and a picture has 1 or 3" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_one_picture_does_not_wait_for_what_it_does_not_need(model: str) -> None:
    save("a.png", Picture(samples(8, 8)))
    code = (
        "import sys; from importlib.metadata import entry_points\n"
        "(command,) = entry_points(group='console_scripts', name='img2img')\n"
        f"try: command.load()(['translate', 'a.png', '--model', {model!r}])\n"
        "except SystemExit as end: assert not end.code\n"
        "print(sorted({'torchvision', 'compressai', 'kornia', 'lightning', 'skimage', 'scipy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "a_translated.png\n[]\n"


# --- Pairs ---


def test_pairs_are_written_side_by_side() -> None:
    save("photos/deep/a.png", Picture(samples(20, 30, 3, np.uint16)))
    save("photos/grey.tiff", Picture(samples(21, 30, 1)))
    assert run("pairs", "--make", "gray", "photos", "pairs", "-r").stdout == "pairs/grey.png\npairs/deep/a.png\n"
    pair, photo = read_picture(Path("pairs/deep/a.png")), read_picture(Path("photos/deep/a.png"))
    assert pair.samples.shape == (20, 60, 3)
    assert pair.samples.dtype == np.uint16
    np.testing.assert_array_equal(pair.samples[:, 30:], photo.samples)
    assert (np.ptp(pair.samples[:, :30].astype(int), axis=2) == 0).all()
    assert read_picture(Path("pairs/grey.png")).samples.shape == (21, 60, 3)


def test_holes_depend_on_the_picture_and_the_seed_alone() -> None:
    for name in ("one/a.png", "two/0.png", "two/a.png"):
        save(name, Picture(samples(40, 40) if name.endswith("a.png") else samples(50, 40)))
    for folder, out, seed in (("one", "o1", "0"), ("two", "o2", "0"), ("one", "o3", "1")):
        assert run("pairs", "--make", "blank", folder, out, "--seed", seed).exit_code == 0
    one, two, other = (Path(folder, "a.png").read_bytes() for folder in ("o1", "o2", "o3"))
    assert one == two != other


def test_pairs_say_what_goes_wrong() -> None:
    save("photos/a.png", Picture(samples(20, 20)))
    save("photos/tiny.png", Picture(samples(20, 5)))
    result = run("pairs", "--make", "edges", "photos", "pairs", "--lines", "dog")
    assert (result.exit_code, result.stdout) == (1, "pairs/a.png\n")
    assert result.stderr == "img2img: error: photos/tiny.png: 5x20 is too small: 16 pixels a side are the least\n"
    again = run("pairs", "--make", "edges", "photos", "pairs")
    assert again.exit_code == 2
    assert "--skip-existing" in again.stderr
    for args in (("photos", "pairs"), ("--make", "sepia", "photos", "pairs"), ("--make", "gray", "nowhere", "pairs")):
        assert run("pairs", *args).exit_code == 2


RECIPE = """
name = "tiny"
task = "translate"
steps = 2
warmup = 0
every = 2
precision = "fp32"
phases = [{ until = 1.0, patch = 32, batch = 1 }]
[model]
width = 4
depth = 4
[objective]
patch = 16
width = 4
"""


def test_pairs_train_a_model_which_translate_takes() -> None:
    for i in range(2):
        save(f"photos/{i}.png", Picture(samples(40, 40)))
    assert run("pairs", "--make", "down", "photos", "pairs").exit_code == 0
    Path("tiny.toml").write_text(RECIPE)
    args = ("train", "translate", "--data", "pairs", "--recipe", "tiny.toml", "--device", "cpu", "--out", "mine")
    trained = run(*args, "--gan", "hinge")
    assert trained.exit_code == 0, trained.stderr
    assert trained.stdout == "mine/best.safetensors\n"
    assert json.loads(run("info", "mine/best.safetensors").stdout)["task"] == "translate"
    assert translate("photos/0.png", "--model", "mine/best.safetensors").stdout == "photos/0_translated.png\n"
    refused = run(*args[:-1], "other", "--gan", "wgan")
    assert refused.exit_code == 1
    assert "vanilla, lsgan, hinge" in refused.stderr.splitlines()[-1]


def test_the_colours_of_facades_labels_are_listed() -> None:
    colours = json.loads(run("info", "facades").stdout)["label_colours"]
    assert len(colours) == 12
    assert colours["window"] == "#0080ff"


def test_a_drawing_on_a_transparent_ground_is_taken_as_on_white() -> None:
    opaque = np.full((40, 50, 3), 255, np.uint8)
    opaque[10:20, 10:30] = 0
    save("white.png", Picture(opaque))
    save("clear.png", Picture(np.zeros_like(opaque), alpha=255 - opaque[..., 0]))
    done = translate("white.png", "clear.png", "--model", "edges", "--engine", "onnx", "-o", "out/")
    assert done.exit_code == 0
    assert "clear.png: not kept: transparency (the ground is white)" in done.stderr
    white, clear = (read_picture(Path(f"out/{name}.png")) for name in ("white", "clear"))
    assert clear.alpha is None
    np.testing.assert_array_equal(white.samples, clear.samples)


def test_what_is_no_drawing_in_ink_is_said(tmp_path: Path) -> None:
    """A photograph, thin lines, and a drawing as it was learnt from."""
    photo = photographs.chelsea()[:64, :80]
    lines = np.full((64, 80), 255, np.uint8)
    lines[30] = 0
    ink = np.where(photographs.astronaut()[:64, 200:280].mean(2) < 100, 0, 255).astype(np.uint8)
    said = []
    for name, samples in (("photo", photo), ("lines", lines), ("ink", ink)):
        Image.fromarray(samples).save(tmp_path / f"{name}.png")
        result = run("translate", str(tmp_path / f"{name}.png"), "--model", "edges")
        assert result.exit_code == 0
        said.append(result.stderr)
    assert said[2] == ""
    assert "photo.png: not a drawing in ink: " in said[0]
    assert "lines.png: thin lines: 2 % of it is black" in said[1]
