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
def s3() -> Iterator[Any]:
    """The file system of an S3 server on this machine, with one bucket, `pictures`."""
    pytest.importorskip("s3fs", reason="the extra remote is not installed")
    pytest.importorskip("moto", reason="moto's S3 server is not installed")
    from img2img.benchmarks.object_store import s3_server

    with s3_server() as system:
        yield system
