"""What it costs to look at part of a file: `img2img bench codec-views`.

Whole commands, each a process of its own: coding, decoding all, faithfully, plainly and vividly, a preview, a region,
and the first half of the file.
Processor seconds count, which others on the machine disturb less than those of the clock.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from img2img.images import Picture, write_picture

from .report import markdown_table, new_record, write_json
from .speed import cost_of, installed_command, photograph_of_size

SIZES = ((768, 512), (6000, 4000))


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        models: names of codecs; every shipped one if None.
        sizes: widths and heights of pictures, at least 512 each.
        rounds: how often each command runs; the least time counts.
        out: folder for `codec_views.json`; nothing is written if None.
    """

    models: Sequence[str] | None = None
    sizes: Sequence[tuple[int, int]] = SIZES
    rounds: int = 1
    out: Path | None = None


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print the table through ``echo``, write the file, and return what it holds.

    Raises:
        Img2ImgError: a command failed.
    """
    from img2img.checkpoints import names

    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for model in settings.models if settings.models is not None else names("compress"):
            for size in settings.sizes:
                for what, command in _commands(model, *size, Path(folder)):
                    cost = min((cost_of(command) for _ in range(settings.rounds)), key=lambda cost: cost.cpu_seconds)
                    rows.append({"codec": model, "size": f"{size[0]}x{size[1]}", "what": what, **asdict(cost)})
    record = new_record("codec-views", settings, rows=rows)
    echo(table(rows))
    if settings.out is not None:
        write_json(settings.out / "codec_views.json", record)
    return record


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each command."""
    return markdown_table(
        ["codec", "size", "command", "CPU s", "peak memory, MB"],
        [[r["codec"], r["size"], r["what"], f"{r['cpu_seconds']:.2f}", f"{r['peak_mb']:.0f}"] for r in rows],
    )


def _commands(model: str, width: int, height: int, folder: Path) -> list[tuple[str, list[str]]]:
    """Each command's name and words, in an order in which they can run."""
    source, coded, half, result = (folder / name for name in ("photo.png", "photo.i2i", "half.i2i", "result.png"))
    write_picture(Picture(photograph_of_size(width, height)), source, "png")
    program, to = installed_command(), ["-o", str(result), "--overwrite"]
    compress = [program, "compress", str(source), "-o", str(coded), "--overwrite", "--model", model]
    cost_of(compress)
    half.write_bytes(coded.read_bytes()[: coded.stat().st_size // 2])
    decompress = [program, "decompress", str(coded), *to]
    region = f"{width // 2 - 256},{height // 2 - 256},512,512"
    return [
        ("compress", compress),
        ("decompress", decompress),
        ("decompress --look plain", [*decompress, "--look", "plain"]),
        ("decompress --look vivid", [*decompress, "--look", "vivid"]),
        ("decompress --preview", [*decompress, "--preview"]),
        ("decompress --region, 512x512 in the middle", [*decompress, "--region", region]),
        ("decompress --partial, half of the file", [program, "decompress", str(half), *to, "--partial"]),
    ]
