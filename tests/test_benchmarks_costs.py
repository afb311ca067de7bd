"""The model of costs: its arithmetic, and one task measured from command to file."""

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import run as img2img

from img2img.benchmarks import costs

ROW: dict[str, Any] = {
    "task": "denoise --sigma 25",
    "cpu_seconds_start": 2.0,
    "cpu_seconds_per_file": 0.01,
    "cpu_seconds_per_megapixel": 5.0,
    "bytes_read_per_megapixel": 4e5,
    "bytes_written_per_megapixel": 1e5,
}


def test_start_files_and_megapixels_add_up() -> None:
    assert costs.predicted(ROW, 11, 3.0) == pytest.approx(2.0 + 10 * 0.01 + 15.0)


def test_a_hundred_million_pictures_are_priced() -> None:
    price = costs.priced(ROW, {"read": 0.01, "write": 0.02})
    assert price["core_hours"] == pytest.approx(60.01e8 / 3600)
    assert price["gpu_hours_reckoned"] == pytest.approx(1e8 * 12e6 * costs.DENOISER * 1e3 / 25e12 / 3600)
    assert price["core_hours_beside_gpus"] == pytest.approx(1e4)
    assert price["terabytes"] == pytest.approx(600)
    assert costs.priced(ROW | {"task": "compress"}, {})["gpu_hours_reckoned"] is None


def test_a_task_from_command_to_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "CHECK", (64, 64))
    monkeypatch.setattr(costs, "MANY", 2)
    lines: list[str] = []
    settings = costs.Settings(tasks=("compress",), with_workers=("compress",), large=(96, 64), rounds=1, out=tmp_path)
    costs.run(settings, echo=lines.append)
    record = json.loads((tmp_path / "costs.json").read_text())
    (row,) = record["rows"]
    assert row["cpu_seconds_start"] > 0
    assert [each["count"] for each in row["workers"]] == [1, 2]
    assert 0 < row["bytes_written_per_megapixel"] < row["bytes_read_per_megapixel"]
    assert record["files_alone_cpu_seconds_per_megapixel"]["read"] > 0
    assert "| `compress` " in lines[-1]


def test_a_task_that_there_is_not() -> None:
    result = img2img("bench", "costs", "--task", "paint")
    assert result.exit_code == 2
    assert "no task 'paint'; there are denoise, " in result.stderr
