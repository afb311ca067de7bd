"""The benchmark of the batch engines: each way makes the same, and what it took is told."""

import json
import os
import sys
from pathlib import Path

import pytest

from img2img.benchmarks import processes, workers
from img2img.errors import Img2ImgError

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's list of children")


def test_every_way_makes_the_same(tmp_path: Path) -> None:
    lines: list[str] = []
    settings = workers.Settings(
        count=2, side=24, small=4, small_sides=(16,), batch=2, rounds=1, ray=False, out=tmp_path / "out"
    )
    workers.run(settings, echo=lines.append)
    record = json.loads((tmp_path / "out" / "workers.json").read_text())
    assert [row["way"] for row in record["rows"]] == [*workers.ways(tmp_path, tmp_path, ray=False)]
    assert all(row["same_bytes"] for row in record["rows"])
    assert record["rows"][0]["cpu_seconds_overhead_percent"] == 0
    (shape,) = record["batches"]
    assert shape["side"] == 16
    assert shape["largest_difference"] <= 1
    assert "| --workers 2 " in lines[-2]


def test_what_a_command_starts_is_counted() -> None:
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    command = [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"]
    taken = processes.taken_by([command, command])
    assert 0.8 < taken.cpu_seconds < 2
    assert taken.seconds > 0.4
    assert 3 < taken.peak_mb < 100


def test_a_command_that_fails_is_told() -> None:
    with pytest.raises(Img2ImgError, match="failed: no such thing"):
        processes.taken_by([[sys.executable, "-c", "import sys; sys.exit('no such thing')"]], dict(os.environ))
