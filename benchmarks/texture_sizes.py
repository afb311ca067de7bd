"""What textures of several sizes cost: `img2img bench texture-sizes`. Whole commands, one sample."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from img2img.errors import Img2ImgError

from .report import markdown_table, new_record, write_json
from .speed import cost_of, installed_command
from .texture import METHODS

SAMPLE = "brick.png"  # of scikit-image, 512x512


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        sample: scikit-image's wall of bricks if None.
        methods: of texture.METHODS, without what trains.
        sizes: sides of the textures.
        rounds: repetitions, of which the quickest counts; of more than 1024 pixels one.
        out: folder for `texture_sizes.json`; no files if None.
    """

    sample: Path | None = None
    methods: tuple[str, ...] = ("quilting", "patches", "optimize", "noise")
    sizes: tuple[int, ...] = (256, 512, 1024, 2048, 4096)
    rounds: int = 2
    out: Path | None = None


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print the table through ``echo``, write `texture_sizes.json`, and return what it holds.

    Raises:
        Img2ImgError: a command failed.
    """
    sample = settings.sample or _shipped_sample()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for size in settings.sizes:
            for method in settings.methods:
                rows.append(_row(sample, method, size, settings, Path(folder)))
                echo(f"{method}, {size}x{size}: {rows[-1]['seconds']:.2f} s, {rows[-1]['peak_mb']:.0f} MB")
    record = new_record("texture_sizes", settings, rows=rows, sample=sample.name)
    echo(f"\nWhole commands, the quickest of {settings.rounds}; beyond 1024 pixels of one\n\n{table(rows)}")
    if settings.out is not None:
        write_json(settings.out / "texture_sizes.json", record)
        echo(f"\n{settings.out / 'texture_sizes.json'}")
    return record


def _shipped_sample() -> Path:
    import skimage

    sample = Path(skimage.__file__).parent / "data" / SAMPLE
    if not sample.is_file():
        raise Img2ImgError(f"scikit-image has no {SAMPLE}: name a file with --sample")
    return sample


def _row(sample: Path, method: str, size: int, settings: Settings, folder: Path) -> dict[str, Any]:
    target = str(folder / "out.png")
    command = [installed_command(), "texture", str(sample), "-o", target, "--overwrite", *METHODS[method].arguments]
    command += ["--size", str(size), "--tileable"]
    if peer := METHODS[method].peer:
        command = [sys.executable, "-m", peer, str(sample), str(size), "0", target]
    costs = [cost_of(command) for _ in range(settings.rounds if size <= 1024 else 1)]
    quickest = min(costs, key=lambda cost: cost.seconds)
    return {
        "method": method,
        "size": size,
        "seconds": quickest.seconds,
        "cpu_seconds": quickest.cpu_seconds,
        "peak_mb": max(cost.peak_mb for cost in costs),
        "runs": [asdict(cost) for cost in costs],
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A row per size; of each method seconds and memory."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    found = {(row["method"], row["size"]): row for row in rows}

    def cell(method: str, size: int) -> str:
        row = found.get((method, size))
        return f"{row['seconds']:.1f} s, {row['peak_mb']:.0f} MB" if row else ""

    sizes = list(dict.fromkeys(row["size"] for row in rows))
    return markdown_table(
        ["pixels", *methods], [[f"{size}x{size}", *(cell(method, size) for method in methods)] for size in sizes]
    )
