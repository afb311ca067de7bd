"""What tests of several files need."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the test runs in, outside of any array job of Slurm."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three small photographs, of brown coffee."""
    from skimage import data

    from img2img.images import Picture, write_picture

    folder = tmp_path_factory.mktemp("photos")
    for i in range(3):
        write_picture(Picture(data.coffee()[90 * i : 90 * i + 70, 200:290]), folder / f"{i}.png", "png")
    return folder


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """The file system of an S3 server on this machine, with one bucket, `pictures`."""
    pytest.importorskip("s3fs", reason="the extra remote is not installed")
    pytest.importorskip("moto", reason="moto's S3 server is not installed")
    from img2img.benchmarks.object_store import s3_server

    with s3_server() as system:
        yield system
