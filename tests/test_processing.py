"""`img2img.process`, and the unit of work behind it, which the commands and the service do as well."""

import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run
from PIL import Image
from test_front import NOISY, clean, png

import img2img
from img2img.processing import Unit


def test_work_can_be_sent_to_another_process() -> None:
    """By spawn, as on Windows: nothing that the parent has is there."""
    assert pickle.loads(pickle.dumps(img2img.process)) is img2img.process
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        options = {"model": "denoise-fast", "sigma": 25, "device": "cpu", "engine": "onnx"}
        data, facts = pool.submit(img2img.process, "denoise", png(), **options).result()
        failed = pool.submit(img2img.process, "denoise", b"abc", **options).exception()
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(data))), clean(NOISY))
    assert facts == {"width": 64, "height": 48, "sigma": 25.0, "lost": []}
    assert isinstance(failed, img2img.ImageError)


def test_process_does_what_the_command_does(tmp_path: Path) -> None:
    source, target = tmp_path / "photo.png", tmp_path / "out.png"
    source.write_bytes(png(exif=b"Exif\0\0", icc=None))
    arguments = ["--model", "denoise-fast", "--sigma", "25", "--device", "cpu", "--engine", "onnx", "-o", str(target)]
    subprocess.run([sys.executable, "-m", "img2img", "denoise", str(source), *arguments], check=True, cwd=tmp_path)
    options = {"model": "denoise-fast", "sigma": 25, "device": "cpu", "engine": "onnx"}
    assert target.read_bytes() == img2img.process("denoise", source.read_bytes(), **options)[0]
    lost = img2img.process("denoise", png(NOISY.astype(np.uint16) * 257), format="jpg", **options)[1]["lost"]
    assert any("16" in what for what in lost)


CONTRADICTIONS: dict[str, tuple[str, dict[str, Any], str]] = {
    "a level for a blind network": ("denoise", {"model": "denoise-photo", "sigma": 5}, "finds the noise itself"),
    "a level out of range": ("denoise", {"sigma": 300}, "0 to 255, not 300"),
    "two targets": ("compress", {"bpp": 1, "psnr": 30}, "bpp and psnr contradict each other"),
    "two views": ("decompress", {"region": (0, 0, 4, 4), "preview": True}, "region and preview contradict"),
    "hints for drawings": ("translate", {"model": "edges", "hint": ("1,2,red",)}, "hint and hints are for models"),
    "a hint of no colour": ("translate", {"model": "colorize", "hint": ("1,2,blurple",)}, "blurple"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_what_does_not_go_together_is_refused_before_anything_is_loaded(name: str) -> None:
    task, options, words = CONTRADICTIONS[name]
    model = options.get("model")
    own = {key: value for key, value in options.items() if key != "model"}
    with pytest.raises(img2img.InputError, match=words):
        Unit.of(task, model, {"device": "no such device"}, **own)
    with pytest.raises(img2img.InputError, match=words):
        img2img.process(task, b"", **options)


@pytest.mark.usefixtures("empty_folder")
def test_a_command_says_the_same_with_its_own_names() -> None:
    Path("a.png").write_bytes(png())
    refused = run("denoise", "a.png", "--model", "denoise-photo", "--sigma", "5", "--workers", "2")
    assert (refused.exit_code, "leave out --sigma, or use --model" in refused.stderr) == (2, True)
