"""What translating costs, and whether tiles can be seen: `img2img bench translate-speed`.

Seams: one picture of 1024x1024 at once, and in tiles of 256 as a larger picture would be computed; the difference in
grey levels. Beside it what overlapping tiles give that are computed each by itself, as is usual: the instance norms of
each tile see other statistics than those of the picture.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from img2img.checkpoints import load_checkpoint, names
from img2img.images import Picture, write_picture
from img2img.tasks.translate import Translator
from img2img.tasks.translate.networks import generator_of

from .report import markdown_table, new_record, write_json
from .speed import command_table, cost_of, installed_command, kmac_per_pixel, photograph_of_size

OVERLAP = 32


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        models: names or files of translators; every shipped one if None.
        device: as for `Translator.from_pretrained`.
        rounds: how often each thing is timed; the median counts. The large picture is translated once.
        side: of the picture in memory.
        tile: side of its tiles.
        photo: width and height of an ordinary photograph.
        large: width and height of a large one.
        out: folder for `translate_speed.json`; nothing is written if None.
    """

    models: Sequence[str] | None = None
    device: str = "auto"
    rounds: int = 3
    side: int = 1024
    tile: int = 256
    photo: tuple[int, int] = (768, 512)
    large: tuple[int, int] = (6000, 4000)
    out: Path | None = None


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print the tables through ``echo``, write `translate_speed.json`, and return what it holds.

    Raises:
        WeightsError: a model cannot be loaded.
        Img2ImgError: a command failed.
    """
    models = list(settings.models if settings.models is not None else names("translate"))
    # Those that give colours see pictures at sizes of their own, without tiles.
    tiled = [model for model in models if load_checkpoint(model).header["network"] == "generator"]
    tiles = [row for model in tiled for row in _tiles(model, settings)]
    commands = _commands(models, settings)
    record = new_record("translate-speed", settings, tiles=tiles, commands=commands)
    echo(
        f"\n{settings.side}x{settings.side} in memory, at once and in tiles of {settings.tile}\n\n{_tile_table(tiles)}"
    )
    echo(f"\nWhole commands, median of {settings.rounds}; the largest picture once\n\n{command_table(commands)}")
    if settings.out is not None:
        write_json(settings.out / "translate_speed.json", record)
        echo(f"\n{settings.out / 'translate_speed.json'}")
    return record


def _tiles(model: str, settings: Settings) -> list[dict[str, Any]]:
    """At once, in tiles, and in tiles computed each by itself: seconds, and the difference from the first."""
    photo = (photograph_of_size(settings.side, settings.side).transpose(2, 0, 1) / 255).astype(np.float32)
    kmac = _kmac(model)
    rows = []
    for precision in ("fp32", "bf16"):
        whole = Translator.from_pretrained(model, settings.device, precision, settings.side, engine="torch")
        tiled = Translator.from_pretrained(model, settings.device, precision, settings.tile, engine="torch")
        image = photo[: whole.network.in_channels]
        ways: dict[str, Callable[[], np.ndarray]] = {
            "at once": partial(whole, image, noise=False),
            "in tiles": partial(tiled, image, noise=False),
            "tiles by themselves": partial(alone, whole, image, settings.tile),
        }
        wanted = ways["at once"]()
        for name, translate in ways.items():
            seconds, result = _timed(translate, settings.rounds)
            difference = 255 * np.abs(result - wanted)
            rows.append(
                {
                    "model": model,
                    "precision": precision,
                    "how": name,
                    "seconds_per_megapixel": seconds / settings.side**2 * 1e6,
                    "largest_difference": float(difference.max()),
                    "mean_difference": float(difference.mean()),
                    "kmac_per_pixel": kmac,
                }
            )
    return rows


def alone(translator: Translator, image: np.ndarray, tile: int) -> np.ndarray:
    """An image (C, H, W) from tiles that know nothing of one another, OVERLAP pixels larger on each side."""
    height, width = image.shape[-2:]
    result: np.ndarray | None = None
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            above, before = max(0, top - OVERLAP), max(0, left - OVERLAP)
            part = translator(image[:, above : top + tile + OVERLAP, before : left + tile + OVERLAP], noise=False)
            kept = part[:, top - above :][:, :tile, left - before :][:, :, :tile]
            if result is None:
                result = np.empty((part.shape[0], height, width), np.float32)
            result[:, top : top + tile, left : left + tile] = kept
    assert result is not None
    return result


def _timed(function: Callable[[], np.ndarray], rounds: int) -> tuple[float, np.ndarray]:
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def _kmac(model: str) -> float:
    generator = generator_of(load_checkpoint(model))
    side = generator.net.layout.stride
    return kmac_per_pixel(generator, torch.rand(1, generator.in_channels, side, side))


def _commands(models: Sequence[str], settings: Settings) -> list[dict[str, Any]]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for (width, height), rounds in ((settings.photo, settings.rounds), (settings.large, 1)):
            source, target = Path(folder) / f"{width}x{height}.png", Path(folder) / "out.png"
            write_picture(Picture(photograph_of_size(width, height)), source, "png")
            for model in models:
                command = [installed_command(), "translate", str(source), "-o", str(target), "--overwrite"]
                costs = [cost_of([*command, "--model", model, "--device", settings.device]) for _ in range(rounds)]
                seconds = statistics.median(cost.seconds for cost in costs)
                rows.append(
                    {
                        "what": f"img2img translate --model {Path(model).stem}, {width}x{height}",
                        "seconds": seconds,
                        "seconds_per_megapixel": seconds / (width * height) * 1e6,
                        "peak_mb": max(cost.peak_mb for cost in costs),
                    }
                )
    return rows


def _tile_table(rows: Sequence[dict[str, Any]]) -> str:
    return markdown_table(
        ["model", "precision", "how", "kMAC/pixel", "s/megapixel", "largest difference, grey levels", "mean"],
        [
            [
                Path(row["model"]).stem,
                row["precision"],
                row["how"],
                f"{row['kmac_per_pixel']:.1f}",
                f"{row['seconds_per_megapixel']:.2f}",
                f"{row['largest_difference']:.3f}",
                f"{row['mean_difference']:.4f}",
            ]
            for row in rows
        ],
    )
