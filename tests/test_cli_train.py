"""`img2img train` and `img2img bench` hand their options on, and print where the results are."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from command_line import run

from img2img.images import Picture, write_picture

RECIPE = """
name = "tiny"
task = "denoise"
steps = 2
warmup = 1
every = 2
precision = "fp32"
phases = [{ until = 1.0, patch = 16, batch = 2 }]
[model]
network = "unet"
widths = [8, 8]
blocks = 1
"""


@pytest.fixture(autouse=True)
def _pictures_and_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(RECIPE)
    Path("photos").mkdir()
    rng = np.random.default_rng(0)
    for n in range(3):
        smooth = rng.random((8, 9, 3)).repeat(8, 0).repeat(8, 1)
        write_picture(Picture((255 * smooth).astype(np.uint8)), Path(f"photos/{n}.png"), "png")


def train(*args: str) -> Result:
    return run("train", "denoise", "--data", "photos", "--recipe", "tiny.toml", "--device", "cpu", *args)


def test_train_prints_the_file_of_the_best_weights_which_denoise_takes() -> None:
    result = train("--out", "mine", "--steps", "4")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "mine/best.safetensors\n"
    facts = json.loads(run("info", "mine/best.safetensors").stdout)
    assert (facts["task"], facts["name"], facts["training"]["steps"]) == ("denoise", "tiny", 4)
    denoised = run("denoise", "photos/0.png", "--model", "mine/best.safetensors", "--sigma", "10", "--device", "cpu")
    assert (denoised.exit_code, denoised.stdout) == (0, "photos/0_denoised.png\n")


def test_train_resumes_only_when_told() -> None:
    assert train("--out", "mine").exit_code == 0
    refused = train("--out", "mine")
    assert refused.exit_code == 1
    assert "--resume" in refused.stderr.splitlines()[-1]
    assert train("--out", "mine", "--steps", "4", "--resume").stdout == "mine/best.safetensors\n"


def test_bench_measures_the_models_asked_for() -> None:
    assert train("--out", "mine").exit_code == 0
    model = "mine/best.safetensors"
    options = ("--limit", "1", "--sigma", "10,40", "--no-auto", "--no-peers", "--device", "cpu")
    result = run("bench", "denoise", "--data", "photos", "--model", model, "--out", "numbers", *options)
    assert result.exit_code == 0, result.stderr
    record = json.loads(Path("numbers/denoise.json").read_text())
    assert record["images"] == ["0.png"]
    assert {row["method"] for row in record["summary"]} == {"noisy", model}
    assert {row["sigma"] for row in record["summary"]} == {10, 40}
    assert "PSNR at 10 / 40" in result.stdout


@pytest.mark.parametrize(
    "args",
    [
        ("train", "juggling", "--data", "photos"),
        ("train", "denoise"),
        ("train", "denoise", "--data", "nowhere"),
        ("train", "denoise", "--data", "photos", "--steps", "0"),
        ("bench", "juggling"),
        ("bench", "denoise", "--sigma", "10,many"),
        ("bench", "denoise", "--model", "nothing"),
    ],
)
def test_wrong_use_is_one_line_and_code_2(args: tuple[str, ...]) -> None:
    result = run(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(r"img2img: error: .*\n", result.stderr)
