"""`img2img texture` on real files, with a small descriptor that has learnt nothing."""

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from command_line import command, run
from skimage import data as photographs
from skimage.transform import resize
from untrained_texture import JUDGED, write_descriptor

from img2img.images import FORMATS, Picture, read_picture, write_picture

pytestmark = pytest.mark.usefixtures("empty_folder")

FOLDER = TemporaryDirectory()


@cache
def descriptor() -> str:
    return str(write_descriptor(Path(FOLDER.name)))


def texture(*args: str) -> Result:
    return run("texture", "--device", "cpu", "--descriptor", descriptor(), "--size", "24x20", "--steps", "4", *args)


def gravel(side: int = 32, channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    grey = photographs.gravel()[:side, :side, None].astype(float) / 255
    values = np.concatenate([grey, 0.8 * grey + 0.1, grey**2], 2)[..., :channels]
    return np.rint(values * np.iinfo(dtype).max).astype(dtype)


def save(name: str, samples: np.ndarray, **more: Any) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    write_picture(Picture(samples, **more), Path(name), FORMATS[Path(name).suffix])


def pixels(name: str) -> np.ndarray:
    return read_picture(Path(name)).samples


def test_one_sample_gives_one_texture() -> None:
    save("pebbles.png", gravel())
    result = texture("pebbles.png")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "pebbles_texture.png\n", "")
    assert pixels("pebbles_texture.png").shape == (20, 24, 3)
    again = texture("pebbles.png")
    assert (again.exit_code, again.stdout) == (2, "")
    assert "already" in again.stderr


def test_a_folder_with_a_bad_file_gives_the_others() -> None:
    save("in/sixteen.tiff", gravel(32, 3, np.uint16))
    save("in/grey.png", gravel(32, 1))
    save("in/alpha.png", gravel(), alpha=gravel(32, 1)[..., 0], icc=None)
    Path("in/text.jpg").write_text("I am no picture")
    result = texture("in", "--size", "32", "--errors", "errors.jsonl", "--json")
    assert result.exit_code == 1
    assert re.fullmatch(r"img2img: error: in/text.jpg: not an image.*\n", result.stderr)
    facts = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(fact["output"], fact["width"], fact["height"], fact["seed"]) for fact in facts] == [
        (f"in_texture/{name}", 32, 32, 0) for name in ("alpha.png", "grey.png", "sixteen.tiff")
    ]
    assert pixels("in_texture/sixteen.tiff").dtype == np.uint16
    assert len(np.unique(pixels("in_texture/sixteen.tiff") % 257)) > 50  # more than 8 bits spread out
    assert pixels("in_texture/grey.png").shape == (32, 32, 1)
    assert read_picture(Path("in_texture/alpha.png")).alpha is None
    assert len(Path("errors.jsonl").read_text().splitlines()) == 1


def test_the_seed_decides_the_bytes_and_count_goes_on_from_it() -> None:
    save("a.png", gravel())
    assert texture("a.png", "--seed", "7", "--count", "3").stdout == "".join(f"a_texture_{i}.png\n" for i in (1, 2, 3))
    assert texture("a.png", "--seed", "8", "-o", "eight.png").exit_code == 0
    made = [Path(name).read_bytes() for name in ("a_texture_1.png", "a_texture_2.png", "a_texture_3.png")]
    assert len(set(made)) == 3
    assert Path("eight.png").read_bytes() == made[1]
    assert texture("a.png", "--count", "10", "-o", "out/", "--steps", "1").stdout.splitlines()[0] == "out/a_01.png"


def test_numbered_results_are_no_samples_of_the_next_run() -> None:
    save("in/a.png", gravel())
    save("in/a_texture_2.png", gravel())
    save("in/a_texture.png", gravel())
    save("in/b_texture_2.png", gravel())
    result = texture("in", "--steps", "1")
    assert result.stdout.splitlines() == ["in_texture/a.png", "in_texture/b_texture_2.png"]
    assert "2 earlier results" in result.stderr


def test_a_mixture_is_one_texture_of_all() -> None:
    for name, level in {"black": 20, "white": 235}.items():
        noise = np.random.default_rng(0).integers(-20, 21, (32, 32, 3))
        save(f"{name}.png", (level + noise).astype(np.uint8))
    means = {}
    for share in ("0", "0.5", "1"):
        result = texture("black.png", "white.png", "--mix", share, "-o", f"{share}.png", "--steps", "15")
        assert (result.exit_code, result.stdout) == (0, f"{share}.png\n")
        means[share] = pixels(f"{share}.png").mean()
    assert means["0"] < 60 < 90 < means["0.5"] < 180 < 200 < means["1"]
    assert texture("black.png", "white.png", "black.png", "--mix", "1,2,1").stdout == "black_texture.png\n"


def test_a_bad_sample_of_a_mixture_is_named() -> None:
    save("a.png", gravel())
    Path("b.png").write_text("I am no picture")
    result = texture("a.png", "b.png", "--mix", "0.5")
    assert result.exit_code == 1
    assert re.fullmatch(r"img2img: error: a.png: b.png: not an image.*\n", result.stderr)


def test_the_report_holds_every_measure() -> None:
    save("a.png", gravel(40))
    save("flat.png", np.full((32, 32, 3), 90, np.uint8))
    result = texture("a.png", "flat.png", "--count", "2", "--report", "report.json", "--tileable", "--colour", "match")
    assert result.exit_code == 0, result.stderr
    report = json.loads(Path("report.json").read_text())
    entries = report["textures"]
    assert [entry["output"] for entry in entries] == [
        f"{name}_texture_{i}.png" for name in ("a", "flat") for i in (1, 2)
    ]
    for entry in entries:
        assert entry.keys() - {"scale"} == {
            *("output", "samples", "method", "descriptor", "loss", "start", "steps", "tileable", "colour", "width"),
            *("height", "seed", "gram_distance", "copy_rate", "copy_distance", "seam", "diversity"),
        }
        assert (entry["steps"], entry["tileable"], entry["colour"]) == (4, True, "match")
        assert entry["seam"].keys() == {"horizontal", "vertical"}
    first, second, flat, _ = entries
    assert (first["samples"], first["seed"], second["seed"]) == (["a.png"], 0, 1)
    assert first["diversity"] == second["diversity"] > 0.3
    assert 0 <= first["copy_rate"] < 1
    assert (flat["copy_rate"], flat["copy_distance"]) == (0, None)
    assert first["gram_distance"].keys() == JUDGED
    assert all(0 < distance < 1 for distance in first["gram_distance"].values())
    assert flat["diversity"] == pytest.approx(0, abs=1e-6)
    assert flat["seam"] == {"horizontal": 0, "vertical": 0}
    again = texture("a.png", "-o", "b.png", "--report", "report.json")
    assert again.exit_code == 0
    (entry,) = json.loads(Path("report.json").read_text())["textures"]
    assert entry["diversity"] is None


def test_a_seam_beyond_the_limit_fails_but_the_texture_is_there() -> None:
    smooth = resize(photographs.gravel()[:20, :20] / 255, (64, 64), order=3)
    save("a.png", np.repeat(np.rint(255 * smooth[..., None]).astype(np.uint8), 3, 2))
    arguments = ("a.png", "--size", "64", "--steps", "4", "--max-seam", "4")
    result = texture(*arguments, "-o", "seam.png")
    assert (result.exit_code, result.stdout) == (1, "seam.png\n")
    lines = result.stderr.splitlines()
    assert 1 <= len(lines) <= 2
    for line in lines:
        assert re.fullmatch(r"img2img: error: seam.png: its \w+ seam score [\d.]+ is above 4", line)
    assert pixels("seam.png").shape == (64, 64, 3)
    tileable = texture(*arguments, "--tileable", "-o", "torus.png")
    assert (tileable.exit_code, tileable.stderr) == (0, "")


def test_tiny_and_flat_samples() -> None:
    save("tiny.png", gravel(8))
    save("pixel.png", gravel(1))
    save("flat.png", np.full((32, 32, 1), 77, np.uint8))
    assert texture("tiny.png", "pixel.png", "flat.png", "-o", "out/").exit_code == 0
    assert abs(pixels("out/flat.png").astype(int) - 77).max() <= 1
    assert pixels("out/pixel.png").shape == (20, 24, 3)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--size", "0x10"), "is no size such as 640x480"),
        (("--size", "ten"), "is no size such as 640x480"),
        (("--size", "20000x20000"), "more than --max-pixels"),
        (("--steps", "0"), "0 is not in the range"),
        (("--count", "0"), "0 is not in the range"),
        (("--count", "2", "-o", "-"), "none can go to standard output"),
        (("--seed", "2147483647", "--count", "2"), "no seed beyond"),
        (("--mix", "0.5"), "two samples or more"),
        (("a.png", "--mix", "2"), "between 0 and 1"),
        (("b.png", "--mix", "0,0"), "not all shares can be 0"),
        (("b.png", "--mix", "1,2,3"), "3 shares for 2 samples"),
        (("b.png", "--mix", "x"), "no number of 0 or more"),
        (("b.png", "--mix", "-1,2"), "no number of 0 or more"),
        (("folder", "--mix", "0.5"), "neither folders nor standard input"),
        (("missing.png", "--mix", "0.5"), "no such file"),
        (("b.png", "--mix", "0.5", "-o", "b.png", "--overwrite"), "b.png is an input"),
        (("--descriptor", "vgg"), "no descriptor is called 'vgg'"),
        (("--descriptor-weights", "a.png"), "is for --descriptor vgg19"),
        (("--report", "a.png"), "is no report"),
        (("--report", "nowhere/report.json"), "nothing can be written"),
        (("--max-seam", "0"), "no number above 0"),
        (("--method", "magic"), "'magic' is not"),
        (("--method", "patches"), "--descriptor has no part in --method patches"),
        (("--map", "n=b.png", "--method", "optimize"), "--map is done by patches"),
        (("--map", "b.png"), "no map such as"),
        (("--map", "n=missing.png"), "no such file"),
        (("--start", "patches", "b.png", "--mix", "0.5"), "--start patches is for one sample"),
        (("--tileable", "--tile-axis", "x"), "contradict"),
    ],
)
def test_wrong_use_is_one_line_and_code_2(args: tuple[str, ...], words: str) -> None:
    save("a.png", gravel(8))
    save("b.png", gravel(8))
    Path("folder").mkdir()
    result = texture("a.png", *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(r"img2img: error: .*\n", result.stderr)
    assert words in result.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["a.png", "b.png", "folder"]


def test_what_does_not_fit_into_memory_is_one_line() -> None:
    save("a.png", gravel(8))
    result = texture("a.png", "--size", "2000000x100000", "--max-pixels", "1000000000000")
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.fullmatch(r"img2img: error: a.png: a texture of 2000000x100000 pixels takes about .*\n", result.stderr)
    result = run("texture", "a.png", "--size", "2000000x100000", "--max-pixels", "1000000000000", "--method", "patches")
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.fullmatch(r"img2img: error: a.png: 2000000x100000 pixels, made of .* GB are free\n", result.stderr)


def test_missing_and_damaged_weights_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    save("a.png", gravel(8))
    Path("cut.safetensors").write_bytes(b"\x10")
    monkeypatch.setenv("IMG2IMG_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path().resolve()))
    for args in (("vgg19",), ("vgg19", "--descriptor-weights", "cut.safetensors"), ("cut.safetensors",)):
        result = run("texture", "a.png", "--descriptor", *args)
        assert (result.exit_code, result.stdout) == (1, "")
        assert re.fullmatch(r"img2img: error: .*\n", result.stderr)
    assert "IMG2IMG_OFFLINE" in run("texture", "a.png", "--descriptor", "vgg19").stderr


def test_the_bar_shows_the_loss_and_goes_away(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    save("a.png", gravel())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with pytest.raises(SystemExit) as end:
        command()(
            ["texture", "a.png", "--descriptor", descriptor(), "--device", "cpu", "--size", "64", "--steps", "150"]
        )
    out, error = capfd.readouterr()
    assert (end.value.code, out) == (None, "a_texture.png\n")
    assert re.search(r"\d+/150 .*level 1/1, loss [\d.e-]+", error)
    assert error.endswith(" \r")


def test_patches_are_the_samples_pixels_and_leave_its_transparent_ones_out() -> None:
    samples = gravel(64, 3, np.uint16)
    alpha = np.full((64, 64), 65535, np.uint16)
    alpha[20:40, 20:50] = 0
    samples[alpha == 0] = 0
    save("a.png", samples, alpha=alpha)
    result = run("texture", "a.png", "--method", "patches", "--size", "50x41", "--max-seam", "9")
    assert (result.exit_code, result.stderr) == (0, "")
    made = read_picture(Path("a_texture.png"))
    assert (made.samples.shape, made.samples.dtype, made.alpha) == ((41, 50, 3), np.uint16, None)
    there = {tuple(colour) for colour in samples[alpha > 0]}
    assert {tuple(colour) for colour in made.samples.reshape(-1, 3)} <= there
    assert run("texture", "a.png", "--method", "patches", "--size", "50x41", "-o", "b.png").exit_code == 0
    assert Path("b.png").read_bytes() == Path("a_texture.png").read_bytes()
    save("a.png", samples, alpha=np.zeros_like(alpha))
    result = run("texture", "a.png", "--method", "patches", "-o", "c.png")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "transparent" in result.stderr


def patches(*args: str) -> Result:
    return run("texture", *args)


def numbered(height: int, width: int) -> np.ndarray:
    """A map whose values say which pixel it is of."""
    return np.arange(height * width, dtype=np.uint16).reshape(height, width, 1)


def test_maps_are_put_together_as_the_texture_is_value_for_value() -> None:
    sample = gravel(60)
    save("a.png", sample)
    save("where.png", numbered(60, 60))
    result = patches("a.png", "--map", "where=where.png", "--size", "70x50")
    assert (result.exit_code, result.stdout) == (0, "a_texture.png\na_texture_where.png\n")
    where = pixels("a_texture_where.png")[..., 0]
    assert (where.dtype, where.shape) == (np.uint16, (50, 70))
    np.testing.assert_array_equal(pixels("a_texture.png"), sample.reshape(-1, 3)[where])
    Path("a_texture.png").unlink()
    again = patches("a.png", "--map", "where=where.png", "--size", "70x50")
    assert (again.exit_code, again.stderr.count("\n")) == (1, 1)
    assert "a_texture_where.png exists already" in again.stderr
    result = patches("a.png", "--map", "where=where.png", "--size", "70x50", "--count", "2", "--json", "-o", "out/")
    facts = [json.loads(line) for line in result.stdout.splitlines()]
    assert [fact["maps"] for fact in facts] == [{"where": f"out/a_{i}_where.png"} for i in (1, 2)]
    assert (pixels("out/a_1_where.png") != pixels("out/a_2_where.png")).mean() > 0.5
    save("small.png", numbered(59, 60))
    result = patches("a.png", "--map", "n=small.png", "-o", "b.png")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "60x59" in result.stderr


def test_a_picture_is_made_seamless_by_what_is_near_its_border() -> None:
    rows, columns = np.mgrid[0:80, 0:96]
    slope = gravel(96)[:80] // 2 + (rows + columns)[..., None].astype(np.uint8) // 2
    save("a.png", slope, exif=None)
    save("where.png", numbered(80, 96))
    result = patches("a.png", "--seamless", "--map", "where=where.png", "--max-seam", "4")
    assert (result.exit_code, result.stdout) == (0, "a_seamless.png\na_seamless_where.png\n")
    made, where = pixels("a_seamless.png"), pixels("a_seamless_where.png")
    inside = (slice(16, -16), slice(16, -16))
    np.testing.assert_array_equal(made[inside], slope[inside])
    np.testing.assert_array_equal(made, slope.reshape(-1, 3)[where[..., 0]])
    assert (made != slope).any()
    result = patches("a.png", "--seamless", "--tile-axis", "x", "-o", "x.png")
    assert result.exit_code == 0
    np.testing.assert_array_equal(pixels("x.png")[:, 16:-16], slope[:, 16:-16])


def test_holes_are_filled_with_what_is_around_them() -> None:
    sample = gravel(90)
    hole = np.zeros((90, 90, 1), np.uint8)
    hole[30:50, 40:70] = 255
    holed = np.where(hole > 0, np.uint8([255, 0, 255]), sample)
    save("a.png", holed)
    save("hole.png", hole)
    save("where.png", numbered(90, 90))
    result = patches("a.png", "--fill", "hole.png", "--map", "where=where.png")
    assert (result.exit_code, result.stdout) == (0, "a_filled.png\na_filled_where.png\n")
    made, where = pixels("a_filled.png"), pixels("a_filled_where.png")[..., 0]
    outside = hole[..., 0] == 0
    np.testing.assert_array_equal(made[outside], sample[outside])
    assert outside.reshape(-1)[where].all()
    save("hole.png", hole[:-1])
    assert "the mask has 90x89 pixels" in patches("a.png", "--fill", "hole.png", "-o", "b.png").stderr
    save("hole.png", np.full_like(hole, 255))
    assert patches("a.png", "--fill", "hole.png", "-o", "b.png").exit_code == 1


def test_a_picture_is_extended_around_itself() -> None:
    sample = gravel(50)
    save("a.png", sample)
    result = patches("a.png", "--extend", "9,0,20,13")
    assert (result.exit_code, result.stdout) == (0, "a_extended.png\n")
    made = pixels("a_extended.png")
    assert made.shape == (63, 79, 3)
    np.testing.assert_array_equal(made[:50, 9:59], sample)
    for words in (
        ("--extend", "9,9"),
        ("--extend", "0"),
        ("--extend", "5", "--seamless"),
        ("--extend", "5", "--size", "9"),
    ):
        assert patches("a.png", *words, "-o", "b.png").exit_code == 2


def test_what_a_mask_or_transparency_hides_is_not_seen_by_other_methods_either() -> None:
    sample = gravel(64) // 2 + 128
    alpha = np.full((64, 64), 255, np.uint8)
    alpha[10:40, 20:50] = 0
    sample[alpha == 0] = 0
    save("a.png", sample, alpha=alpha)
    save("mask.png", alpha[..., None])
    save("black.png", sample)
    assert texture("a.png", "--size", "64").exit_code == 0
    assert texture("black.png", "--mask", "mask.png", "--size", "64").exit_code == 0
    assert pixels("a_texture.png").min() > 60
    np.testing.assert_array_equal(pixels("a_texture.png"), pixels("black_texture.png"))
    assert texture("black.png", "--size", "64", "-o", "hole.png").exit_code == 0
    assert pixels("hole.png").min() < 30


def test_a_texture_may_fit_itself_along_one_axis_only() -> None:
    smooth = resize(photographs.gravel()[:20, :20] / 255, (64, 64), order=3)
    save("a.png", np.repeat(np.rint(255 * smooth[..., None]).astype(np.uint8), 3, 2))
    result = texture("a.png", "--size", "70x64", "--tile-axis", "x", "--report", "r.json", "--steps", "8")
    assert result.exit_code == 0, result.stderr
    (entry,) = json.loads(Path("r.json").read_text())["textures"]
    assert entry["tileable"] == "x"
    assert abs(entry["seam"]["horizontal"]) < 3 < entry["seam"]["vertical"]


def test_a_report_outlives_wrong_use_and_what_is_skipped() -> None:
    save("in/a.png", gravel())
    save("in/b.png", gravel(40))
    arguments = ("in", "--method", "patches", "--size", "40")
    first = run("texture", *arguments, "--report", "r.json", "--descriptor", "random", "--device", "cpu")
    assert first.exit_code == 0, first.stderr
    before = Path("r.json").read_bytes()
    assert run("texture", *arguments, "--report", "r.json").exit_code == 2  # the outputs exist
    assert Path("r.json").read_bytes() == before
    Path("in_texture/b.png").unlink()
    more = ("--skip-existing", "--report", "r.json", "--descriptor", "random", "--device", "cpu")
    assert run("texture", *arguments, *more).exit_code == 0
    assert json.loads(Path("r.json").read_text()) == json.loads(before)
    smooth = resize(photographs.gravel()[:20, :20] / 255, (64, 64), order=3)
    save("in_texture/a.png", np.repeat(np.rint(255 * smooth[..., None]).astype(np.uint8), 3, 2))
    result = run("texture", *arguments, "--skip-existing", "--max-seam", "4")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "in_texture/a.png: its" in result.stderr


# The command line as it is where PyTorch is not installed: importing it raises ImportError.
WITHOUT_TORCH = (
    "import sys; sys.modules['torch'] = None; from importlib.metadata import entry_points;"
    "entry_points(group='console_scripts', name='img2img')['img2img'].load()()"
)


def without_torch(*args: str, threads: int = 2) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_TORCH, "texture", "a.png", *args]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_without_pytorch_the_default_gives_the_same_bytes_for_any_number_of_threads() -> None:
    save("a.png", gravel())
    for threads in (1, 3):
        more = ("--size", "48x40", "--steps", "4", "--tileable", "--report", f"{threads}.json")
        made = without_torch("-o", f"{threads}.png", *more, threads=threads)
        assert (made.returncode, made.stderr) == (0, "")
    assert Path("1.png").read_bytes() == Path("3.png").read_bytes()
    (report,) = json.loads(Path("1.json").read_text())["textures"]
    assert (report["method"], report["start"]) == ("optimize", "patches")
    assert 0 < report["gram_distance"]["relu1_2"] < 0.05


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        (("--loss", "swd"), "the loss swd"),
        (("--descriptor", "random"), "the descriptor random"),
        (("--method", "network"), "the method network"),
        (("--engine", "torch"), "the engine torch"),
    ],
)
def test_what_needs_pytorch_says_how_to_get_it(asked: tuple[str, ...], what: str) -> None:
    save("a.png", gravel())
    missing = without_torch("-o", "b.png", *asked)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.startswith(f"img2img: error: {what} needs PyTorch")
    assert len(missing.stderr.splitlines()) == 1
    if asked[0] != "--engine":
        refused = run("texture", "a.png", "-o", "b.png", "--engine", "onnx", *asked)
        assert refused.stderr == f"img2img: error: {what} is not for the engine onnx, but for torch\n"


def test_a_large_sample_is_seen_as_a_whole_and_a_line_says_so() -> None:
    large = resize(photographs.gravel()[:12, :16] / 255, (240, 320), order=1)[..., None]
    save("a.png", np.rint(255 * large).astype(np.uint8))
    result = patches("a.png", "--method", "patches", "--size", "60")
    assert (result.exit_code, result.stdout) == (0, "a_texture.png\n")
    assert re.fullmatch(r"img2img: a.png: a sample of 320x240 is made \d+x\d+, so .*\(scale 0.\d+\)\n", result.stderr)
    result = patches("a.png", "--method", "patches", "--size", "60", "--scale", "1", "-o", "b.png")
    assert (result.exit_code, result.stderr) == (0, "")
    steps = [abs(np.diff(pixels(name)[..., 0].astype(int))).mean() for name in ("a_texture.png", "b.png")]
    assert steps[0] > 2 * steps[1]  # more things in as many pixels
    for words in (("--scale", "0"), ("--scale", "x"), ("--seamless", "--scale", "0.5")):
        assert patches("a.png", *words, "-o", "c.png").exit_code == 2
    assert "max-pixels" in patches("a.png", "--scale", "9000", "-o", "c.png").stderr
