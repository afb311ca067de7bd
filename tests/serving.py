"""A service on a socket, for tests: the real command in a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        assert self.body.count(b"\n") == 1
        assert self.headers["content-type"] == "application/json"
        return str(self.json["error"])


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    url: str
    folder: Path  # of temporary folders

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        return self.ask("POST", path, body, headers)

    def files(self) -> list[Path]:
        """What lies in temporary folders, but for the lock."""
        return [path for path in self.folder.rglob("*") if path.is_file() and path.name != "lock"]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def serving(folder: Path, *options: str, **settings: Any) -> Iterator[Server]:
    """A service that computes by onnxruntime, which starts soonest."""
    command = shutil.which("img2img", path=str(Path(sys.executable).parent))
    assert command is not None
    process = subprocess.Popen(
        [command, "serve", "--port", "0", "--engine", "onnx", "--folder", str(folder), *options],
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **settings,
    )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().decode().strip()
        assert url.startswith("http://127.0.0.1:"), "it did not start"
        yield Server(process, url, folder)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def noisy(height: int = 20, width: int = 28, seed: int = 0) -> bytes:
    """A small noisy picture as a PNG."""
    random = np.random.default_rng(seed)
    levels = np.clip(random.normal(128, 20, (height, width, 3)), 0, 255).astype(np.uint8)
    return png(levels)


def png(levels: np.ndarray, **info: Any) -> bytes:
    stream = BytesIO()
    Image.fromarray(levels).save(stream, "PNG", **info)
    return stream.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(data)))
