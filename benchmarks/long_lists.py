"""Lists and folders of a million pictures: `img2img bench long-lists`.

How long until the first result, and how much memory the command takes: of a list, of a folder, of a list with a
manifest, and of a run that a manifest of as many lines says is nearly done; and what reading such a manifest takes. The
files are real: links to some pictures. Needs Linux.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from img2img.errors import Img2ImgError

from .kills import DISTINCT, name_of, pictures
from .report import markdown_table, new_record, write_json
from .speed import installed_command

LEFT = 3  # pictures that the manifest lacks
OPTIONS = ("--sigma", "25", "--model", "denoise-fast", "--engine", "onnx")


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        count: entries.
        out: folder for `long_lists.json`; nothing is written if None.
    """

    count: int = 1_000_000
    out: Path | None = None


def write_inputs(folder: Path, count: int) -> None:
    """Files in folders of 100, and their list."""
    originals = folder / "originals"
    originals.mkdir()
    for number, data in enumerate(pictures(16)):
        (originals / f"{number:02d}").write_bytes(data)
    for start in range(0, count, 100):
        (folder / "in" / name_of(start)).parent.mkdir(parents=True)
    with (folder / "list").open("w") as file:
        for number in range(count):
            os.link(originals / f"{number % DISTINCT:02d}", folder / "in" / name_of(number))
            file.write(f"in/{name_of(number)}\n")


def write_manifest(folder: Path, count: int) -> None:
    """A manifest of all pictures but the last ones, as a run of the same command would have written it."""
    (folder / "one").write_text(f"in/{name_of(0)}\n")
    command = [installed_command(), "denoise", "--files-from", "one", "-o", "out", *OPTIONS, "--overwrite"]
    _run([*command, "--manifest", "one.jsonl"], folder)
    planned, record = map(json.loads, (folder / "one.jsonl").read_text().splitlines())
    with (folder / "run.jsonl").open("w") as file:
        file.write(json.dumps(planned | {"planned": count}, separators=(",", ":")) + "\n")
        for number in range(count - LEFT):
            status = (folder / "in" / name_of(number)).stat()
            record |= {"input": f"in/{name_of(number)}", "output": f"out/in/{name_of(number)}"}
            record |= {"size": status.st_size, "mtime": str(status.st_mtime_ns)}
            file.write(json.dumps(record, separators=(",", ":")) + "\n")


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Img2ImgError(f"{' '.join(command)}: {done.stderr.strip()}")


# A small process of its own: what is charged as a process's largest memory includes that of the one that started it.
_LAUNCHER = """
import json, os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's children ignore it
begun = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
line = process.stdout.readline()
first = time.perf_counter() - begun
process.send_signal(signal.SIGINT)
process.stdout.read()
_, status, usage = os.wait4(process.pid, 0)
cpu = usage.ru_utime + usage.ru_stime
taken = {"first_seconds": first if line else None, "cpu_seconds": cpu, "peak_mb": usage.ru_maxrss * 1024 / 1e6}
print(json.dumps(taken))
"""


def until_the_first(command: Sequence[str], folder: Path) -> dict[str, Any]:
    """Start a command, wait for its first line, end it by Ctrl-C; seconds, processor seconds, and its largest memory.

    Raises:
        Img2ImgError: it ended without a result.
    """
    launch = [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command]
    done = subprocess.run(launch, cwd=folder, capture_output=True, text=True, check=False)
    taken: dict[str, Any] = json.loads(done.stdout or '{"first_seconds": null}')
    if taken["first_seconds"] is None:
        raise Img2ImgError(f"{' '.join(command)}: {done.stderr.strip()}")
    return taken


def measured(settings: Settings, folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each way to name the pictures."""
    img2img = [installed_command(), "denoise"]
    listed = [*img2img, "--files-from", "list", "-o", "out", *OPTIONS]
    write_inputs(folder, settings.count)
    commands = {
        "one picture": [*img2img, f"in/{name_of(0)}", "-o", "one.png", *OPTIONS],
        "--files-from": listed,
        "--files-from --workers 1": [*listed, "--workers", "1", "--overwrite"],
        "--files-from --manifest, new": [*listed, "--manifest", "new.jsonl", "--overwrite"],
        "-r": [*img2img, "-r", "in", "-o", "other", *OPTIONS],
    }
    for name, command in commands.items():
        yield {"what": name, **until_the_first(command, folder)}
    write_manifest(folder, settings.count)
    resumed = [*listed, "--manifest", "run.jsonl"]
    yield {
        "what": f"--files-from --manifest, all but {LEFT} done",
        **until_the_first(resumed, folder),
        "manifest_bytes": (folder / "run.jsonl").stat().st_size,
    }
    yield {"what": "img2img manifest", **until_the_first([installed_command(), "manifest", "run.jsonl"], folder)}


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print the table through ``echo``, write the file, and return what it holds.

    Raises:
        Img2ImgError: a command failed.
    """
    with tempfile.TemporaryDirectory() as place:
        rows = list(measured(settings, Path(place)))
    record = new_record("long-lists", settings, rows=rows)
    echo(table(rows))
    if settings.out is not None:
        write_json(settings.out / "long_lists.json", record)
    return record


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each way."""
    cells = [
        [row["what"], f"{row['first_seconds']:.1f}", f"{row['cpu_seconds']:.1f}", f"{row['peak_mb']:.0f}"]
        for row in rows
    ]
    return markdown_table(["what", "first result, s", "CPU s", "peak memory, MB"], cells)
