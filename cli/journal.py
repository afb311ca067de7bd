"""What is measured of textures: the file of `img2img texture --report`, and which of them break `--max-seam`."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

import img2img
from img2img.stores import opened
from img2img.whole_file import whole_file

from .plan import Job
from .report import say_error

if TYPE_CHECKING:
    from img2img.images import Picture
    from img2img.metrics.texture import Diversity, Image


@dataclass
class Journal:
    """Takes down textures one by one, and writes what it has when it is closed, after Ctrl-C as well.

    Args:
        path: of the report; None for none.
        max_seam: None allows any.

    Raises:
        click.UsageError: the file could not be written, or is something else that it would replace.
    """

    path: str | None
    max_seam: float | None
    begun: bool = False
    seams: list[str] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    groups: "dict[tuple[str, ...], Diversity]" = field(default_factory=dict)
    before: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is None:
            return
        file = Path(self.path)
        if not os.access(file.parent, os.W_OK):
            raise click.UsageError(f"--report {self.path}: nothing can be written to {file.parent}")
        if file.exists():
            content = file.read_bytes()
            if content and not _is_report(content):
                raise click.UsageError(f"--report {self.path}: this is no report and will not be replaced")
            self.before = _entries(content)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close it.

        Raises:
            click.exceptions.Exit: code 1: nothing else went wrong, but seams are too strong.
        """
        self.close()
        if self.seams and kind is None:
            raise click.exceptions.Exit(1)

    def begin(self, skipped: Sequence[Job]) -> None:
        """The command line makes sense: from now on there is a report. Outputs that exist already are part of it.

        Of those the report that is there says what it said before; of others the seam is measured.
        """
        self.begun = True
        if self.path is None and self.max_seam is None:
            return
        for job in skipped:
            self._keep(job)

    def _keep(self, job: Job) -> None:
        from img2img.metrics.texture import seam_scores

        texture = _read(job.target).to_array()
        height, width = texture.shape[1:]
        facts = self.before.get(job.target) or {"width": width, "height": height}
        facts = {name: value for name, value in facts.items() if name not in ("output", "samples", "diversity")}
        sample = _read(job.source).to_array()
        self.add(job.target, job.sources, facts | {"seam": seam_scores(texture)}, texture, sample)

    def add(
        self,
        target: str,
        sources: tuple[str, ...],
        facts: dict[str, Any],
        texture: "Image",
        colours: "Image",
    ) -> None:
        """Take down one texture (C, H, W), made of samples from these sources, if there are any.

        By the variance of the colours, (C, h, w), its variety is measured.
        """
        from img2img.metrics.texture import Diversity

        group = self.groups.setdefault(sources, Diversity(colours))
        if group.count == 0 or group.sum.shape == texture.shape:  # of another size it cannot be compared
            group.add(texture)
        self.entries.append({"output": target, "samples": list(sources), **facts})
        for direction, score in facts["seam"].items():
            if self.max_seam is not None and score > self.max_seam:
                self.seams.append(f"{target}: its {direction} seam score {score:.1f} is above {self.max_seam:g}")

    def close(self) -> None:
        """Write the report, and say which seams are too strong; nothing after wrong use."""
        if not self.begun:
            return
        for seam in self.seams:
            say_error(seam)
        if self.path is None:
            return
        for entry in self.entries:
            entry["diversity"] = self.groups[tuple(entry["samples"])].value()
        self.entries.sort(key=lambda entry: str(entry["output"]))
        report = {"img2img": img2img.__version__, "textures": self.entries}
        with whole_file(self.path, overwrite=True) as file:
            file.write(json.dumps(report, indent=1).encode() + b"\n")


def _read(name: str) -> "Picture":
    from img2img.images import read_picture

    with opened(name) as file:
        return read_picture(file)


def _is_report(content: bytes) -> bool:
    try:
        return {"img2img", "textures"} <= json.loads(content).keys()
    except (ValueError, AttributeError):
        return False


def _entries(content: bytes) -> dict[str, dict[str, Any]]:
    """What a report says of each output."""
    try:
        return {entry["output"]: entry for entry in json.loads(content)["textures"]}
    except (ValueError, KeyError, TypeError):
        return {}
