"""Many workers for one list: processes of this machine, which are killed here, and Ray's actors."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shout
from click.testing import CliRunner, Result
from command_line import run as img2img
from image_files import encoded
from test_cli_batch import files, tree

from img2img.cli.pipeline import Pipeline, Task
from img2img.cli.plan import Job
from img2img.cli.workers import DIED, Workers
from img2img.images import Picture
from img2img.manifest import files_of, read, summary

pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOUT_SECONDS", "0.01")


def run(*args: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(shout.main, ["shout", *args], input=stdin)


def test_workers_do_what_one_process_does() -> None:
    files(**{f"in__{number:02}": f"text {number}" for number in range(30)}, in__bad="broken", in__bug="bug")
    alone, many = (run("in", "-o", out, *more) for out, more in (("1", ()), ("2", ("--workers", "2", "--json"))))
    assert (alone.exit_code, many.exit_code) == (1, 1)
    assert tree("1") == tree("2")
    lines = [json.loads(line) for line in many.stdout.splitlines()]
    assert sorted(line["output"] for line in lines) == [f"2/{number:02}.txt" for number in range(30)]
    assert {line["letters"] for line in lines} == {6, 7}
    assert sorted(many.stderr.splitlines()) == sorted(alone.stderr.splitlines())


def test_every_death_costs_one_picture_at_most() -> None:
    """One kills each process that computes it, one kills the first; the other files lose nothing."""
    special = {"in__05": "crash", "in__11": "crash once", "in__12": "once"}
    files(**{f"in__{number:02}": "x" for number in range(20)} | special)
    result = run("in", "--workers", "2", "--manifest", "run.jsonl")
    assert result.exit_code == 1
    assert result.stderr == f"img2img: error: in/05.txt: {DIED}\n"
    assert len(tree("in_loud")) == 19
    said = summary(files_of("run.jsonl"))
    assert (said["done"], said["failed"], said["left"]) == (19, 1, 1)
    assert said["reasons"] == {DIED: 1}


def test_what_cannot_start_is_said_once() -> None:
    Path("a.png").write_bytes(encoded(Picture(np.zeros((8, 8, 3), np.uint8)), "png"))
    result = img2img("denoise", "a.png", "--workers", "2", "--device", "mps")
    assert result.exit_code == 1
    assert "mps" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["-", "--workers", "2"],
        ["a.txt", "-o", "-", "--workers", "2"],
        ["a.txt", "--num-gpus", "1"],
        ["a.txt", "--num-cpus", "1"],
        ["a.txt", "--workers", "0"],
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str]) -> None:
    files(a="a")
    assert run(*arguments, stdin="x").exit_code == 2
    assert tree(".") == {"a.txt": "a"}


def start(*arguments: str, seconds: float = 0.01) -> "subprocess.Popen[str]":
    environment = os.environ | {"SHOUT_SECONDS": str(seconds)}
    command = [sys.executable, shout.__file__, *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupts_leave_whole_files_and_no_process(number: int) -> None:
    files(**{f"in__{n:02}": "wait" for n in range(40)})
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's children ignore it
    try:
        process = start("in", "--workers", "2", "--manifest", "run.jsonl", seconds=0.1)
    finally:
        signal.signal(signal.SIGINT, before)
    assert process.stdout is not None
    process.stdout.readline()
    workers = children(process.pid)
    assert len(workers) >= 2
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (130, "img2img: interrupted\n")
    until = time.monotonic() + 20
    while any(Path(f"/proc/{worker}").exists() for worker in workers):  # multiprocessing's own goes a bit later
        assert time.monotonic() < until
        time.sleep(0.05)
    assert set(tree("in_loud").values()) <= {"WAIT"}
    assert 0 < len(tree("in_loud")) < 40
    assert run("in", "--workers", "2", "--manifest", "run.jsonl").exit_code == 0
    assert len(tree("in_loud")) == 40


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's list of children")
def test_killed_at_random_moments_nothing_is_lost_and_the_manifest_agrees() -> None:
    count = 150
    files(**{f"in__{number:03}": f"wait {number}" for number in range(count)})
    chance = random.Random(0)
    arguments = ("in", "-o", "out", "--workers", "2", "--manifest", "run.jsonl")
    for kill_driver in (True, True, False):
        process = start(*arguments, seconds=0.02)
        assert process.stdout is not None
        for _ in range(chance.randrange(1, 20)):
            process.stdout.readline()
        workers = children(process.pid)
        os.kill(process.pid if kill_driver else chance.choice(workers), signal.SIGKILL)
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == (-9 if kill_driver else 0), stderr
    assert run(*arguments).exit_code == 0
    out = {name: text for name, text in tree("out").items() if not name.endswith(".part")}
    assert out == {f"{number:03}.txt": f"WAIT {number}" for number in range(count)}
    done = [record["output"] for record in read(files_of("run.jsonl")) if "output" in record]
    assert sorted(done) == sorted(f"out/{name}" for name in out)
    assert summary(files_of("run.jsonl"))["done"] == count


class Fake:
    """A crew that does jobs by a table: what becomes of each call, `x` for a death."""

    def __init__(self, fate: dict[str, list[str]]) -> None:
        self.count = 1
        self.fate = fate
        self.given: list[Job] = []
        self.closed = False

    def room(self, worker: int, held: int) -> int:
        return 3 - held

    def give(self, worker: int, jobs: Any) -> None:
        self.given += jobs

    def wait(self) -> Iterator[Any]:
        from img2img.cli.pipeline import Result as Done

        fate = self.fate[self.given[0].source]
        what = fate.pop(0) if fate else "y"
        if what == "x":
            self.given.clear()
            yield 0, None
            return
        job = self.given.pop(0)
        yield 0, [Done(job, error="" if what == "y" else what, again=what == "again")]

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("seed", range(20))
def test_every_job_ends_once_whatever_happens(seed: int) -> None:
    chance = random.Random(seed)
    fate = {str(n): chance.choices(["y", "x", "again", "wrong"], k=chance.randrange(4)) for n in range(30)}
    jobs = [Job(name, name + ".out", "txt") for name in fate]
    crew = Fake(fate)
    results = [*Workers(crew, jobs)]
    assert sorted(result.job.source for result in results) == sorted(fate)
    assert crew.closed


class Two:
    """A crew of two that take the same time, with much room."""

    count = 2

    def __init__(self) -> None:
        self.given: list[list[Job]] = [[], []]
        self.done = [0, 0]

    def room(self, worker: int, held: int) -> int:
        return 10 - held

    def give(self, worker: int, jobs: Any) -> None:
        self.given[worker] += jobs

    def wait(self) -> Iterator[Any]:
        from img2img.cli.pipeline import Result as Done

        for worker, jobs in enumerate(self.given):
            if jobs:
                self.done[worker] += 1
                yield worker, [Done(jobs.pop(0))]

    def close(self) -> None:
        pass


@pytest.mark.parametrize("count", [2, 8, 9, 100])
def test_a_short_list_is_shared_by_all_workers(count: int) -> None:
    crew = Two()
    jobs = [Job(str(n), f"{n}.out", "txt") for n in range(count)]
    assert len([*Workers(crew, jobs)]) == count
    assert abs(crew.done[0] - crew.done[1]) <= 1


def test_reading_and_writing_of_a_slow_store_overlap() -> None:
    """A store that answers 50 ms late: several requests are on their way while one picture is computed."""
    fsspec = pytest.importorskip("fsspec", reason="the extra remote is not installed")
    from fsspec.implementations.memory import MemoryFileSystem

    here, most = {"get": 0, "put": 0}, {"get": 0, "put": 0}
    lock = threading.Lock()

    class Slow(MemoryFileSystem):
        protocol = "slow"
        store: dict[str, Any] = {}  # noqa: RUF012 (as its parent's)
        pseudo_dirs = [""]  # noqa: RUF012

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return "/" + path.removeprefix("slow://").strip("/")

        def cat_file(self, path: str, start: Any = None, end: Any = None, **kwargs: Any) -> Any:
            return self._late("get", super().cat_file, path)

        def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> Any:
            return self._late("put", super().pipe_file, path, value, mode)

        def _late(self, kind: str, call: Any, *arguments: Any) -> Any:
            with lock:
                here[kind] += 1
                most[kind] = max(most[kind], here[kind])
            time.sleep(0.05)
            with lock:
                here[kind] -= 1
            return call(*arguments)

    fsspec.register_implementation("slow", Slow, clobber=True)
    system = fsspec.filesystem("slow")
    for number in range(12):
        MemoryFileSystem.pipe_file(system, f"/in/{number}.txt", b"x")
    jobs = [Job(f"slow://in/{number}.txt", f"slow://out/{number}.txt", "txt") for number in range(12)]
    task: Task[str, str] = Task(shout.read, shout.apply, shout.write, size=len)
    assert [result.error for result in Pipeline(task, jobs, 4, False)] == [""] * 12
    assert most["get"] == 4
    assert most["put"] >= 2


def test_ray_does_what_one_process_does() -> None:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    Path("in").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(100, 156, (16, 16, 3), np.uint8)
        Path(f"in/{number}.png").write_bytes(encoded(Picture(pixels), "png"))
    Path("in/bad.png").write_bytes(b"\x89PNG\r\n\x1a\nbad")
    options = ("denoise", "in", "--sigma", "9", "--engine", "onnx")
    alone = img2img(*options, "-o", "1")
    many = img2img(*options, "-o", "2", "--ray", "--workers", "1", "--json", "--manifest", "run.jsonl")
    assert (alone.exit_code, many.exit_code) == (1, 1), many.stderr
    assert {name.name: name.read_bytes() for name in Path("1").iterdir()} == {
        name.name: name.read_bytes() for name in Path("2").iterdir()
    }
    assert many.stderr == alone.stderr
    assert summary(files_of("run.jsonl"))["done"] == 3


def test_without_ray_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    files(a="a")
    monkeypatch.setitem(sys.modules, "ray", None)
    result = run("a.txt", "--ray")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "needs the extra ray" in result.stderr
