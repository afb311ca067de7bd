"""The folder of a study: index.html, the PNGs, findings.json; whole or not at all."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import Img2ImgError
from . import About
from .study import Findings, Settings, Study

FACTS = "findings.json"


def make(about: About, settings: Settings, folder: Path, overwrite: bool = False) -> dict[str, Any]:
    """Run a study and write its folder; what findings.json holds is returned.

    Args:
        about: the study.
        settings: what it is asked for.
        folder: to be made; its parents, too.
        overwrite: replace a study that is there.

    Raises:
        Img2ImgError: the folder is there already, or the study cannot be run.
        OSError: the folder cannot be written.
    """
    with new_folder(folder, overwrite) as unfinished:
        started = time.monotonic()
        study = load(about.name)
        from .drawing import png  # now: if matplotlib is missing, the work would be for nothing
        from .page import page

        findings = study.run(settings)
        pictures = {name: png(drawn) for name, drawn in study.draw(findings).items()}
        facts = facts_of(about, settings, findings, time.monotonic() - started)
        (unfinished / "index.html").write_text(
            page(about, study.PAGE, findings, pictures, how(about, settings, facts)), encoding="utf-8"
        )
        for name, data in pictures.items():
            (unfinished / f"{name}.png").write_bytes(data)
        write_json(unfinished / FACTS, facts)
    return facts


def load(name: str) -> Study:
    """The module of a study."""
    module: Any = import_module(f"img2img.studies.{name}")
    study: Study = module
    return study


def how(about: About, settings: Settings, facts: dict[str, Any]) -> str:
    """By what a page was made, and for how long."""
    options = [f"--seed {settings.seed}"] if settings.seed else []
    options += [f"--minutes {settings.minutes:g}"] if settings.minutes else []
    options += [f"--{name}" for name in ("quick", "thorough") if getattr(settings, name)]
    words = " ".join(["img2img study", about.name, *([settings.picture.name] if settings.picture else []), *options])
    note = " With --quick everything is tiny, so these numbers mean little." if settings.quick else ""
    return f"Made by `{words}`, img2img {__version__}, in {facts['seconds']:.0f} s.{note}"


def facts_of(about: About, settings: Settings, findings: Findings, seconds: float) -> dict[str, Any]:
    """What findings.json holds."""
    chosen = {k: v.name if isinstance(v, Path) else v for k, v in asdict(settings).items() if k != "download"}
    return {
        "study": about.name,
        "version": __version__,
        "settings": chosen,
        "seconds": round(seconds, 1),
        "findings": {
            name: {
                "sentence": finding.sentence,
                "numbers": dict(finding.numbers),
                **({} if finding.holds is None else {"holds": finding.holds}),
            }
            for name, finding in findings.sentences.items()
        },
        "tables": {
            name: {"header": list(t.header), "rows": [list(r) for r in t.rows]} for name, t in findings.tables.items()
        },
    }


def write_json(path: Path, facts: dict[str, Any]) -> None:
    """JSON without what JSON has not: numbers are rounded to six figures, infinite ones are text."""
    path.write_text(json.dumps(plain(facts), indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def plain(value: Any) -> Any:
    """The value made of what JSON has."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, str | bool | int | None):
        return value
    number = float(value)
    return float(f"{number:.6g}") if math.isfinite(number) else str(number)


def is_study(folder: Path) -> bool:
    """Whether a folder is one of ours, which alone may be replaced."""
    try:
        return "study" in json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def check_free(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that is there.

    Raises:
        Img2ImgError: it is, and may not be replaced.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not overwrite:
        raise Img2ImgError(
            "{folder} is there already: {0} replaces it, {1} names another", "overwrite", "output", folder=folder
        )
    if not is_study(folder):
        raise Img2ImgError(
            "{folder} is no study's folder, so it is not replaced: {0} names another", "output", folder=folder
        )


@contextmanager
def new_folder(folder: Path, overwrite: bool) -> Iterator[Path]:
    """A folder that gets its name when all is in it, and is gone if anything goes wrong before, Ctrl-C too.

    So are those around it that were made for it.
    """
    check_free(folder, overwrite)
    around = [parent for parent in folder.parents if not parent.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    room = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        unfinished = room / "new"  # mkdtemp's own folder is for its owner alone
        unfinished.mkdir()
        yield unfinished
        if folder.exists():
            folder.replace(room / "old")
        unfinished.replace(folder)
    finally:
        shutil.rmtree(room, ignore_errors=True)
        with suppress(OSError):  # one that something is in
            for parent in around:
                parent.rmdir()
