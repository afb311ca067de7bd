"""The benchmark that kills: what it breaks is repaired by the command, and what is wrong in the end it sees."""

import json
from pathlib import Path

import pytest

from img2img.benchmarks import kills
from img2img.manifest import Manifest


def test_the_moments_are_the_seeds_and_leave_something_to_do() -> None:
    settings = kills.Settings(count=1000, kills=20)
    faults = kills.schedule(settings)
    assert faults == kills.schedule(settings)
    assert faults != kills.schedule(kills.Settings(count=1000, kills=20, seed=1))
    assert sorted(fault.kind for fault in faults) == sorted(kills.KINDS * 5)
    assert [fault.after for fault in faults] == sorted(fault.after for fault in faults)
    assert faults[-1].after < 950
    assert {fault.kind for fault in kills.schedule(kills.Settings(store="memory"))} == {"driver", "storage"}


def test_what_is_wrong_in_the_end_is_seen(tmp_path: Path) -> None:
    place, settings = kills.Folder(tmp_path), kills.Settings(count=4)
    expected = [bytes([number]) for number in range(kills.DISTINCT)]
    manifest = Manifest(str(tmp_path / "run.jsonl"))
    manifest.add({"planned": 4})
    for number in range(4):
        file = tmp_path / "the_out" / kills.name_of(number)
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(expected[number])
        manifest.add({"input": "x", "output": f"{place.target}/{kills.name_of(number)}", "bytes": 1})
    assert kills.judged(expected, settings, place, tmp_path / "run.jsonl")["wrong"] == {}
    (tmp_path / "the_out" / kills.name_of(1)).write_bytes(b"half")
    (tmp_path / "the_out" / kills.name_of(2)).unlink()
    (tmp_path / "the_out" / "0000" / ".x.part").write_bytes(b"")
    manifest.add({"input": "x", "output": f"{place.target}/{kills.name_of(3)}", "bytes": 1})
    manifest.close()
    assert kills.judged(expected, settings, place, tmp_path / "run.jsonl")["wrong"] == {
        "wrong bytes": 1,
        "missing": 1,
        "strange files": 1,
        "wrong sizes in the manifest": 2,
        "not once in the manifest": 1,
    }


def test_a_folder_that_is_away_cannot_be_read_or_written(tmp_path: Path) -> None:
    place = kills.Folder(tmp_path)
    place.put(kills.name_of(0), b"x")
    place.down()
    with pytest.raises(NotADirectoryError):
        Path(place.source, kills.name_of(0)).read_bytes()
    with pytest.raises(NotADirectoryError):
        Path(place.target, "x").mkdir()
    place.up()
    assert Path(place.source, kills.name_of(0)).read_bytes() == b"x"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's list of children")
def test_killed_in_a_folder(tmp_path: Path) -> None:
    """One death of each kind would take half a minute: the seed's first is a driver's, the other a worker's."""
    lines: list[str] = []
    kills.run(kills.Settings(count=40, kills=2, side=8, out=tmp_path), echo=lines.append)
    record = json.loads((tmp_path / "kills_local_folder.json").read_text())
    assert (record["outputs"], record["wrong"], record["starts"]) == (40, {}, 2)
    assert {fault["kind"] for fault in record["faults"] if fault["happened"]} == {"driver", "worker"}
    assert "| local  | folder  | 40 " in lines[0]


def test_interrupted_in_memory() -> None:
    pytest.importorskip("fsspec", reason="the extra remote is not installed")
    record = kills.run(kills.Settings(count=60, kills=2, side=8, store="memory", outage=0.1), echo=lambda _: None)
    assert (record["outputs"], record["wrong"]) == (60, {})
    assert record["starts"] >= 2
