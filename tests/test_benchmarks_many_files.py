"""The benchmark of many small files: all are made, and it says what they took."""

import json
from pathlib import Path

from img2img.benchmarks import many_files


def test_a_quarter_and_all_of_the_files(tmp_path: Path) -> None:
    lines: list[str] = []
    many_files.run(many_files.Settings(count=8, side=12, out=tmp_path), echo=lines.append)
    rows = json.loads((tmp_path / "many_files.json").read_text())["rows"]
    assert [(row["files"], row["made"]) for row in rows] == [(2, 2), (8, 8)]
    assert all(row["cpu_seconds"] > 0 and row["peak_mb"] > 20 for row in rows)
    assert "| 8 " in lines[0]
