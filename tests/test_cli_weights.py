"""`img2img weights` and `img2img info`."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import run

from img2img import checkpoints


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of two weights in place of the shipped ones."""
    (tmp_path / "denoise").mkdir()
    lines = []
    for name in ("small", "large"):
        data = name.encode() * 1000
        (tmp_path / "denoise" / f"{name}.safetensors").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        lines += [f"[{name}]", 'task = "denoise"', f'file = "denoise/{name}.safetensors"', f'sha256 = "{digest}"']
    (tmp_path / "index.toml").write_text("\n".join(lines))
    monkeypatch.setattr(checkpoints, "_folder", lambda: tmp_path)
    checkpoints.index.cache_clear()
    yield tmp_path
    checkpoints.index.cache_clear()


@pytest.mark.usefixtures("shelf")
def test_list_names_all() -> None:
    lines = run("weights", "list").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["NAME", "TASK"], ["small", "denoise"], ["large", "denoise"]]


@pytest.mark.usefixtures("shelf")
def test_verify_says_ok() -> None:
    assert run("weights", "verify").stdout == "small: ok\nlarge: ok\n"
    assert run("weights", "verify", "large").stdout == "large: ok\n"


def test_verify_tells_damaged_and_missing_ones_and_goes_on(shelf: Path) -> None:
    file = shelf / "denoise" / "small.safetensors"
    data = file.read_bytes()
    for damage in (lambda: file.write_bytes(data[:-1]), lambda: file.write_bytes(b"x" + data[1:]), file.unlink):
        damage()
        result = run("weights", "verify")
        assert (result.exit_code, result.stdout) == (1, "large: ok\n")
        assert len(result.stderr.splitlines()) == 1
        assert str(file) in result.stderr
    assert "missing" in run("weights", "list").stdout


def test_path_is_the_files(shelf: Path) -> None:
    assert run("weights", "path", "large").stdout == f"{shelf / 'denoise' / 'large.safetensors'}\n"


@pytest.mark.usefixtures("shelf")
@pytest.mark.parametrize("args", [("path", "huge"), ("verify", "huge"), ("path",)])
def test_wrong_names_are_wrong_use(args: tuple[str, ...]) -> None:
    result = run("weights", *args)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert args[1:] == () or "small, large" in result.stderr


def test_what_is_shipped_is_whole() -> None:
    result = run("weights", "verify")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout


def test_info_says_what_a_weight_file_says_of_itself(tmp_path: Path) -> None:
    import torch

    file = tmp_path / "mine.safetensors"
    header = {"task": "denoise", "config": {"widths": [8, 16]}, "score": {"psnr": 31.5}}
    checkpoints.save_checkpoint(file, {"unet.weight": torch.zeros(3)}, header)
    facts = json.loads(run("info", str(file)).stdout)
    assert facts.items() >= header.items()
    assert facts["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert facts["bytes"] == file.stat().st_size


def test_info_says_in_one_line_what_is_no_weight_file(tmp_path: Path) -> None:
    file = tmp_path / "no.safetensors"
    for data in (b"", b"\xff" * 100, b"\x00" * 8):
        file.write_bytes(data)
        result = run("info", str(file))
        assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)
        assert str(file) in result.stderr
    assert run("info", str(tmp_path / "nowhere")).exit_code == 2


def test_info_takes_a_name_or_a_file_and_says_when_it_is_neither() -> None:
    by_name = run("info", "denoise-fast")
    assert json.loads(by_name.stdout)["name"] == "denoise-fast"
    unknown = run("info", "denoise-slow")
    assert unknown.exit_code == 2
    assert "neither a file nor the name" in unknown.stderr
