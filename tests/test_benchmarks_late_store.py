"""The benchmark of a store that answers late: it waits, counts, and sees that work overlaps."""

import json
from pathlib import Path

import pytest

from img2img.benchmarks import late_store

pytest.importorskip("fsspec", reason="the extra remote is not installed")


def test_waiting_overlaps_with_itself_and_is_counted(tmp_path: Path) -> None:
    lines: list[str] = []
    settings = late_store.Settings(count=8, side=8, late=0.1, jobs=(1, 8), out=tmp_path)
    late_store.run(settings, echo=lines.append)
    at_once, one, eight = json.loads((tmp_path / "late_store.json").read_text())["rows"]
    assert (at_once["late"], one["late"], one["jobs"], eight["jobs"]) == (0, 0.1, 1, 8)
    # Of eight that come one after another each waits for its own; eight at a time wait together.
    assert one["seconds_per_picture"] > 0.1
    assert eight["seconds_per_picture"] < one["seconds_per_picture"] / 2
    assert one["requests_per_picture"]["get"] == one["requests_per_picture"]["put"] == 1
    assert "| 100 ms  | 8 " in lines[0]
