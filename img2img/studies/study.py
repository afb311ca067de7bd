"""What every study takes and gives: settings in; numbers, arrays and the sentences they support out; a page's parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """What a study is asked for.

    Args:
        picture: a picture file; a photograph that comes with scikit-image without.
        data: folder of the data set.
        download: let torchvision fetch the data set into `data`.
        minutes: for each training; what is not trained by then stays so. Without, every training has a number of
            steps, so that the same seed gives the same numbers.
        seed: of everything random.
        quick: everything tiny: the numbers mean little, but all is there within seconds.
        thorough: every variant of the paper, for hours.
        device: that networks are trained on; auto, cpu, cuda or mps.
    """

    picture: Path | None = None
    data: Path | None = None
    download: bool = False
    minutes: float | None = None
    seed: int = 0
    quick: bool = False
    thorough: bool = False
    device: str = "auto"

    def sized(self, quick: T, usual: T) -> T:
        """One of two sizes of something."""
        return quick if self.quick else usual


@dataclass(frozen=True)
class Finding:
    """A sentence and the numbers that support it.

    Args:
        sentence: what was measured, in words, with the numbers in it.
        numbers: the same numbers for programs.
        holds: whether a claim that others made was found to be so; None where none is tested.
    """

    sentence: str
    numbers: Mapping[str, float]
    holds: bool | None = None


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers under a header."""

    header: Sequence[str]
    rows: Sequence[Sequence[str | float]]


@dataclass(eq=False)
class Findings:
    """What a study found.

    Args:
        sentences: by the name under which a page asks for them.
        tables: likewise.
        arrays: what is drawn. Not written to findings.json.
    """

    sentences: dict[str, Finding] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    arrays: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """A section of a page: what is looked at, the picture, what was measured.

    Args:
        heading: of the section.
        text: paragraphs, divided by empty lines.
        pictures: names of drawn pictures, each with its caption.
        sentences: names of findings.
        tables: names of tables.
    """

    heading: str
    text: str
    pictures: Mapping[str, str] = field(default_factory=dict)
    sentences: Sequence[str] = ()
    tables: Sequence[str] = ()


class Study(Protocol):
    """The module of a study. What belongs to one name in PAGE and is not there is left out of the page."""

    PAGE: tuple[Part, ...]

    def run(self, settings: Settings) -> Findings:
        """Measure."""
        ...

    def draw(self, findings: Findings) -> dict[str, Figure]:
        """Draw what was measured: pictures by name."""
        ...


def progress(steps: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """The steps, with a bar on standard error if that is a terminal."""
    from tqdm import tqdm

    yield from tqdm(steps, desc=label, total=total, disable=None, leave=False, dynamic_ncols=True)
