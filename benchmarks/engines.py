"""What the engines cost, and whether they agree: `img2img bench engines`.

Whole commands as a user meets them, in a process of their own, with files read and written: each task by each engine in
turns, on noisy photographs of several sizes. Seconds of one machine say little, and wall-clock ones less the busier it
is; what travels is the ratio of processor seconds to PyTorch's. Needs Linux or macOS.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from img2img.images import read_picture

from .report import markdown_table, new_record, write_json
from .speed import cost_of, installed_command, write_noisy

ENGINES = {
    "torch": ("--engine", "torch"),
    "torch, fp32": ("--engine", "torch", "--precision", "fp32"),
    "onnx": ("--engine", "onnx"),
    "auto": (),
}
TASKS = {
    "denoise": ("denoise",),
    "compress": ("compress",),
    "decompress": ("decompress",),
    "translate": ("translate", "--model", "colorize"),
}


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        sizes: widths and heights of the pictures.
        tasks: which of TASKS.
        rounds: how often each command runs; the median counts. Pictures over 4 megapixels are processed once.
        out: folder for `engines.json`; nothing is written if None.
    """

    sizes: Sequence[tuple[int, int]] = ((768, 512), (2048, 2048), (6000, 4000))
    tasks: Sequence[str] = tuple(TASKS)
    rounds: int = 3
    out: Path | None = None


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print the table through ``echo``, write `engines.json`, and return what it holds.

    Raises:
        Img2ImgError: a command failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        cases = product(settings.tasks, settings.sizes)
        rows = [row for task, size in cases for row in _engines(task, size, settings, Path(folder))]
    record = new_record("engines", settings, commands=rows, load_average=os.getloadavg(), cores=os.cpu_count())
    echo(f"\nWhole commands in turns, median of {settings.rounds}; pictures over 4 megapixels once\n\n{table(rows)}")
    if settings.out is not None:
        write_json(settings.out / "engines.json", record)
        echo(f"\n{settings.out / 'engines.json'}")
    return record


def _engines(task: str, size: tuple[int, int], settings: Settings, folder: Path) -> list[dict[str, Any]]:
    """One task on one picture by every engine: costs, and how its output differs from PyTorch's in fp32."""
    width, height = size
    picture, coded = folder / f"{width}x{height}.png", folder / f"{width}x{height}.i2i"
    if not picture.exists():
        write_noisy(picture, width, height)
    if task == "decompress" and not coded.exists():
        cost_of([installed_command(), "compress", str(picture), "-o", str(coded)])
    source = coded if task == "decompress" else picture
    targets = {engine: folder / f"{engine}{'.i2i' if task == 'compress' else '.png'}" for engine in ENGINES}
    costs: dict[str, list[Any]] = {engine: [] for engine in ENGINES}
    for _ in range(settings.rounds if width * height <= 4.2e6 else 1):
        for engine, options in ENGINES.items():
            command = [installed_command(), *TASKS[task], str(source), "-o", str(targets[engine]), "--overwrite"]
            costs[engine].append(cost_of([*command, *options]))
    if task == "compress":  # what is compared is what everybody decodes of the files
        for engine, target in targets.items():
            targets[engine] = target.with_suffix(".png")
            cost_of([installed_command(), "decompress", str(target), "-o", str(targets[engine]), "--overwrite"])
    samples = {engine: read_picture(target).samples.astype(np.int32) for engine, target in targets.items()}
    reference = statistics.median(cost.cpu_seconds for cost in costs["torch"])
    rows = []
    for engine, own in costs.items():
        difference = np.abs(samples[engine] - samples["torch, fp32"])
        cpu = statistics.median(cost.cpu_seconds for cost in own)
        rows.append(
            {
                "task": task,
                "size": f"{width}x{height}",
                "engine": engine,
                "seconds": statistics.median(cost.seconds for cost in own),
                "cpu_seconds": cpu,
                "torch_is_1": cpu / reference,
                "peak_mb": max(cost.peak_mb for cost in own),
                "largest_difference": int(difference.max()),
                "share_different": float((difference > 0).mean()),
                "runs": [asdict(cost) for cost in own],
            }
        )
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A row per task, size and engine."""
    return markdown_table(
        ["task", "size", "engine", "seconds", "processor s", "torch = 1", "peak MB", "levels off torch fp32 (share)"],
        [
            [
                row["task"],
                row["size"],
                row["engine"],
                f"{row['seconds']:.2f}",
                f"{row['cpu_seconds']:.2f}",
                f"{row['torch_is_1']:.2f}",
                f"{row['peak_mb']:.0f}",
                f"{row['largest_difference']} ({row['share_different']:.2g})",
            ]
            for row in rows
        ],
    )
