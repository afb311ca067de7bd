"""Lists of inputs and records of what is done, on the batch engine and on real commands."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shout
from click.testing import CliRunner, Result
from command_line import run as img2img
from image_files import encoded
from test_cli_batch import files, tree

from img2img.images import Picture
from img2img.manifest import files_of, path_of_shard, read, summary

pytestmark = pytest.mark.usefixtures("empty_folder")


def run(*args: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(shout.main, ["shout", *args], input=stdin)


def records(path: str = "run.jsonl") -> list[dict[str, Any]]:
    return [record for record in read(files_of(path)) if "output" in record]


def test_a_list_is_paths_in_order() -> None:
    files(in__b="b", in__a="a", c="c")
    Path("list").write_bytes(b"in/b.txt\n\nc.txt\r\n./in/a.txt\n")
    assert run("--files-from", "list").stdout.split() == ["in/b_loud.txt", "c_loud.txt", "./in/a_loud.txt"]
    absolute = str(Path("c.txt").absolute())
    result = run("--files-from", "-", "-o", "out", stdin=f"in/b.txt\n{absolute}\n")
    assert result.stdout.split() == ["out/in/b.txt", f"out{absolute}"]


def test_a_list_may_say_where_each_goes() -> None:
    files(a="a", b="b")
    lines = [{"input": "a.txt", "output": "x/1.caps"}, {"input": "b.txt"}]
    Path("list").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run("--files-from", "list", "-o", "out").stdout.split() == ["x/1.caps", "out/b.txt"]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["{broken"], "line 1: this is no JSON object"),
        (["", '{"output": "b.txt"}'], 'line 2: there is no "input"'),
        (['{"input": "a.txt", "output": 3}'], '"output" is no path'),
        (['{"input": "a.txt", "wrong": 3}'], "no option of one file is called 'wrong'"),
        (["a.txt", "a.txt"], "would both be written to out/a.txt"),
        (["../a.txt"], "has no place below out"),
        (["q3://b/a.txt"], "there is no scheme q3"),
        (['{"input": "a.txt", "output": "https://h/b.txt"}'], "nothing can be written"),
        (['{"input": "a.txt", "output": "b.pdf"}'], "does not tell a format"),
        (['{"input": "a.txt", "output": "out/b.txt"}', '{"input": "out/b.txt", "output": "c.txt"}'], "is an input"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused_before_anything_is_done(lines: list[str], why: str) -> None:
    pytest.importorskip("fsspec", reason="the extra remote is not installed")
    files(a="a")
    Path("list").write_text("\n".join(lines))
    result = run("--files-from", "list", "-o", "out")
    assert result.exit_code == 2
    assert why in result.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["a.txt", "list"]


def test_a_list_and_inputs_and_nothing_contradict_each_other() -> None:
    files(a="a")
    Path("list").write_text("a.txt\n")
    assert run("a.txt", "--files-from", "list").exit_code == 2
    assert run("--files-from", "nowhere").exit_code == 2
    assert "Missing argument 'INPUT...'" in run().stderr
    assert run("--files-from", "list", "-o", "-").exit_code == 2
    Path("empty").write_text("\n")
    assert "nothing in this list" in run("--files-from", "empty", "-o", "out").stderr


def test_what_is_missing_or_broken_in_a_list_is_a_failure_of_its_own() -> None:
    files(a="a", b="broken")
    result = run("--files-from", "-", "-o", "out", "--manifest", "run.jsonl", stdin="a.txt\nnone.txt\nb.txt\n")
    assert result.exit_code == 1
    assert tree("out") == {"a.txt": "A"}
    assert [record.get("error") for record in records()] == [None, "No such file or directory", "broken text"]


def test_shards_of_a_list_do_everything_once() -> None:
    names = [f"in/{number}.txt" for number in range(7)]
    files(**{f"in__{number}": "x" for number in range(7)})
    done = []
    for shard in ("1/3", "2/3", "3/3"):
        result = run("--files-from", "-", "-o", "out", "--shard", shard, "--manifest", "m", stdin="\n".join(names))
        assert result.exit_code == 0
        done += result.stdout.split()
    assert sorted(done) == [f"out/{name}" for name in names]
    assert len(records("m")) == 7
    # Another number of shards reads what these have done.
    again = run("--files-from", "-", "-o", "out", "--manifest", "m", stdin="\n".join(names))
    assert (again.exit_code, again.stdout) == (0, "")
    assert "7 are done already" in again.stderr


def test_a_manifest_resumes_and_tells_what_was_done() -> None:
    files(in__a="a", in__b="broken", in__c="ccc")
    assert run("in", "--manifest", "run.jsonl").exit_code == 1
    first = records()
    assert [(record["input"], record["output"]) for record in first] == [
        (f"in/{name}.txt", f"in_loud/{name}.txt") for name in "abc"
    ]
    assert {"size", "mtime", "bytes", "seconds", "facts", "weights", "version"} <= first[0].keys()
    assert (first[2]["size"], first[2]["bytes"], first[2]["facts"]) == (3, 3, {"letters": 3})
    assert first[1]["error"] == "broken text"

    files(in__b="mended", in__c="changed")
    result = run("in", "--manifest", "run.jsonl")
    assert result.exit_code == 0
    assert result.stdout.split() == ["in_loud/b.txt", "in_loud/c.txt"]
    assert [line.partition(": ")[2].partition(": ")[2] for line in result.stderr.splitlines()] == [
        "1 are done already",
        "1 have changed since and are done anew",
        "1 failed before and are tried again",
    ]
    assert tree("in_loud") == {"a.txt": "A", "b.txt": "MENDED", "c.txt": "CHANGED"}
    said = summary(files_of("run.jsonl"))
    assert (said["done"], said["failed"], said["left"]) == (3, 0, 0)
    assert json.loads(img2img("manifest", "run.jsonl").stdout) == said
    assert img2img("manifest", "none.jsonl").exit_code == 2


def test_a_first_run_refuses_outputs_that_exist_and_a_later_one_takes_its_own() -> None:
    files(in__a="a", in__b="b")
    files(in_loud__a="precious")
    assert run("in", "--manifest", "run.jsonl").exit_code == 2
    Path("in_loud/a.txt").unlink()
    assert run("in/a.txt", "-o", "in_loud/", "--manifest", "run.jsonl").exit_code == 0
    files(in_loud__b="B")  # written, and then the process was killed before it could take that down
    assert run("in", "--manifest", "run.jsonl").exit_code == 0
    Path("run.jsonl").write_text(json.dumps(records()[0]) + "\n")
    files(in_loud__b="precious")
    result = run("in", "--manifest", "run.jsonl")
    assert result.exit_code == 1
    assert "exists already, and is not what this run makes" in result.stderr
    assert tree("in_loud")["b.txt"] == "precious"
    assert run("in", "--manifest", "run.jsonl", "--overwrite").exit_code == 0
    assert tree("in_loud") == {"a.txt": "A", "b.txt": "B"}


def test_two_runs_do_not_write_one_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOUT_SECONDS", "0.01")
    files(in__a="wait", in__b="wait")
    environment = os.environ | {"SHOUT_SECONDS": "30"}
    command = [sys.executable, shout.__file__, "in", "--manifest", "run.jsonl"]
    first = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        while not (Path("run.jsonl").is_file() and Path("run.jsonl").stat().st_size):
            assert first.poll() is None
            time.sleep(0.02)
        result = run("in", "--manifest", "run.jsonl", "--skip-existing")
        assert result.exit_code == 2
        assert "another run writes this manifest" in result.stderr
    finally:
        first.kill()
        first.wait()
    assert run("in", "--manifest", "run.jsonl").exit_code == 0


def picture(name: str) -> None:
    pixels = np.random.default_rng(0).integers(100, 156, (24, 32, 3), np.uint8)
    Path(name).write_bytes(encoded(Picture(pixels), "png"))


def test_one_file_of_a_list_has_options_of_its_own() -> None:
    picture("a.png")
    lines = [{"input": "a.png", "output": f"{sigma}.png", "sigma": sigma} for sigma in (5, 20)]
    Path("list").write_text("".join(json.dumps(line) + "\n" for line in [*lines, {"input": "a.png"}]))
    result = img2img("denoise", "--files-from", "list", "--sigma", "5", "--json", "--manifest", "run.jsonl")
    assert result.exit_code == 0, result.stderr
    assert [json.loads(line)["sigma"] for line in result.stdout.splitlines()] == [5, 20, 5]
    one, other, same = (Path(name).read_bytes() for name in ("5.png", "20.png", "a_denoised.png"))
    assert one == same
    assert other != one
    assert records()[0]["options"] == records()[2]["options"] != records()[1]["options"]
    for wrong in ('{"input": "a.png", "sigma": 999}', '{"input": "a.png", "model": "/etc/passwd"}'):
        Path("list").write_text(wrong)
        assert img2img("denoise", "--files-from", "list", "-o", "out").exit_code == 2


def test_results_of_other_weights_or_options_are_not_mixed() -> None:
    picture("a.png")
    command = ("denoise", "a.png", "-o", "out/", "--manifest", "run.jsonl")
    assert img2img(*command, "--sigma", "5").exit_code == 0
    before = Path("out/a.png").read_bytes()
    assert img2img(*command, "--sigma", "5").stdout == ""
    refused = img2img(*command, "--sigma", "20")
    assert refused.exit_code == 2
    assert "1 of these outputs are results of other weights or options" in refused.stderr
    assert img2img(*command, "--sigma", "20", "--skip-existing").stdout == ""
    assert Path("out/a.png").read_bytes() == before
    assert img2img(*command, "--sigma", "20", "--overwrite").exit_code == 0
    assert Path("out/a.png").read_bytes() != before
    assert records()[0]["weights"].startswith("denoise-fast:")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_full_disk_ends_a_run_that_cannot_be_taken_down() -> None:
    files(a="a", b="b")
    Path("list").write_text("a.txt\nb.txt\n")
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); import shout; shout.main()"
    command = [sys.executable, "-c", code, "shout", "--files-from", "list", "--manifest", "run.jsonl"]
    environment = os.environ | {"PYTHONPATH": str(Path(shout.__file__).parent)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "img2img: error: --manifest run.jsonl: No space left on device\n")
    assert run("--files-from", "list", "--manifest", "run.jsonl").exit_code == 0
    assert len(records()) == 2


def test_a_million_entries_take_little_memory() -> None:
    """Here fifty thousand, in a process of its own: 33 bytes each beyond what thousands take."""
    code = (
        "import resource, sys; from img2img.cli.plan import make_plan; from img2img.cli.files_from import Listed\n"
        "import shout; from img2img.cli.shard import WHOLE\n"
        "plan = make_plan((), 'out', shout.NAMING, listed=Listed(sys.argv[1], None))\n"
        "print(len(plan.jobs), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for count in (5_000, 55_000):
        Path("list").write_text("".join(f"in/{number:06}.txt\n" for number in range(count)))
        environment = os.environ | {"PYTHONPATH": str(Path(shout.__file__).parent)}
        done = subprocess.run([sys.executable, "-c", code, "list"], env=environment, capture_output=True, text=True)
        entries, peak = done.stdout.split()
        assert int(entries) == count, done.stderr
        peaks.append(int(peak))
    assert (peaks[1] - peaks[0]) * 1024 / 50_000 < 150
    assert path_of_shard("a.jsonl", 0, 2) == "a.1-of-2.jsonl"
