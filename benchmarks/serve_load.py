"""The service under load, and beside the command: `img2img bench serve`.

A service of its own on the loopback address; clients that post the same small picture as fast as it is answered.
"""

from __future__ import annotations

import http.client
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from img2img.images import Picture, write_picture

from .report import markdown_table, new_record, write_json
from .speed import installed_command, photograph_of_size

ADDRESS = "/v1/denoise?sigma=25"


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        clients: that post at one time.
        seconds: of load.
        side: of the picture that they post.
        photo: width and height of the picture that the command is compared by.
        rounds: of that comparison; the median counts.
        engine: auto, onnx or torch.
        out: folder for `serve.json`; nothing is written if None.
    """

    clients: int = 8
    seconds: float = 60.0
    side: int = 64
    photo: tuple[int, int] = (768, 512)
    rounds: int = 3
    engine: str = "onnx"
    out: Path | None = None


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print through ``echo``, write `serve.json`, and return what it holds."""
    record = new_record("serve", settings)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        with _service(Path(folder), settings) as (port, process):
            record["start"] = time.perf_counter() - begin
            _post(port, _png(_noise(settings.side, settings.side)))
            record["idle_mib"] = _memory(process.pid)
            record["load"] = _load(port, settings)
            record["loaded_mib"] = _memory(process.pid)
            record["beside"] = _beside(port, Path(folder), settings)
    load, beside = record["load"], record["beside"]
    rows = [
        ("start, s", f"{record['start']:.2f}"),
        ("memory of service and worker before and after, MiB", f"{record['idle_mib']}, {record['loaded_mib']}"),
        ("requests a second", f"{load['rate']:.1f}"),
        ("p50 and p95, ms", f"{1000 * load['p50']:.0f}, {1000 * load['p95']:.0f}"),
        ("answers by status", str(load["statuses"])),
        ("answers that differ", str(load["wrong"])),
        ("a photograph: service / command", f"{beside['ratio']:.2f}"),
    ]
    echo(markdown_table(("", f"{settings.clients} clients, {settings.seconds:g} s"), rows))
    if settings.out is not None:
        write_json(settings.out / "serve.json", record)
    return record


@contextmanager
def _service(folder: Path, settings: Settings) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    command = [installed_command(), "serve", "--port", "0", "--engine", settings.engine, "--folder", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline().decode().strip(" /\n").rpartition(":")[2]), process
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def _post(port: int, data: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    try:
        connection.request("POST", ADDRESS, data)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _load(port: int, settings: Settings) -> dict[str, Any]:
    data = _png(_noise(settings.side, settings.side))
    wanted = _post(port, data)
    end = time.perf_counter() + settings.seconds
    times: list[float] = []
    statuses: Counter[int] = Counter()
    wrong = 0

    def client() -> None:
        nonlocal wrong
        while (begin := time.perf_counter()) < end:
            answer = _post(port, data)
            times.append(time.perf_counter() - begin)
            statuses[answer[0]] += 1
            wrong += answer != wanted

    threads = [threading.Thread(target=client) for _ in range(settings.clients)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    quantiles = statistics.quantiles(times, n=20)
    rate = len(times) / (time.perf_counter() - begin)
    return {"rate": rate, "p50": quantiles[9], "p95": quantiles[18], "statuses": dict(statuses), "wrong": wrong}


def _beside(port: int, folder: Path, settings: Settings) -> dict[str, Any]:
    """The same photograph by the service and by the command, in turns."""
    photo = folder / "photo.png"
    photo.write_bytes(_png(photograph_of_size(*settings.photo)))
    ours, theirs = [], []
    _post(port, photo.read_bytes())
    for _ in range(settings.rounds):
        begin = time.perf_counter()
        _post(port, photo.read_bytes())
        ours.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        arguments = ["denoise", str(photo), "-o", str(folder / "o.png"), "--overwrite", "--sigma", "25"]
        subprocess.run(
            [installed_command(), *arguments, "--engine", settings.engine], check=True, stdout=subprocess.DEVNULL
        )
        theirs.append(time.perf_counter() - begin)
    service, command = statistics.median(ours), statistics.median(theirs)
    return {"service": service, "command": command, "ratio": service / command}


def _noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def _png(samples: np.ndarray) -> bytes:
    stream = BytesIO()
    write_picture(Picture(samples), stream, "png")
    return stream.getvalue()


def _memory(pid: int) -> int | None:
    """MiB of a process and its children, by what Linux says; elsewhere None."""
    if not sys.platform.startswith("linux"):
        return None
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    total = 0
    for one in (pid, *map(int, listed.stdout.split())):
        for line in Path(f"/proc/{one}/status").read_text().splitlines():
            total += int(line.split()[1]) if line.startswith("VmRSS") else 0
    return total // 1024
