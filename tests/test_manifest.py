"""The record of a run: what it says, that it survives what happens to processes, and that one process writes it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.errors import ManifestError
from img2img.manifest import Earlier, Manifest, files_of, path_of_shard, read, reason, summary
from img2img.stores import Stamp

MADE = ("net:abc", "12345678")
WAS, IS = Stamp(3, "mtime", "1"), Stamp(3, "mtime", "2")


def done(name: str, **more: Any) -> dict[str, Any]:
    record = {"input": name, "output": name + ".out", "size": 3, "mtime": "1", "bytes": 2, "seconds": 0.5}
    return record | {"weights": MADE[0], "options": MADE[1], "version": "1"} | more


def failed(name: str, error: str) -> dict[str, Any]:
    return {name: value for name, value in done(name).items() if name not in ("bytes", "seconds")} | {"error": error}


def test_states_follow_from_the_last_line_of_an_output() -> None:
    records = [{"planned": 4}, done("a"), done("b"), failed("b", "x"), failed("c", "x"), done("d", weights="old")]
    earlier = Earlier([*records, failed("e", "x"), done("e")])

    def state(name: str, stamp: Stamp | None = WAS) -> tuple[str, bool]:
        return earlier.state(name, name + ".out", stamp, MADE)

    assert len(earlier) == 5
    assert [state(name) for name in "abcdef"] == [
        ("done", True),
        ("failed", True),  # it was done before: the output that is there is ours
        ("failed", False),
        ("other", True),
        ("done", True),
        ("new", False),
    ]
    assert state("a", IS) == ("changed", True)
    assert state("a", None) == ("done", True)
    assert earlier.state("a", "elsewhere.out", WAS, MADE) == ("new", False)
    assert Earlier([]).state("a", "b", None, MADE) == ("new", False)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.booleans(), st.integers(0, 3)), max_size=60))
def test_any_history_is_understood_as_line_by_line(history: list[tuple[int, bool, int]]) -> None:
    records, last = [], {}
    for name, fine, mtime in history:
        record = done(str(name), mtime=str(mtime)) if fine else failed(str(name), "x")
        records.append(record)
        last[name] = "done" if fine and mtime == 1 else "changed" if fine else "failed"
    earlier = Earlier(records)
    for name in range(21):
        assert earlier.state(str(name), f"{name}.out", WAS, MADE)[0] == last.get(name, "new")


def test_lines_that_broke_off_hurt_nobody(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    file.write_bytes(json.dumps(done("a")).encode() + b"\n" + json.dumps(done("b")).encode()[:20])
    manifest = Manifest(str(file))
    manifest.add(done("c"))
    manifest.close()
    assert [record["input"] for record in read([file])] == ["a", "c"]


def test_every_line_is_there_when_the_process_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    code = (
        "import os, signal, sys; from img2img.manifest import Manifest\n"
        "manifest = Manifest(sys.argv[1])\n"
        "for i in range(1000): manifest.add({'input': str(i), 'output': 'x', 'version': '0'})\n"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(file)]).returncode == -9
    assert len([*read([file])]) == 1000
    Manifest(str(file)).close()  # nobody holds it any more


def test_one_process_writes_it(tmp_path: Path) -> None:
    file = str(tmp_path / "run.jsonl")
    manifest = Manifest(file)
    with pytest.raises(ManifestError, match="another run"):
        Manifest(file)
    manifest.close()
    Manifest(file).close()


def test_what_is_no_manifest_is_left_alone(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG")
    for name in (str(picture), str(tmp_path / "none" / "run.jsonl"), str(tmp_path), "memory://run.jsonl"):
        with pytest.raises(ManifestError):
            Manifest(name)
    assert picture.read_bytes() == b"\x89PNG"
    for text in (
        '{"input": "a.png", "output": "b.png"}\n',
        '{"input": "a", "output": "b", "error": "c"}\n',
        '{"a": 1}',
        "{",
    ):
        lines = tmp_path / "lines.jsonl"
        lines.write_text(text)
        with pytest.raises(ManifestError, match="no manifest"):
            Manifest(str(lines))
        assert lines.read_text() == text
    lines.write_text('{"planned":3,"beg')  # the power was cut
    Manifest(str(lines)).close()


def test_shards_have_files_of_their_own(tmp_path: Path) -> None:
    path = os.fspath(tmp_path / "run.jsonl")
    assert path_of_shard(path, 0, 1) == path
    names = [path_of_shard(path, index, 12) for index in range(12)]
    for name in (*names, path, str(tmp_path / "run.other.jsonl")):
        Path(name).touch()
    assert [str(file) for file in files_of(path)] == [path, *names]
    assert files_of(str(tmp_path / "none" / "run.jsonl")) == []


def test_the_summary_counts_each_output_once(tmp_path: Path) -> None:
    one, two = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    lines = [{"planned": 7}, failed("a", "/x/a.png: damaged at 17"), failed("b", "/x/b.png: damaged at 4"), done("a")]
    lines += [done(str(number), seconds=number, size=10) for number in range(3)]
    one.write_text("".join(json.dumps(line) + "\n" for line in lines))
    two.write_text(json.dumps({"planned": 1}) + "\n" + json.dumps(failed("c", "no disk")) + "\n")
    said = summary([one, two])
    assert (said["done"], said["failed"], said["planned"], said["left"]) == (4, 2, 8, 4)
    assert said["reasons"] == {"FILE damaged at N": 1, "no disk": 1}
    assert said["bytes"] == {"read": 33, "written": 8, "saved": 25}
    assert said["seconds"]["sum"] == 3.5
    assert (said["seconds"]["p50"], said["seconds"]["p100"]) == (0.75, 2.0)
    assert said["made_by"] == [{"weights": MADE[0], "options": MADE[1], "version": "1", "lines": 4}]
    assert reason("s3://b/x.png: damaged at 17") == reason("s3://b/y.png: damaged at 4")
