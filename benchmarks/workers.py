"""What the batch engines cost beside a plain loop over the library: `img2img bench workers`.

Pictures of a megapixel are denoised by a loop that a user would write, by the command in one process, by one and by two
worker processes, and by two of Ray's actors; two workers are compared with two loops at once, each over half of the
pictures, so that the machine's second core is as free for both. Every process has one thread. Start-up is measured by
itself, on one tiny picture, and taken off. And: whether small pictures of one shape are done sooner many at a time.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from img2img.images import Frames, read_frames, write_frames

from . import plain_loop
from .processes import Taken, taken_by
from .report import markdown_table, new_record, write_json
from .speed import installed_command, write_many_noisy

SIGMA, MODEL, ENGINE = 25, "denoise-fast", "onnx"
TINY = 16
PLAIN = "plain loop"
PLAIN_TWICE = "two plain loops"


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        count: pictures of a megapixel.
        side: of each, in pixels.
        small: pictures for the batches of one shape.
        small_sides: their sides.
        batch: pictures in a batch.
        rounds: how often all is measured; the median counts.
        ray: also Ray; None where it is installed.
        out: folder for `workers.json`; nothing is written if None.
    """

    count: int = 8
    side: int = 1000
    small: int = 256
    small_sides: tuple[int, ...] = (16, 64, 256)
    batch: int = 8
    rounds: int = 2
    ray: bool | None = None
    out: Path | None = None


# ---- the ways


def _loops(source: Path, target: Path, count: int) -> list[list[str]]:
    program = [sys.executable, plain_loop.__file__, str(source), str(target), str(SIGMA), MODEL, ENGINE]
    return [[*program, str(part), str(count)] for part in range(count)]


def ways(source: Path, target: Path, ray: bool) -> dict[str, list[list[str]]]:
    """The commands of each way to do all pictures of a folder, by its name."""
    img2img = [installed_command(), "denoise", str(source), "-o", str(target), "--sigma", str(SIGMA)]
    img2img += ["--model", MODEL, "--engine", ENGINE]
    return {
        PLAIN: _loops(source, target, 1),
        "img2img": [img2img],
        "--workers 1": [[*img2img, "--workers", "1"]],
        PLAIN_TWICE: _loops(source, target, 2),
        "--workers 2": [[*img2img, "--workers", "2"]],
        **({"--ray --workers 2": [[*img2img, "--ray", "--workers", "2"]]} if ray else {}),
    }


def measured(settings: Settings, folder: Path, echo: Callable[[str], None]) -> list[dict[str, Any]]:
    """A row for each way: seconds and processor seconds of start-up and per picture, and beside the plain loop's."""
    ray = bool(find_spec("ray")) if settings.ray is None else settings.ray
    tiny = write_many_noisy(folder / "tiny", 2, (TINY, TINY), SIGMA)
    large = write_many_noisy(folder / "large", settings.count, (settings.side, settings.side), SIGMA)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    runs: dict[str, list[tuple[Taken, Taken]]] = {}
    outputs: set[tuple[bytes, ...]] = set()
    for number in range(settings.rounds):
        for name in ways(tiny, tiny, ray):
            both = []
            for source in (tiny, large):
                target = folder / "out"
                target.mkdir()
                both.append(taken_by(ways(source, target, ray)[name], environment))
                made = tuple(path.read_bytes() for path in sorted(target.iterdir()))
                shutil.rmtree(target)
            outputs.add(made)
            runs.setdefault(name, []).append((both[0], both[1]))
            echo(f"round {number + 1}, {name}: {both[1].seconds:.1f} s, {both[1].cpu_seconds:.1f} s of processors")
    if len(outputs) != 1:
        echo("the ways differ in what they make")
    rows = [_row(name, taken, settings.count) for name, taken in runs.items()]
    for row in rows:
        beside = rows[0] if row["way"] in (PLAIN, "img2img", "--workers 1") else _of(rows, PLAIN_TWICE)
        for key in ("seconds", "cpu_seconds"):
            row[f"{key}_overhead_percent"] = _more(row[f"{key}_per_picture"], beside[f"{key}_per_picture"])
        row["same_bytes"] = len(outputs) == 1
    return rows


def _row(name: str, taken: Sequence[tuple[Taken, Taken]], count: int) -> dict[str, Any]:
    row: dict[str, Any] = {"way": name, "pictures": count}
    for key in ("seconds", "cpu_seconds"):
        starts = statistics.median(getattr(start, key) for start, _ in taken)
        net = [(getattr(whole, key) - starts) / count for _, whole in taken]
        row |= {f"{key}_start": starts, f"{key}_per_picture": statistics.median(net)}
    row["peak_mb"] = max(whole.peak_mb for _, whole in taken)
    return row | {"runs": [{"start": asdict(start), "whole": asdict(whole)} for start, whole in taken]}


def _more(value: float, other: float) -> float:
    """By how many percent; pictures so small that nothing was seen of them differ by nothing."""
    return 100 * (value / other - 1) if value > 0 and other > 0 else 0.0


def _of(rows: Sequence[dict[str, Any]], way: str) -> dict[str, Any]:
    return next(row for row in rows if row["way"] == way)


# ---- pictures of one shape in one call of the network


def batches(settings: Settings, folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each side: seconds a picture from file to file, one at a time and many in one call of the network."""
    for side in settings.small_sides:
        files = sorted(write_many_noisy(folder / str(side), settings.small, (side, side), SIGMA).iterdir())
        seconds: dict[int, list[float]] = {1: [], settings.batch: []}
        made = {}
        _together(files[:1])  # the network is loaded
        for _ in range(settings.rounds):
            for size, times in seconds.items():
                begun = time.perf_counter()
                made[size] = [data for start in range(0, len(files), size) for data in _together(files[start:][:size])]
                times.append((time.perf_counter() - begun) / len(files))
        one, many = (statistics.median(times) for times in seconds.values())
        same = made[1] == made[settings.batch]
        differ = max(map(_difference, made[1], made[settings.batch]))
        yield {
            "side": side,
            "batch": settings.batch,
            "one_seconds": one,
            "many_seconds": many,
            "quicker_percent": 100 * (one / many - 1),
            "same_bytes": same,
            "largest_difference": differ,
        }


def _together(files: Sequence[Path]) -> list[bytes]:
    """The bytes of denoised pictures that all have one shape, by one call of the network."""
    from img2img import front

    network = front.pretrained(front.Denoiser, MODEL, {"engine": ENGINE}).pipeline.network
    read = []
    for path in files:
        with path.open("rb") as file:
            read.append(read_frames(file))
    stack = np.stack([frames[0].to_array() for frames in read])
    sigmas = np.full((len(files), 1, 1, 1), SIGMA / 255, np.float32)
    return [_written(frames, clean) for frames, clean in zip(read, network(stack, sigmas), strict=True)]


def _written(frames: Frames, clean: np.ndarray) -> bytes:
    stream = BytesIO()
    write_frames(frames.map(lambda picture: picture.with_array(clean)), stream, "png")
    return stream.getvalue()


def _difference(one: bytes, other: bytes) -> int:
    """The largest difference of two pictures, in grey levels."""
    pixels = [read_frames(BytesIO(data))[0].samples.astype(np.int64) for data in (one, other)]
    return int(abs(pixels[0] - pixels[1]).max())


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print the tables through ``echo``, write the file, and return what it holds.

    Raises:
        Img2ImgError: a command failed.
    """
    with tempfile.TemporaryDirectory() as place:
        rows = measured(settings, Path(place), echo)
        shapes = list(batches(settings, Path(place) / "small"))
    record = new_record("workers", settings, rows=rows, batches=shapes, cores=os.cpu_count())
    echo(table(rows))
    echo(batch_table(shapes))
    if settings.out is not None:
        write_json(settings.out / "workers.json", record)
    return record


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each way."""
    cells = [
        [
            row["way"],
            f"{row['seconds_start']:.1f}",
            f"{1 / max(row['seconds_per_picture'], 1e-9):.3f}",
            f"{row['cpu_seconds_per_picture']:.2f}",
            f"{row['seconds_overhead_percent']:+.1f}",
            f"{row['cpu_seconds_overhead_percent']:+.1f}",
        ]
        for row in rows
    ]
    header = ["way", "start, s", "pictures/s", "CPU s/picture", "more time, %", "more CPU time, %"]
    return markdown_table(header, cells)


def batch_table(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each size."""
    cells = [
        [
            f"{row['side']}x{row['side']}",
            f"{1000 * row['one_seconds']:.1f}",
            f"{1000 * row['many_seconds']:.1f}",
            f"{row['quicker_percent']:+.0f}",
            "the same" if row["same_bytes"] else f"{row['largest_difference']} grey levels apart",
        ]
        for row in rows
    ]
    return markdown_table(["pictures", "one, ms", f"{rows[0]['batch']} at a time, ms", "quicker, %", "bytes"], cells)
