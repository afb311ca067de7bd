"""What every benchmark does with its numbers: a Markdown table to read, a JSON file that says where they come from."""

from __future__ import annotations

import json
import math
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, padded so that it reads well in a terminal too.

    Example:
        >>> print(markdown_table(["method", "PSNR"], [["noisy", "20.16"]]))
        | method | PSNR  |
        | ------ | ----- |
        | noisy  | 20.16 |
    """
    body = [list(row) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(header, *body, strict=True)]
    lines = [list(header), ["-" * width for width in widths], *body]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def slashed(values: Iterable[float], digits: int = 2) -> str:
    """One table cell with a number per noise level, as papers print them.

    Example:
        >>> slashed([33.876, 31.2, float("inf")])
        '33.88 / 31.20 / inf'
    """
    return " / ".join(f"{value:.{digits}f}" for value in values)


def new_record(
    benchmark: str, settings: DataclassInstance, files: Sequence[Path] = (), **measured: object
) -> dict[str, Any]:
    """What a benchmark's JSON file holds: what was run, where, with which settings, on which images; then the numbers.

    Args:
        benchmark: the subcommand's name.
        settings: left out is `out`, the folder that the file goes to.
        files: the images.
        measured: the benchmark's own numbers, by name.
    """
    chosen = {
        key: str(value) if isinstance(value, Path) else value for key, value in asdict(settings).items() if key != "out"
    }
    images = {"images": [file.name for file in files]} if files else {}
    return {"benchmark": benchmark, "environment": environment(), "settings": chosen, **images, **measured}


def environment() -> dict[str, Any]:
    """What a reader needs in order to repeat a measurement: command, commit, versions, processor, threads, date."""
    import torch

    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "commit": _commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "scikit-image": version("scikit-image"),
        "processor": _processor(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
    }


def write_json(path: Path, record: dict[str, Any]) -> None:
    """Write ``record``, creating the folder; infinite numbers, which JSON has not, become the string "inf"."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_finite(record), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _commit() -> str | None:
    """The commit of the checkout this file is in, with "-dirty" where files were changed; None outside a checkout."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():  # installed, perhaps inside the checkout of something else
        return None
    describe = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(describe, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
