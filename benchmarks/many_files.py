"""A folder of very many very small pictures through `img2img denoise`: seconds, processor seconds, largest memory.

    python -m benchmarks.many_files OUT.json [--count N] [--side N]

What a file costs besides its pixels, and whether memory grows with their number: a quarter of the files comes first.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from img2img.images import Picture, write_picture

from .report import new_record, write_json
from .speed import cost_of, installed_command


@dataclass(frozen=True)
class Settings:
    """How many pictures of how many pixels a side."""

    count: int = 10_000
    side: int = 16


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
            write_pictures(source, Settings(count, settings.side))
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


def main() -> None:
    """Write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=Settings.count)
    parser.add_argument("--side", type=int, default=Settings.side)
    arguments = parser.parse_args()
    settings = Settings(arguments.count, arguments.side)
    rows = []
    for row in measured(settings):
        print(row)
        rows.append(row)
    write_json(arguments.out, new_record("many-files", settings, rows=rows))


if __name__ == "__main__":
    main()
