"""The benchmark of long lists: every way gives a first result, and the manifest it makes is understood."""

import json
from pathlib import Path

import pytest

from img2img.benchmarks import long_lists
from img2img.errors import Img2ImgError


def test_every_way_has_a_first_result(tmp_path: Path) -> None:
    lines: list[str] = []
    long_lists.run(long_lists.Settings(count=120, out=tmp_path), echo=lines.append)
    rows = json.loads((tmp_path / "long_lists.json").read_text())["rows"]
    assert [row["what"] for row in rows][-2:] == ["--files-from --manifest, all but 3 done", "img2img manifest"]
    assert len(rows) == 7
    assert all(row["first_seconds"] > 0 and row["peak_mb"] > 20 for row in rows)
    assert rows[-2]["manifest_bytes"] > 117 * 100


def test_a_command_that_gives_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(Img2ImgError, match="no such file"):
        long_lists.until_the_first([long_lists.installed_command(), "denoise", "none.png"], tmp_path)
