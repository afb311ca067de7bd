"""The batch engine, on real files and in real processes; `shout.py` is the command that it runs here."""

import io
import json
import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import shout
from click.testing import CliRunner, Result

from img2img.cli import pipeline
from img2img.cli.pipeline import Pipeline, Task
from img2img.cli.plan import Job
from img2img.whole_file import whole_file

SCRIPT = [sys.executable, shout.__file__]


@pytest.fixture(autouse=True, scope="module")
def _interrupts_arrive() -> Iterator[None]:
    """A shell starts its background jobs with SIGINT ignored, and so would be every process that a test starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOUT_SECONDS", "0.01")
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)


def no_links(_source: str, _target: str, **_directory: int) -> None:
    """`os.link` on a file system that has none, FAT for one."""
    raise PermissionError(1, "Operation not permitted")


def files(**texts: str) -> None:
    """Write text files: in__a="x" is in/a.txt."""
    for name, text in texts.items():
        path = Path(name.replace("__", "/") + ".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def run(*args: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(shout.main, ["shout", *args], input=stdin)


def tree(folder: str) -> dict[str, str]:
    """Every file below a folder and what it holds; hidden ones, too."""
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def test_a_file_gives_a_file_and_its_path() -> None:
    files(note="hello")
    result = run("note.txt")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "note_loud.txt\n", "")
    assert tree(".") == {"note.txt": "hello", "note_loud.txt": "HELLO"}


def test_a_folder_gives_a_folder_in_order() -> None:
    files(in__b="b", in__a="a", in__x__c="c")
    result = run("-r", "in", "--jobs", "2")
    assert result.exit_code == 0
    assert result.stdout.split() == ["in_loud/a.txt", "in_loud/b.txt", "in_loud/x/c.txt"]
    assert tree("in_loud") == {"a.txt": "A", "b.txt": "B", "x/c.txt": "C"}


def test_standard_input_gives_standard_output_and_nothing_else() -> None:
    result = run("-", stdin="hello")
    assert (result.exit_code, result.stdout_bytes, result.stderr) == (0, b"HELLO", "")
    files(note="hello")
    assert run("note.txt", "-o", "-").stdout_bytes == b"HELLO"
    assert run("-", "-o", "new/x.txt", stdin="hello").stdout == "new/x.txt\n"
    assert tree("new") == {"x.txt": "HELLO"}
    assert run("-", "--json", stdin="hello").exit_code == 2


def test_bad_files_are_reported_and_the_rest_goes_on() -> None:
    files(in__a="good", in__b="broken", in__c="bug", in__d="memory", in__e="good")
    Path("in/f.txt").symlink_to("nowhere")
    result = run("in", "--errors", "bad.jsonl")
    assert result.exit_code == 1
    assert tree("in_loud") == {"a.txt": "GOOD", "e.txt": "GOOD"}
    assert result.stdout.split() == ["in_loud/a.txt", "in_loud/e.txt"]
    assert result.stderr.splitlines() == [
        "img2img: error: in/b.txt: broken text",
        "img2img: error: in/c.txt: ZeroDivisionError: a bug in two lines",
        "img2img: error: in/d.txt: out of memory; a smaller --tile needs less",
        "img2img: error: in/f.txt: No such file or directory",
    ]
    failures = [json.loads(line) for line in Path("bad.jsonl").read_text().splitlines()]
    assert [failure["input"] for failure in failures] == ["in/b.txt", "in/c.txt", "in/d.txt", "in/f.txt"]
    assert failures[0] == {"input": "in/b.txt", "output": "in_loud/b.txt", "error": "broken text"}


def test_the_list_of_failures_is_this_runs_and_replaces_nothing_else() -> None:
    files(good="good", bad="broken")
    assert run("bad.txt", "--errors", "list.jsonl").exit_code == 1
    assert run("good.txt", "--errors", "list.jsonl").exit_code == 0
    assert Path("list.jsonl").read_text() == ""
    for name in ("bad.txt", "no/such/folder.jsonl"):
        assert run("good.txt", "--overwrite", "--errors", name).exit_code == 2
    assert Path("bad.txt").read_text() == "broken"


def test_an_empty_folder_is_said() -> None:
    files(in__x__a="a")
    Path("empty").mkdir()
    result = run("empty", "in")
    assert result.exit_code == 1
    assert [line.split(":")[2].strip() for line in result.stderr.splitlines()] == ["empty", "in"]
    assert "-r" in result.stderr


@pytest.mark.parametrize("jobs", ["1", "4"])
def test_fail_fast_stops(jobs: str) -> None:
    files(**{f"in__{n:02}": "broken" if n == 2 else "good" for n in range(30)})
    result = run("in", "--fail-fast", "--jobs", jobs)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert {"00.txt", "01.txt"} <= tree("in_loud").keys()
    assert len(tree("in_loud")) <= 3 + int(jobs)
    assert result.stdout.split() == [f"in_loud/{name}" for name in tree("in_loud")]


def test_debug_shows_the_traceback_before_and_after_the_command() -> None:
    files(bug="bug")
    assert "Traceback" not in run("bug.txt").stderr
    assert "in apply" in run("bug.txt", "--debug").stderr
    assert "in apply" in CliRunner().invoke(shout.main, ["--debug", "shout", "bug.txt"]).stderr


def test_existing_outputs_are_refused_before_anything_is_computed() -> None:
    files(in__a="a", in__b="b", in_loud__b="old")
    result = run("in")
    assert (result.exit_code, tree("in_loud")) == (2, {"b.txt": "old"})
    assert result.stderr == "img2img: error: in_loud/b.txt exists already; use --skip-existing or --overwrite\n"
    result = run("in", "--skip-existing")
    assert (result.exit_code, result.stdout) == (0, "in_loud/a.txt\n")
    assert tree("in_loud") == {"a.txt": "A", "b.txt": "old"}
    assert run("in", "--overwrite").exit_code == 0
    assert tree("in_loud") == {"a.txt": "A", "b.txt": "B"}
    assert run("in", "--overwrite", "--skip-existing").exit_code == 2


@pytest.mark.parametrize(("option", "code"), [((), 1), (("--skip-existing",), 0), (("--overwrite",), 0)])
@pytest.mark.parametrize("links", [True, False])
def test_an_output_that_comes_into_being_meanwhile(
    option: tuple[str, ...], code: int, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def apply(text: str) -> tuple[str, dict[str, Any]]:
        Path("a_loud.txt").write_text("somebody else's")
        return text.upper(), {}

    monkeypatch.setattr(shout, "apply", apply)
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    files(a="mine")
    assert run("a.txt", *option).exit_code == code
    assert Path("a_loud.txt").read_text() == ("MINE" if option == ("--overwrite",) else "somebody else's")
    assert len(list(Path().iterdir())) == 2


@pytest.mark.parametrize("links", [True, False])
def test_a_new_file_has_the_rights_of_the_umask(links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    before = os.umask(0o027)
    try:
        with whole_file("x.txt", overwrite=False) as file:
            file.write(b"x")
    finally:
        os.umask(before)
    assert Path("x.txt").stat().st_mode & 0o777 == 0o640
    assert tree(".") == {"x.txt": "x"}


def test_a_file_that_is_not_finished_leaves_nothing() -> None:
    Path("x.txt").write_text("old")
    half = whole_file("x.txt", overwrite=True)
    half.__enter__().write(b"half")
    assert not half.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert tree(".") == {"x.txt": "old"}


def test_a_name_as_long_as_names_can_be() -> None:
    name = "n" * 251 + ".txt"
    Path(name).write_text("long")
    assert run(name, "-o", "out/").exit_code == 0
    assert tree("out") == {name: "LONG"}


def test_a_name_that_is_no_text() -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    Path(name).write_text("x")
    done = subprocess.run([*SCRIPT, name], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"caf\xe9_loud.txt\n")
    assert subprocess.run([*SCRIPT, name], capture_output=True, check=False).returncode == 2


def test_a_file_where_a_folder_should_be_fails_alone() -> None:
    files(in__a="a", in__x__b="b")
    Path("out").mkdir()
    Path("out/x").write_text("in the way")
    result = run("-r", "in", "-o", "out")
    assert result.exit_code == 1
    assert result.stderr == "img2img: error: in/x/b.txt: cannot write out/x/b.txt: Not a directory\n"
    assert tree("out") == {"a.txt": "A", "x": "in the way"}


def test_a_full_disk_fails_alone_and_leaves_no_part() -> None:
    files(in__a="a", in__b="b" * 100_000, in__c="c")
    done = subprocess.run(
        [*SCRIPT, "in"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),  # as if nothing more fitted
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "img2img: error: in/b.txt: cannot write in_loud/b.txt: File too large\n"
    assert tree("in_loud") == {"a.txt": "A", "c.txt": "C"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_whole_files_and_skip_existing_goes_on(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOUT_SECONDS", "0.25")
    texts = {f"{n:03}.txt": f"wait {n} " * 5000 for n in range(40)}
    files(**{f"in__{name.removesuffix('.txt')}": text for name, text in texts.items()})
    with subprocess.Popen([*SCRIPT, "in"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for _ in range(3):
            process.stdout.readline()
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (130, "img2img: interrupted\n")
    assert 3 <= len(tree("in_loud")) < 40
    assert all(text == texts[name].upper() for name, text in tree("in_loud").items())
    monkeypatch.setenv("SHOUT_SECONDS", "0")
    assert subprocess.run([*SCRIPT, "in", "--skip-existing"], capture_output=True, check=False).returncode == 0
    assert tree("in_loud") == {name: text.upper() for name, text in texts.items()}


def has_nameless_files(folder: Path) -> bool:
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR))
    except (AttributeError, OSError):
        return False
    return True


def test_a_killed_process_leaves_no_part() -> None:
    if not has_nameless_files(Path()):
        pytest.skip("this file system has no files without a name")
    program = """
import os, signal
from img2img.whole_file import whole_file
with whole_file("out/x.txt", overwrite=False) as file:
    file.write(bytes(1_000_000))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert list(Path("out").iterdir()) == []


def test_a_process_killed_when_its_file_has_got_a_name_leaves_no_other() -> None:
    if not has_nameless_files(Path()):
        pytest.skip("this file system has no files without a name")
    program = """
import os, signal
from img2img.whole_file import whole_file
link = os.link
os.link = lambda *names, **more: (link(*names, **more), os.kill(os.getpid(), signal.SIGKILL))
with whole_file("out/x.txt", overwrite=False) as file:
    file.write(b"whole")
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert tree("out") == {"x.txt": "whole"}


def test_a_killed_run_leaves_whole_files_and_skip_existing_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOUT_SECONDS", "0.1")
    texts = {f"{n:03}.txt": f"wait {n} " * 50_000 for n in range(30)}
    files(**{f"in__{name.removesuffix('.txt')}": text for name, text in texts.items()})
    with subprocess.Popen([*SCRIPT, "in"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for _ in range(3):
            process.stdout.readline()
        process.kill()
    left = {name: text for name, text in tree("in_loud").items() if not name.endswith(".part")}
    assert 3 <= len(left) < 30
    assert all(text == texts[name].upper() for name, text in left.items())
    monkeypatch.setenv("SHOUT_SECONDS", "0")
    assert subprocess.run([*SCRIPT, "in", "--skip-existing"], capture_output=True, check=False).returncode == 0
    assert {name: text for name, text in tree("in_loud").items() if name in texts} == {
        name: text.upper() for name, text in texts.items()
    }


@pytest.mark.parametrize("option", ["--skip-existing", "--overwrite"])
def test_two_runs_on_one_folder_at_once(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOUT_SECONDS", "0.02")
    texts = {f"{n:03}.txt": f"wait {n} " * 5000 for n in range(20)}
    files(**{f"in__{name.removesuffix('.txt')}": text for name, text in texts.items()})
    command = [*SCRIPT, "in", option]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [run.communicate(timeout=60) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert tree("in_loud") == {name: text.upper() for name, text in texts.items()}
    written = [path for stdout, _ in said for path in stdout.splitlines()]
    assert set(written) == {f"in_loud/{name}" for name in texts}
    if option == "--skip-existing":
        assert len(written) == len(texts)  # each by one of the two


def test_a_folder_that_may_not_be_written_to_fails_in_one_line_a_file() -> None:
    files(in__a="a", in__b="b")
    Path("closed").mkdir(mode=0o500)
    try:
        if os.access("closed", os.W_OK):
            pytest.skip("who may do everything is not refused")
        result = run("in", "-o", "closed/out")
    finally:
        Path("closed").chmod(0o700)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"img2img: error: in/{name}.txt: cannot write closed/out/{name}.txt: Permission denied" for name in "ab"
    ]


def mounted(options: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command with a file system of its own at `disk`, and list what is there; skips who may not mount."""
    Path("disk").mkdir()
    script = f'mount -t tmpfs -o {options} none disk || exit 99; "$@"; code=$?; ls -A disk >&2; exit $code'
    apart = ["unshare", "-m", "sh", "-c"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*apart, script, "sh", "true"], capture_output=True).returncode
    ):
        pytest.skip("nothing can be mounted here")
    return subprocess.run([*apart, script, "sh", *SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_a_read_only_file_system_fails_in_one_line_a_file() -> None:
    files(in__a="a", in__b="b")
    done = mounted("ro", "in", "-o", "disk")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"img2img: error: in/{name}.txt: cannot write disk/{name}.txt: Read-only file system" for name in "ab"
    ]


def test_a_disk_that_is_full_takes_what_fits_and_no_part() -> None:
    files(in__a="a", in__b="b" * 200_000, in__c="c")
    # One writer: while two write, c.txt may meet the full disk before b.txt has given its room back.
    done = mounted("size=100k", "in", "-o", "disk", "--jobs", "1")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "img2img: error: in/b.txt: cannot write disk/b.txt: No space left on device",
        "a.txt",
        "c.txt",
    ]


def test_a_manifest_on_a_read_only_file_system_is_refused() -> None:
    files(in__a="a")
    done = mounted("ro", "in", "--manifest", "disk/run.jsonl")
    assert done.returncode == 2
    assert done.stderr == "img2img: error: --manifest disk/run.jsonl: Read-only file system\n"
    assert not Path("in_loud").exists()


def test_an_interrupt_ends_a_wait_for_standard_input() -> None:
    with subprocess.Popen(
        [*SCRIPT, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        process.stdin.write("x" * 1_000_000)  # returns when most of it has been read: more than a pipe holds
        time.sleep(0.3)  # Python does not notice a signal between two reads, only one during a read
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        assert process.stderr
        assert (process.returncode, process.stderr.read()) == (130, "img2img: interrupted\n")


def test_a_reader_that_goes_away_is_no_error_to_talk_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOUT_SECONDS", "0.25")
    files(**{f"in__{n:03}": "wait" for n in range(40)})
    with subprocess.Popen([*SCRIPT, "in"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 1
    assert all(text == "WAIT" for text in tree("in_loud").values())
    assert len(tree("in_loud")) < 40


def test_shards_do_everything_once() -> None:
    files(**{f"in__{n}": f"text {n}" for n in range(10)})
    done = [run("in", "--shard", f"{i}/3").stdout.split() for i in (1, 2, 3)]
    assert [len(part) for part in done] == [4, 3, 3]
    assert len(tree("in_loud")) == 10
    assert run("in", "--shard", "4/3").exit_code == 2


def test_shards_come_from_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    files(**{f"in__{n}": f"text {n}" for n in range(5)})
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "2")
    for task in ("7", "8"):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", task)
        result = run("in")
        assert result.exit_code == 0
        assert f" of {5}" in result.stderr
    assert len(tree("in_loud")) == 5
    assert run("in", "--shard", "1/1", "-o", "all").exit_code == 0
    assert len(tree("all")) == 5


def test_a_shard_without_files_is_no_failure() -> None:
    files(in__a="a")
    assert run("in", "--shard", "2/2").exit_code == 0
    assert not Path("in_loud").exists()


def test_json_says_what_was_done() -> None:
    files(in__a="hello", in__b="wait")
    lines = [json.loads(line) for line in run("in", "--json").stdout.splitlines()]
    assert [(line["input"], line["output"], line["letters"]) for line in lines] == [
        ("in/a.txt", "in_loud/a.txt", 5),
        ("in/b.txt", "in_loud/b.txt", 4),
    ]
    assert lines[1]["seconds"] >= 0.01
    assert lines[0]["seconds"] > 0


def test_a_bar_is_for_terminals_and_errors_stand_on_lines_of_their_own() -> None:
    files(in__a="wait", in__b="broken", in__c="wait")
    assert "%|" not in subprocess.run([*SCRIPT, "in"], capture_output=True, text=True, check=False).stderr
    terminal, stderr = pty.openpty()
    termios.tcsetwinsize(stderr, (24, 80))
    with subprocess.Popen([*SCRIPT, "in", "--overwrite"], stdout=subprocess.DEVNULL, stderr=stderr) as process:
        os.close(stderr)
        seen = b""
        try:
            while piece := os.read(terminal, 4096):
                seen += piece
        except OSError:  # Linux's way to say that the other end is closed
            pass
    os.close(terminal)
    assert process.returncode == 1
    assert b"100%|" in seen
    before, _, after = seen.partition(b"img2img: error: in/b.txt: broken text")
    assert before.endswith((b"\r", b"\n"))
    assert after.startswith(b"\r\n")


def test_wrong_use_is_one_line_and_code_2() -> None:
    for args in (["shout"], ["shout", "--jobs", "0", "x"], ["shout", "nowhere.txt"], ["nothing"], ["--nothing"]):
        result = CliRunner().invoke(shout.main, args)
        assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)
        assert result.stderr.startswith("img2img: error: ")


def numbers(task: Task[bytes, bytes], count: int, ahead: int = 4) -> list[pipeline.Result]:
    for n in range(count):
        Path(f"{n}").write_bytes(b"%d" % n)
    return list(Pipeline(task, [Job(f"{n}", f"out/{n}", "txt") for n in range(count)], ahead, overwrite=False))


def test_reading_and_writing_go_on_while_one_is_computed() -> None:
    reading = [threading.Event() for _ in range(8)]
    written = [threading.Event() for _ in range(8)]

    def read(file: BinaryIO) -> bytes:
        data = file.read()
        reading[int(data)].set()
        return data

    def apply(data: bytes) -> tuple[bytes, dict[str, Any]]:
        n = int(data)
        assert n == 7 or reading[n + 1].wait(10), "the next one is not read before this one is computed"
        assert n == 0 or written[n - 1].wait(10), "the last one is not written before this one is computed"
        return data, {}

    def write(data: bytes, file: BinaryIO, _format: str) -> None:
        file.write(data)
        written[int(data)].set()

    assert [result.error for result in numbers(Task(read, apply, write, size=len), 8)] == [""] * 8


@pytest.mark.parametrize(("size", "most"), [(1, 2 * 3 + 1), (pipeline.WAITING_BYTES // 2, 2 * 2 + 1), (2**40, 1)])
def test_few_pictures_are_in_memory_and_large_ones_alone(size: int, most: int) -> None:
    lock = threading.Lock()
    held: list[int] = [0]
    peak: list[int] = [0]

    def read(file: BinaryIO) -> bytes:
        with lock:
            held[0] += 1
            peak[0] = max(peak[0], held[0])
        return file.read()

    def write(data: bytes, file: BinaryIO, _format: str) -> None:
        time.sleep(0.005)
        file.write(data)
        with lock:
            held[0] -= 1

    results = numbers(Task(read, lambda data: (data, {}), write, size=lambda _: size), 20, ahead=3)
    assert len(results) == 20
    assert 0 < peak[0] <= most


@pytest.mark.parametrize("stage", ["read", "apply", "write"])
def test_results_keep_the_order_of_jobs_whatever_fails(stage: str) -> None:
    def fail_at(name: str, data: bytes) -> None:
        if name == stage and int(data) % 3 == 1:
            raise MemoryError

    def read(file: BinaryIO) -> bytes:
        data = file.read()
        time.sleep(0.002 * (5 - int(data) % 5))
        fail_at("read", data)
        return data

    def apply(data: bytes) -> tuple[bytes, dict[str, Any]]:
        fail_at("apply", data)
        return data, {}

    def write(data: bytes, file: BinaryIO, _format: str) -> None:
        time.sleep(0.002 * (int(data) % 4))
        file.write(data)
        fail_at("write", data)

    results = numbers(Task(read, apply, write, size=len), 12)
    assert [result.job.source for result in results] == [str(n) for n in range(12)]
    assert [bool(result.error) for result in results] == [n % 3 == 1 for n in range(12)]
    assert sorted(tree("out"), key=int) == [str(n) for n in range(12) if n % 3 != 1]


def test_the_model_is_loaded_once_and_only_if_there_is_work(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []

    def load(*args: Any, **kwargs: Any) -> Task:
        loaded.append(1)
        return Task(*args, **kwargs)

    monkeypatch.setattr(shout, "Task", load)
    files(in__a="a", in__b="b")
    run("nowhere")
    assert not loaded
    run("in")
    assert len(loaded) == 1
    run("in", "--skip-existing")
    run("in")
    assert len(loaded) == 1


def test_a_stream_is_written_to_by_formats_that_seek() -> None:
    def write(data: bytes, file: BinaryIO, _format: str) -> None:
        file.write(b"????" + data)
        file.seek(0)
        file.write(b"head")

    task = Task(lambda file: file.read(), lambda data: (data, {}), write, size=len)
    Path("x").write_bytes(b"body")
    out = io.BytesIO()
    stdout = io.TextIOWrapper(out)
    before, sys.stdout = sys.stdout, stdout
    try:
        assert [result.error for result in Pipeline(task, [Job("x", "-", "txt")], 1, overwrite=False)] == [""]
    finally:
        sys.stdout = before
    assert out.getvalue() == b"headbody"
