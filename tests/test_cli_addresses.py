"""Commands whose inputs and outputs are addresses: fsspec's memory, and an S3 server of this machine."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import shout
from click.testing import CliRunner, Result
from command_line import run as img2img

pytestmark = pytest.mark.usefixtures("empty_folder")

fsspec = pytest.importorskip("fsspec", reason="the extra remote is not installed")


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def run(*args: str) -> Result:
    return CliRunner().invoke(shout.main, ["shout", *args])


def texts(system: Any, top: str) -> dict[str, str]:
    return {name.removeprefix(top): system.cat_file(name).decode() for name in system.find(top)}


def test_folders_in_a_store_give_folders_in_a_store(memory: Any) -> None:
    for name in ("b", "a", "x/c", ".hidden", "a_loud"):
        memory.pipe_file(f"/in/{name}.txt", name.encode())
    result = run("-r", "memory://in", "-o", "memory://out")
    assert result.stdout.split() == [f"memory://out/{name}.txt" for name in ("a", "b", "x/c")]
    assert "1 earlier results" in result.stderr
    assert texts(memory, "/out") == {"/a.txt": "A", "/b.txt": "B", "/x/c.txt": "X/C"}
    assert run("memory://in").stdout.split() == ["memory://in_loud/a.txt", "memory://in_loud/b.txt"]
    assert run("memory://in/a.txt", "--overwrite").stdout == "memory://in/a_loud.txt\n"
    assert run("memory://in/a.txt", "-o", "here/").stdout == "here/a.txt\n"
    assert run("here", "-o", "memory://there").stdout == "memory://there/a.txt\n"
    assert (
        run(Path("here/a.txt").absolute().as_uri(), "-o", "file://" + os.fspath(Path("f.txt").absolute())).exit_code
        == 0
    )
    assert sorted(path.name for path in Path().iterdir()) == ["f.txt", "here"]  # and no folder called memory:


def test_outputs_that_exist_mean_the_same_in_a_store(memory: Any) -> None:
    for name in "abc":
        memory.pipe_file(f"/in/{name}.txt", name.encode())
    memory.pipe_file("/out/b.txt", b"before")
    result = run("memory://in", "-o", "memory://out")
    assert (result.exit_code, result.stderr) == (
        2,
        "img2img: error: memory://out/b.txt exists already; use --skip-existing or --overwrite\n",
    )
    assert texts(memory, "/out") == {"/b.txt": "before"}
    assert run("memory://in", "-o", "memory://out", "--skip-existing").exit_code == 0
    assert texts(memory, "/out") == {"/a.txt": "A", "/b.txt": "before", "/c.txt": "C"}
    assert run("memory://in", "-o", "memory://out", "--overwrite").exit_code == 0
    assert texts(memory, "/out")["/b.txt"] == "B"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["a.txt", "-o", "q3://bucket/y.txt"], "there is no scheme q3://"),
        (["q3://bucket/y.txt"], "there is no scheme q3://"),
        (["a.txt", "-o", "https://host/y.txt"], "nothing can be written to https://"),
        (["memory://none.txt"], "no such file"),
        (["memory://in", "memory://in/a.txt", "-o", "memory://out"], "would both be written to memory://out/a.txt"),
        (["memory://in/a.txt", "-o", "memory://in/a.txt"], "is an input and would be overwritten"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_done(memory: Any, arguments: list[str], why: str) -> None:
    Path("a.txt").write_text("a")
    memory.pipe_file("/in/a.txt", b"a")
    result = run(*arguments)
    assert result.exit_code == 2
    assert why in result.stderr
    assert [path.name for path in Path().iterdir()] == ["a.txt"]
    assert [*texts(memory, "")] == ["/in/a.txt"]


def test_the_library_makes_no_folder_of_an_address() -> None:
    import numpy as np

    import img2img

    for call in (
        lambda: img2img.denoise(np.zeros((4, 4), np.uint8), sigma=5, output="s3://bucket/y.png"),
        lambda: img2img.denoise("s3://bucket/x.png", sigma=5),
        lambda: img2img.decompress("s3://bucket/x.i2i"),
    ):
        with pytest.raises(img2img.Img2ImgError, match="is an address"):
            call()
    assert not [*Path().iterdir()]


def test_pictures_go_through_a_store_with_all_they_hold(s3: Any) -> None:
    from image_files import camera_exif, decoded, encoded, smooth_picture

    picture = smooth_picture(bits=16, alpha=True, exif=camera_exif())
    s3.pipe_file("pictures/deep/a.png", encoded(picture, "png"))
    result = img2img("denoise", "--sigma", "5", "--json", "s3://pictures/deep", "-o", "s3://pictures/clean")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["output"] == "s3://pictures/clean/a.png"
    there = decoded(s3.cat_file("pictures/clean/a.png"))
    assert there.samples.dtype == picture.samples.dtype
    assert there.exif is not None
    assert (there.alpha == picture.alpha).all()
    assert img2img("compress", "s3://pictures/deep/a.png").stdout == "s3://pictures/deep/a.i2i\n"
    assert img2img("decompress", "s3://pictures/deep/a.i2i", "-o", "b.png").exit_code == 0
    assert img2img("decompress", "s3://pictures/deep/a.png", "-o", "c.png").exit_code == 2


def test_a_store_that_refuses_is_said(s3: Any) -> None:
    s3.pipe_file("pictures/in/a.txt", b"a")
    assert run("s3://pictures/in", "-o", "s3://nosuch/out").exit_code == 2
    assert "no such bucket" in run("s3://pictures/in", "-o", "s3://nosuch/out").stderr
    done = subprocess.run(
        [sys.executable, shout.__file__, "s3://pictures/in", "-o", "out/"],
        env={name: value for name, value in os.environ.items() if name != "AWS_ACCESS_KEY_ID"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (1, "img2img: error: Unable to locate credentials\n")


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        ("put", PermissionError(13, "no right to put"), "cannot write memory://out/a.txt: access denied"),
        ("get", PermissionError(13, "no right to get"), "memory://in/a.txt: access denied"),
        ("put", OSError(28, "No space left on device"), "No space left on device"),
        ("get", TimeoutError("nobody answers"), "memory://in/a.txt: nobody answers"),
    ],
)
def test_what_a_store_says_no_to_is_one_line_and_fails_alone(kind: str, error: Exception, said: str) -> None:
    from img2img.benchmarks.memory_store import memory_store

    refused: list[str] = []

    def before(request: str) -> None:
        if request == kind and not refused:
            refused.append(kind)
            raise error

    with memory_store(lambda request: before(request) if ready else None) as system:
        ready = False
        for name in "ab":
            system.pipe_file(f"/in/{name}.txt", name.encode())
        ready = True
        result = run("memory://in", "-o", "memory://out", "--jobs", "1")
        assert result.exit_code == 1
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert texts(system, "/out") == {"/b.txt": "B"}


def test_a_server_that_does_not_answer_is_no_missing_file() -> None:
    pytest.importorskip("aiohttp")
    done = img2img("denoise", "http://127.0.0.1:9/a.png", "-o", "b.png")
    assert done.exit_code == 1
    assert "Cannot connect to host 127.0.0.1:9" in done.stderr
