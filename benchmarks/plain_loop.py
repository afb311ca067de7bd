"""A loop over the library as users write it, run by `img2img bench workers` as a program of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import img2img


def loop(source: str, target: str, options: dict[str, Any], part: int = 0, of: int = 1) -> None:
    """Denoise every picture of a folder, or every `of`-th, one after the other."""
    for path in sorted(Path(source).iterdir())[part::of]:
        data, _ = img2img.process("denoise", path.read_bytes(), **options)
        Path(target, path.name).write_bytes(data)


if __name__ == "__main__":
    sigma, model, engine = sys.argv[3:6]
    how: dict[str, Any] = {"sigma": float(sigma), "model": model, "engine": engine}
    loop(sys.argv[1], sys.argv[2], how, *map(int, sys.argv[6:]))
