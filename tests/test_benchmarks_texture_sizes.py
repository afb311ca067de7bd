"""What textures of several sizes cost."""

from pathlib import Path

import pytest
from command_line import run

from img2img.benchmarks import texture_sizes


def test_each_size_by_each_method(tmp_path: Path) -> None:
    methods = ("quilting", "patches", "optimize")
    settings = texture_sizes.Settings(methods=methods, sizes=(64, 96), rounds=1, out=tmp_path)
    said: list[str] = []
    record = texture_sizes.run(settings, echo=said.append)
    assert [(row["size"], row["method"]) for row in record["rows"]] == [(s, m) for s in (64, 96) for m in methods]
    assert all(row["seconds"] > 0.1 and row["peak_mb"] > 20 for row in record["rows"])
    assert (tmp_path / "texture_sizes.json").is_file()
    table = texture_sizes.table(record["rows"]).splitlines()
    assert [line.split("|")[1].strip() for line in table[2:]] == ["64x64", "96x96"]
    assert "patches, 96x96" in said[4]


def test_it_is_a_command(tmp_path: Path) -> None:
    result = run("bench", "texture-sizes", "--sample", str(tmp_path / "gone.png"))
    assert result.exit_code == 2
    assert "gone.png" in result.stderr


def test_no_sample_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texture_sizes, "SAMPLE", "nothing.png")
    result = run("bench", "texture-sizes")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "nothing.png" in result.stderr
