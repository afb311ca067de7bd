"""`img2img denoise` on real files, with a small untrained network where the result's quality is not the question."""

import json
import re
import subprocess
import sys
from importlib.metadata import entry_points
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from img2img.checkpoints import save_checkpoint
from img2img.images import DEFAULT_QUALITY, FORMATS, MAX_PIXELS, Picture, read_picture, write_picture
from img2img.metrics import psnr
from img2img.tasks.denoise import DenoisingUNet

(command,) = entry_points(group="console_scripts", name="img2img")
SKIMAGE_PHOTO = "chelsea.png"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A weight file as training makes it, of a network that has learnt nothing."""
    torch.manual_seed(0)
    config: dict[str, Any] = {"widths": [8, 16], "blocks": [1, 1]}
    tensors = {f"unet.{name}": tensor for name, tensor in DenoisingUNet(**config).state_dict().items()}
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    save_checkpoint(path, tensors, {"task": "denoise", "network": "unet", "config": config})
    return str(path)


def run(*args: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(command.load(), ["denoise", "--device", "cpu", *args], input=stdin)


def samples(height: int, width: int, channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)


def save(name: str, picture: Picture) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    write_picture(picture, Path(name), FORMATS[Path(name).suffix])


def test_a_folder_of_all_kinds_comes_out_as_it_went_in(model: str) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"  # lies on its side
    Path("in/deep").mkdir(parents=True)
    Image.fromarray(samples(20, 30, 1)[..., 0]).save("in/grey.jpg", exif=exif)
    save("in/deep/sixteen.tiff", Picture(samples(17, 9, 3, np.uint16)))
    save("in/alpha.png", Picture(samples(12, 13), alpha=samples(12, 13, 1)[..., 0]))
    save("in/one.png", Picture(samples(1, 1)))
    Path("in/text.jpg").write_text("I am no picture")
    Path("in/half.png").write_bytes(Path("in/alpha.png").read_bytes()[:200])
    result = run("-r", "in", "--model", model, "--sigma", "25", "--json", "--errors", "errors.jsonl")
    assert result.exit_code == 1
    assert re.fullmatch(r"img2img: error: in/half\.png: .*\nimg2img: error: in/text\.jpg: .*\n", result.stderr)
    facts = {(line := json.loads(text))["input"]: line for text in result.stdout.splitlines()}
    assert list(facts) == ["in/alpha.png", "in/grey.jpg", "in/one.png", "in/deep/sixteen.tiff"]
    assert (facts["in/grey.jpg"]["width"], facts["in/grey.jpg"]["height"]) == (20, 30)
    assert all(line["sigma"] == 25 and line["seconds"] > 0 for line in facts.values())
    assert len(Path("errors.jsonl").read_text().splitlines()) == 2
    for line in facts.values():
        before, after = read_picture(Path(line["input"])), read_picture(Path(line["output"]))
        assert after.samples.shape == before.samples.shape
        assert after.samples.dtype == before.samples.dtype
        assert after.format == before.format
        assert after.exif == before.exif
        assert (after.alpha is None) == (before.alpha is None)
        if after.alpha is not None and before.alpha is not None:
            np.testing.assert_array_equal(after.alpha, before.alpha)
    assert read_picture(Path("in_denoised/deep/sixteen.tiff")).bits == 16


def test_strength_0_gives_the_picture_back(model: str) -> None:
    save("a.png", Picture(samples(23, 31, 3, np.uint16)))
    assert run("a.png", "--model", model, "--sigma", "25", "--strength", "0").stdout == "a_denoised.png\n"
    np.testing.assert_array_equal(read_picture(Path("a_denoised.png")).samples, read_picture(Path("a.png")).samples)
    assert run("a.png", "--model", model, "--sigma", "25", "-o", "b.png").exit_code == 0
    assert (read_picture(Path("b.png")).samples != read_picture(Path("a.png")).samples).any()


def test_the_same_input_gives_the_same_bytes_from_a_file_and_through_a_pipe(model: str) -> None:
    save("a.png", Picture(samples(40, 50)))
    args = ("--model", model, "--sigma", "25")
    assert run("a.png", *args).exit_code == 0
    piped = run("-", *args, stdin=Path("a.png").read_bytes())
    assert (piped.exit_code, piped.stderr) == (0, "")
    assert piped.stdout_bytes == Path("a_denoised.png").read_bytes()
    jpeg = run("a.png", *args, "-o", "-", "--format", "jpg", "--quality", "30").stdout_bytes
    assert Image.open(BytesIO(jpeg)).format == "JPEG"
    assert len(jpeg) < len(run("a.png", *args, "-o", "-", "--format", "jpg").stdout_bytes)


def test_tiles_are_used(model: str) -> None:
    save("a.png", Picture(samples(100, 90)))
    for tile in ("auto", "32"):
        args = ("--sigma", "25", "--precision", "fp32", "--tile", tile, "-o", f"{tile}.tiff")
        assert run("a.png", "--model", model, *args).exit_code == 0
    whole, tiled = (read_picture(Path(f"{tile}.tiff")).to_tensor() for tile in ("auto", "32"))
    assert (whole != tiled).any()  # an untrained network sees further than its tiles overlap
    assert psnr(whole, tiled) > 25


def test_too_large_a_picture_fails_alone(model: str) -> None:
    save("in/a.png", Picture(samples(10, 10)))
    save("in/b.png", Picture(samples(11, 10)))
    result = run("in", "--model", model, "--sigma", "25", "--max-pixels", "100")
    assert (result.exit_code, result.stdout) == (1, "in_denoised/a.png\n")
    assert "in/b.png" in result.stderr
    assert "--max-pixels" in result.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--model", "denoise-nothing"), "there are denoise-photo, "),
        (("--sigma", "300"), "300"),
        (("--sigma", "much"), "'much' is neither auto nor a number from 0 to 255"),
        (("--sigma", "nan"), "'nan' is neither auto nor a number from 0 to 255"),
        (("--strength", "3"), "3"),
        (("--format", "doc"), "doc"),
        (("--tile", "1"), "'1' is neither auto nor a whole number from 32 on"),
        (("--device", "abacus"), "abacus"),
        (("-o", "x.bmp"), "does not tell a format"),
    ],
)
def test_wrong_use_is_one_line_and_code_2(args: tuple[str, ...], words: str) -> None:
    save("a.png", Picture(samples(8, 8)))
    result = run("a.png", *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(r"img2img: error: .*\n", result.stderr)
    assert words in result.stderr
    assert [path.name for path in Path().iterdir()] == ["a.png"]


def test_a_damaged_weight_file_is_one_line(model: str) -> None:
    save("a.png", Picture(samples(8, 8)))
    Path("cut.safetensors").write_bytes(Path(model).read_bytes()[:-100])
    for file in ("cut.safetensors", "a.png"):
        result = run("a.png", "--model", file, "--sigma", "25")
        assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
        assert file in result.stderr


def test_documented_defaults_are_the_librarys() -> None:
    shown = " ".join(run("--help").stdout.split())
    assert f"[default: {MAX_PIXELS};" in shown
    lossy = DEFAULT_QUALITY
    assert f"else {lossy['jpg']} (avif, heic: {lossy['avif']})" in shown
    assert lossy["jpg"] == lossy["webp"]
    assert all(name in shown for name in FORMATS.values())


def test_the_shipped_weights_clean_a_photograph_without_being_told_the_noise() -> None:
    import skimage

    clean = read_picture(Path(skimage.__file__).parent / "data" / SKIMAGE_PHOTO).samples[:192, 100:356]
    noise = np.random.default_rng(0).normal(0, 25, clean.shape)
    save("noisy.png", Picture(np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)))
    result = run("noisy.png", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    facts = json.loads(result.stdout)
    assert 20 < facts["sigma"] < 30
    before, after = (read_picture(Path(facts[key])).samples / 255 for key in ("input", "output"))
    assert psnr(clean / 255, after) > psnr(clean / 255, before) + 8


def test_one_picture_does_not_wait_for_what_it_does_not_need(model: str) -> None:
    save("a.png", Picture(samples(8, 8)))
    code = (
        "import sys; from importlib.metadata import entry_points\n"
        "(command,) = entry_points(group='console_scripts', name='img2img')\n"
        f"try: command.load()(['denoise', 'a.png', '--sigma', '25', '--model', {model!r}])\n"
        "except SystemExit as end: assert not end.code\n"
        "print(sorted({'torchvision', 'compressai', 'kornia', 'lightning', 'skimage', 'scipy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "a_denoised.png\n[]\n"
