"""A folder of very many very small pictures through `img2img denoise`: `img2img bench many-files`.

What a file costs besides its pixels, and whether memory grows with their number: a quarter of the files comes first.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from img2img.images import Picture, write_picture

from .report import markdown_table, new_record, write_json
from .speed import cost_of, installed_command


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        count: pictures.
        side: of each, in pixels.
        out: folder for `many_files.json`; nothing is written if None.
    """

    count: int = 10_000
    side: int = 16
    out: Path | None = None


def write_pictures(folder: Path, settings: Settings) -> None:
    """PNGs in folders of 100: smooth, noisy, no two alike."""
    y, x = np.mgrid[: settings.side, : settings.side]
    for number in range(settings.count):
        clean = np.stack([x * 8, y * 8, (x + y) * 4 + number % 100], axis=2)
        noisy = clean + np.random.default_rng(number).normal(0, 15, clean.shape)
        file = folder / f"{number // 100:04d}" / f"{number:06d}.png"
        file.parent.mkdir(exist_ok=True)
        write_picture(Picture(noisy.clip(0, 255).astype(np.uint8)), file, "png")


def measured(settings: Settings) -> Iterator[dict[str, Any]]:
    """A row for a quarter of the pictures, and one for all of them."""
    with tempfile.TemporaryDirectory() as place:
        source, target = Path(place) / "in", Path(place) / "out"
        source.mkdir()
        for count in (settings.count // 4, settings.count):
            write_pictures(source, replace(settings, count=count))
            cost = cost_of([installed_command(), "denoise", "-r", str(source), "-o", str(target), "--engine", "onnx"])
            made = sum(1 for _ in target.rglob("*.png"))
            shutil.rmtree(target)
            yield {
                "files": count,
                "made": made,
                "seconds": cost.seconds,
                "cpu_seconds": cost.cpu_seconds,
                "peak_mb": cost.peak_mb,
            }


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print the table through ``echo``, write the file, and return what it holds.

    Raises:
        Img2ImgError: the command failed.
    """
    rows = list(measured(settings))
    record = new_record("many-files", settings, rows=rows)
    echo(table(rows))
    if settings.out is not None:
        write_json(settings.out / "many_files.json", record)
    return record


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each number of files."""
    cells = [[str(r["files"]), f"{r['seconds']:.0f}", f"{r['cpu_seconds']:.0f}", f"{r['peak_mb']:.0f}"] for r in rows]
    return markdown_table(["files", "s", "CPU s", "peak memory, MB"], cells)
