"""How long valid files made to be slow take to decode at worst: `img2img bench codec-hostile`.

Every file holds about a megapixel. CPU seconds of decoding are compared with those of a photograph of 1024x1024 pixels
at quality 50 in tiles as the encoder has them: the format's limits on tiles are there so that no file takes more than
three times as long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from img2img.images import Picture
from img2img.tasks.compress import Compressor, Decompressor, Target
from img2img.tasks.compress.pipeline import RATES, _Coding
from img2img.tasks.compress.tiles import latent_boxes

from .report import markdown_table, new_record, write_json
from .speed import photograph_of_size

HONEST = "a photograph of 1024x1024, quality 50"
SHAPES = (
    # width, height, and tiles in pixels: as many as the format allows, and as thin as can be
    (1024, 1024, 1024, 32),
    (1024, 1024, 32, 1024),
    (1024, 1024, 256, 144),
    (131_072, 8, 4096, 16),
    (61_680, 17, 3856, 16),
    (31_776, 33, 2896, 16),
)


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        models: names or files of codecs; every shipped one if None.
        rounds: how often each file is decoded; the least time counts.
        device, precision, engine: as for `Decompressor`.
        out: folder for `codec_hostile.json`; nothing is written if None.
    """

    models: Sequence[str] | None = None
    rounds: int = 3
    device: str = "auto"
    precision: str = "auto"
    engine: str = "auto"
    out: Path | None = None


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print the table through ``echo``, write the file, and return what it holds.

    Raises:
        WeightsError: a model cannot be loaded.
    """
    from img2img.checkpoints import names

    rows: list[dict[str, Any]] = []
    where: dict[str, Any] = {"device": settings.device, "precision": settings.precision, "engine": settings.engine}
    for name in settings.models if settings.models is not None else names("compress"):
        decompressor = Decompressor(**where, models=[name])
        honest = None
        for what, data in files(Compressor.from_pretrained(name, **where)):
            seconds = min(_seconds(decompressor, data) for _ in range(settings.rounds))
            honest = honest or seconds
            rows.append(
                {"codec": name, "file": what, "bytes": len(data), "seconds": seconds, "times": seconds / honest}
            )
    record = new_record("codec-hostile", settings, rows=rows)
    echo(table(rows))
    if settings.out is not None:
        write_json(settings.out / "codec_hostile.json", record)
    return record


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each file."""
    cells = [
        [row["codec"], row["file"], str(row["bytes"]), f"{row['seconds']:.2f}", f"{row['times']:.2f}"] for row in rows
    ]
    return markdown_table(["codec", "file", "bytes", "CPU s", "times the first"], cells)


def files(compressor: Compressor) -> Iterator[tuple[str, bytes]]:
    """What each is called, and its bytes; the honest one first."""
    photo = Picture(photograph_of_size(1024, 1024))
    yield HONEST, compressor.compress(photo, Target(quality=50)).data
    yield "the same, quality 100", compressor.compress(photo, Target(quality=100)).data
    noise = np.random.default_rng(0)
    for width, height, wide, high in SHAPES:
        picture = Picture(noise.integers(0, 256, (height, width, 3)).astype(np.uint8))
        yield f"noise, {width}x{height} in tiles of {wide}x{high}", in_tiles(compressor, picture, (wide, high))
    for scale in (1e2, 1e8):
        yield f"1024x1024, latents of up to {scale:g}", extreme(compressor, photo, scale)


def in_tiles(compressor: Compressor, picture: Picture, tile: tuple[int, int]) -> bytes:
    """A file at the highest rate in tiles of any shape."""
    coding = _Coding(compressor, picture, 0)
    coding.tile, coding.boxes = tile, latent_boxes(picture.width, picture.height, tile, compressor.model.stride)
    return coding.at(RATES)


def extreme(compressor: Compressor, picture: Picture, scale: float) -> bytes:
    """A file of latents that no picture has: nearly all symbols are escapes, with as many bits as can be."""
    coding = _Coding(compressor, picture, 0)
    noise, slices = np.random.default_rng(0), compressor.model.coding.slices
    coding.latents = [
        [noise.uniform(-scale, scale, (sum(slices), box.height, box.width)).astype(np.float32) for box in row]
        for row in coding.boxes
    ]
    return coding.at(RATES)


def _seconds(decompressor: Decompressor, data: bytes) -> float:
    start = time.process_time()
    decompressor.decompress(data)
    return time.process_time() - start
