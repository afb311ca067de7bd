"""What very many pictures cost: `img2img bench costs`.

A model of processor seconds, start + files * per file + megapixels * per megapixel, for each task: fitted to whole
commands over one tiny picture, over many, and over a large one; checked on pictures of a megapixel, also with one and
with two workers. By it a hundred million pictures of 12 megapixels are priced. Hours of GPUs are not measured but
reckoned, from multiplications; what stays with processors then, reading and writing the files, is measured.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from img2img.images import read_frames, write_frames
from img2img.tasks.denoise.pipeline import KMAC_PER_PIXEL as DENOISER
from img2img.tasks.translate.pipeline import KMAC_PER_PIXEL as TRANSLATOR

from .report import markdown_table, new_record, write_json
from .speed import cost_of, installed_command, write_many_noisy

ENGINE = ("--engine", "onnx")
TASKS: dict[str, tuple[str, ...]] = {
    "denoise": ("denoise",),
    "denoise --sigma 25": ("denoise", "--sigma", "25"),
    "translate --model colorize": ("translate", "--model", "colorize"),
    "translate --model edges": ("translate", "--model", "edges"),
    "translate --model facades": ("translate", "--model", "facades"),
    "compress": ("compress",),
    "compress --model codec-best": ("compress", "--model", "codec-best"),
    "decompress": ("decompress", "--format", "jpg"),
}
KMAC = {"denoise": DENOISER, "translate": TRANSLATOR}
"""Thousands of multiplications a pixel; the codec's coder computes on processors wherever its networks do."""

TINY, CHECK, LARGE = (16, 16), (1000, 1000), (4000, 3000)
MANY, CHECKED = 40, 2  # tiny pictures; those of a megapixel
NOISE = 8  # grey levels, of the pictures, JPEGs
WITH_WORKERS = ("compress", "denoise --sigma 25")
PICTURES, MEGAPIXELS = 10**8, 12.0
MACS_PER_SECOND = 25e12  # 50 TFLOPS, what is supposed of a GPU: a twentieth of what an H100 has in bf16 on paper


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        tasks: of TASKS.
        with_workers: of these, those that are checked with workers, too.
        large: width and height of the large picture.
        rounds: how often the small runs are timed; the least counts, since others use the machine, too.
        out: folder for `costs.json`; nothing is written if None.
    """

    tasks: Sequence[str] = tuple(TASKS)
    with_workers: Sequence[str] = WITH_WORKERS
    large: tuple[int, int] = LARGE
    rounds: int = 3
    out: Path | None = None


@dataclass
class Bench:
    """Runs a task's command over folders.

    Attributes:
        folder: a place for outputs.
        words: the command.
        rounds: as of `Settings`.
    """

    folder: Path
    words: tuple[str, ...]
    rounds: int

    def cost(self, source: Path, *more: str, once: bool = False) -> dict[str, float]:
        """CPU seconds (the least of all rounds), the largest memory in MB, and the bytes written."""
        costs = []
        for _ in range(1 if once else self.rounds):
            target = self.folder / "out"
            command = [installed_command(), *self.words, str(source), "-o", str(target), *ENGINE, *more]
            costs.append(cost_of(command))
            written = sum(path.stat().st_size for path in target.iterdir())
            shutil.rmtree(target)
        best = min(costs, key=lambda cost: cost.cpu_seconds)
        return {"cpu_seconds": best.cpu_seconds, "peak_mb": best.peak_mb, "written": written}


def measured(settings: Settings, folder: Path, echo: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """A row for each task."""
    sources = {
        name: write_many_noisy(folder / name, count, size, NOISE, ".jpg")
        for name, count, size in (
            ("tiny", 1, TINY),
            ("many", MANY + 1, TINY),
            ("check", CHECKED, CHECK),
            ("large", 1, settings.large),
        )
    }
    for name in settings.tasks:
        words = TASKS[name]
        inputs = sources if words[0] != "decompress" else _compressed(sources, folder / "i2i")
        bench = Bench(folder, words, settings.rounds)
        row = fitted(bench, inputs, settings.large[0] * settings.large[1] / 1e6)
        if name in settings.with_workers:
            row["workers"] = list(_checked_with_workers(bench, row, inputs))
        echo(f"{name}: {row['cpu_seconds_per_megapixel']:.2f} CPU s a megapixel, off by {row['off_percent']:+.0f} %")
        yield {"task": name, **row}


def _compressed(sources: dict[str, Path], folder: Path) -> dict[str, Path]:
    for name, source in sources.items():
        cost_of([installed_command(), "compress", str(source), "-o", str(folder / name), *ENGINE])
    return {name: folder / name for name in sources}


def fitted(bench: Bench, sources: dict[str, Path], megapixels: float) -> dict[str, Any]:
    """The model's three numbers, and by how much it is off on pictures that it has not seen."""
    tiny, many, check, large = (
        bench.cost(sources[name], once=name == "large") for name in ("tiny", "many", "check", "large")
    )
    start = tiny["cpu_seconds"]
    row = {
        "cpu_seconds_start": start,
        "cpu_seconds_per_file": (many["cpu_seconds"] - start) / MANY,
        "cpu_seconds_per_megapixel": (large["cpu_seconds"] - start) / megapixels,
        "peak_mb": large["peak_mb"],
        "bytes_read_per_megapixel": sum(path.stat().st_size for path in sources["large"].iterdir()) / megapixels,
        "bytes_written_per_megapixel": large["written"] / megapixels,
        "check": check["cpu_seconds"],
    }
    row["predicted"] = predicted(row, CHECKED, CHECKED * CHECK[0] * CHECK[1] / 1e6)
    row["off_percent"] = 100 * (row["predicted"] / row["check"] - 1)
    return row


def predicted(row: dict[str, Any], files: int, megapixels: float) -> float:
    """CPU seconds of a run; its start has one file in it."""
    each = (files - 1) * row["cpu_seconds_per_file"] + megapixels * row["cpu_seconds_per_megapixel"]
    return float(row["cpu_seconds_start"] + each)


def _checked_with_workers(bench: Bench, row: dict[str, Any], sources: dict[str, Path]) -> Iterator[dict[str, Any]]:
    """The model beside runs with one and with two workers: each adds its own start."""
    starts = bench.cost(sources["tiny"], "--workers", "1")["cpu_seconds"] - row["cpu_seconds_start"]
    for count in (1, 2):
        cost = bench.cost(sources["check"], "--workers", str(count))["cpu_seconds"]
        said = row["predicted"] + count * starts
        off = 100 * (said / cost - 1)
        yield {"count": count, "worker_start": starts, "check": cost, "predicted": said, "off_percent": off}


def files_alone(folder: Path, rounds: int, megapixels: float) -> dict[str, float]:
    """CPU seconds a megapixel of reading and of writing a large JPEG."""
    (path,) = (folder / "large").iterdir()
    reading, writing = [], []
    for _ in range(rounds):
        begun = time.process_time()
        with path.open("rb") as file:
            frames = read_frames(file)
            frames[0].to_array()
        reading.append(time.process_time() - begun)
        begun = time.process_time()
        with (folder / "written.jpg").open("w+b") as file:
            write_frames(frames, file, "jpg")
        writing.append(time.process_time() - begun)
    return {"read": min(reading) / megapixels, "write": min(writing) / megapixels}


def priced(row: dict[str, Any], alone: dict[str, float]) -> dict[str, float | None]:
    """Core hours of all pictures; hours of GPUs, reckoned, and of the cores that feed them."""
    each = row["cpu_seconds_per_file"] + MEGAPIXELS * row["cpu_seconds_per_megapixel"]
    kmac = KMAC.get(row["task"].split()[0])
    gpu = None if kmac is None else PICTURES * MEGAPIXELS * 1e6 * kmac * 1e3 / MACS_PER_SECOND / 3600
    feeding = None if kmac is None else PICTURES * MEGAPIXELS * sum(alone.values()) / 3600
    moved = PICTURES * MEGAPIXELS * (row["bytes_read_per_megapixel"] + row["bytes_written_per_megapixel"]) / 1e12
    return {
        "core_hours": PICTURES * each / 3600,
        "gpu_hours_reckoned": gpu,
        "core_hours_beside_gpus": feeding,
        "terabytes": moved,
    }


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print the tables through ``echo``, write the file, and return what it holds.

    Raises:
        Img2ImgError: a command failed.
    """
    with tempfile.TemporaryDirectory() as place:
        rows = list(measured(settings, Path(place), echo))
        alone = files_alone(Path(place), settings.rounds, settings.large[0] * settings.large[1] / 1e6)
    for row in rows:
        row["price"] = priced(row, alone)
    record = new_record("costs", settings, rows=rows, files_alone_cpu_seconds_per_megapixel=alone)
    echo(table(rows))
    echo(price_table(rows))
    if settings.out is not None:
        write_json(settings.out / "costs.json", record)
    return record


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The model's numbers of each task, and how far off it is."""
    cells = [
        [
            f"`{row['task']}`",
            f"{row['cpu_seconds_start']:.1f}",
            f"{1000 * row['cpu_seconds_per_file']:.0f}",
            f"{row['cpu_seconds_per_megapixel']:.2f}",
            f"{row['off_percent']:+.0f} %",
            "".join(f"{each['off_percent']:+.0f} % " for each in row.get("workers", ())).strip(),
        ]
        for row in rows
    ]
    header = ["task", "start, CPU s", "a file, CPU ms", "a megapixel, CPU s", "off by", "off by, 1 and 2 workers"]
    return markdown_table(header, cells)


def price_table(rows: Sequence[dict[str, Any]]) -> str:
    """What the hundred million pictures take by each task."""
    cells = [
        [
            f"`{row['task']}`",
            f"{row['price']['core_hours']:,.0f}",
            f"{row['price']['core_hours'] / 10_000 / 24:.1f}",
            _or_none(row["price"]["gpu_hours_reckoned"]),
            _or_none(row["price"]["core_hours_beside_gpus"]),
            f"{row['price']['terabytes']:,.0f}",
        ]
        for row in rows
    ]
    header = ["task", "core hours", "days of 10,000 cores", "GPU hours, reckoned", "core hours beside GPUs", "TB moved"]
    return markdown_table(header, cells)


def _or_none(hours: float | None) -> str:
    return "" if hours is None else f"{hours:,.0f}"
