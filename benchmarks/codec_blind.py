"""Which of two is the better picture, asked of somebody who does not know what made them: `img2img bench codec-blind`.

First it writes sheets: the original, and A and B, both of at most so many bytes a pixel, each pixel for pixel. Which
codec is A and which B is drawn for each sheet and kept in `key.json`, which whoever answers must not see. They write a
line for each sheet, its number and the better one (`07 B`, or `07 =`), into a file that a second call counts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from img2img.choices import TUNES
from img2img.errors import Img2ImgError
from img2img.images import read_8_bits

from . import codec_equal_bytes
from .codec_equal_bytes import ORIGINAL
from .codec_peers import Pixels
from .denoise_psnr import picture_files
from .report import markdown_table, new_record, write_json
from .sheets import contact_sheet

SIDE = 384  # pixels of each part on a sheet
KEY, EVEN = "key.json", "="


@dataclass(frozen=True)
class Settings:
    """What to ask, or what to count.

    Attributes:
        data: folder of pictures; scikit-image's own photographs if None.
        models: names or files of our codecs.
        tunes, looks: as for codec_equal_bytes.Settings.
        only: peers.
        rate: bits per pixel, of whole files.
        limit: only the first so many pictures, by name.
        seed: of the order of sheets, and of A and B.
        answers: files of answers to count; without one sheets are written.
        out: folder for the sheets, the key, and at last `codec_blind.json`.
    """

    out: Path
    data: Path | None = None
    models: Sequence[str] = ("codec-best",)
    tunes: Sequence[str] = TUNES[:1]
    looks: Sequence[str] = ("faithful", "vivid")
    only: Sequence[str] = ("AVIF",)
    rate: float = 0.25
    limit: int | None = 10
    seed: int = 0
    answers: Sequence[Path | str] = ()


@dataclass(frozen=True)
class Question:
    """One sheet.

    Attributes:
        image: file name of the picture.
        a: which codec is shown as A.
        b: and as B.
    """

    image: str
    a: str
    b: str


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Write sheets and their key, or count answers; return what the JSON file holds.

    Raises:
        ImageError: there are no pictures, or one cannot be read.
        WeightsError: a model cannot be loaded.
        Img2ImgError: there is no key to count by, or a line of the answers that is none.
    """
    return _count(settings, echo) if settings.answers else _ask(settings, echo)


def _ask(settings: Settings, echo: Callable[[str], None]) -> dict[str, Any]:
    files = picture_files(settings.data, settings.limit)
    shared = {name: getattr(settings, name) for name in ("models", "tunes", "looks", "only")}
    coders = dict(codec_equal_bytes.coders(codec_equal_bytes.Settings(**shared)))
    made: dict[str, dict[str, Pixels]] = {}
    for file in files:
        pixels = read_8_bits(file)
        most = math.floor(settings.rate * pixels.shape[0] * pixels.shape[1] / 8)
        coded = {name: coder(pixels)(most) for name, coder in coders.items()}
        made[file.name] = {ORIGINAL: pixels} | {name: each[1] for name, each in coded.items() if each}
    questions = list(drawn(made, settings.seed))
    settings.out.mkdir(parents=True, exist_ok=True)
    for number, question in enumerate(questions, 1):
        shown = [made[question.image][name] for name in (ORIGINAL, question.a, question.b)]
        rows = list(zip(*(_parts(pixels) for pixels in shown), strict=True))
        contact_sheet(rows, (ORIGINAL, "A", "B"), settings.out / f"{number:02d}.png", SIDE)
    record = new_record("codec-blind", settings, files, questions=[vars(question) for question in questions])
    write_json(settings.out / KEY, record)
    echo(f"{len(questions)} sheets in {settings.out}; whoever answers must not see {KEY}")
    return record


def drawn(made: dict[str, dict[str, Pixels]], seed: int) -> Iterator[Question]:
    """Every pair of every picture, in an order by chance, as A and B by chance."""
    pairs = [
        (image, *pair)
        for image, row in made.items()
        for pair in combinations([name for name in row if name != ORIGINAL], 2)
    ]
    random = np.random.default_rng(seed)
    for place in random.permutation(len(pairs)):
        image, *pair = pairs[place]
        yield Question(image, *(pair if random.random() < 0.5 else reversed(pair)))


def _parts(pixels: Pixels) -> list[np.ndarray]:
    """Two squares from the middle of a picture, side by side along its longer side; one where there is no room."""
    height, width = pixels.shape[:2]
    along = 1 if width >= height else 0
    sides = [min(SIDE, side) for side in (height, width)]
    count = 2 if max(height, width) >= 2 * SIDE else 1
    starts = [(side - part) // 2 for side, part in zip((height, width), sides, strict=True)]
    parts = []
    for number in range(count):
        begin = list(starts)
        begin[along] = (max(height, width) - count * sides[along]) // 2 + number * sides[along]
        part = pixels[begin[0] : begin[0] + sides[0], begin[1] : begin[1] + sides[1]]
        parts.append(part[..., 0] if part.shape[2] == 1 else part)
    return parts


def _count(settings: Settings, echo: Callable[[str], None]) -> dict[str, Any]:
    key = settings.out / KEY
    if not key.is_file():
        raise Img2ImgError(f"{key} is missing: write the sheets first, without answers")
    asked = json.loads(key.read_text("utf-8"))
    questions = [Question(**each) for each in asked["questions"]]
    files = [Path(file) for file in settings.answers]
    answers = {file.stem: read_answers(file, len(questions)) for file in files}
    settings = replace(settings, answers=[str(file) for file in files])
    rows = summary(questions, answers)
    record = new_record(
        "codec-blind",
        settings,
        [],
        asked=asked["environment"] | {"settings": asked["settings"]},
        questions=asked["questions"],
        answers=answers,
        rows=rows,
    )
    echo(table(rows))
    write_json(settings.out / "codec_blind.json", record)
    echo(f"\n{settings.out / 'codec_blind.json'}")
    return record


def read_answers(file: Path, count: int) -> dict[str, str]:
    """By the number of the sheet: A, B or EVEN.

    Raises:
        Img2ImgError: a line that is no answer, or sheets without one.
    """
    found: dict[str, str] = {}
    for line in file.read_text("utf-8").splitlines():
        words = line.split()
        if not words:
            continue
        if len(words) < 2 or not words[0].isdecimal() or words[1] not in ("A", "B", EVEN):
            raise Img2ImgError(f"{file}: {line!r} is not a sheet's number and A, B or {EVEN}")
        found[str(int(words[0]))] = words[1]
    if missing := [number for number in range(1, count + 1) if str(number) not in found]:
        raise Img2ImgError(f"{file} has no answer for sheet {', '.join(map(str, missing))}")
    return found


def summary(questions: Sequence[Question], answers: dict[str, dict[str, str]]) -> list[dict[str, Any]]:
    """For each pair how many pictures each was chosen on, by each who answered and by most of them."""
    rows = []
    for pair in dict.fromkeys(tuple(sorted((q.a, q.b))) for q in questions):
        own = {str(n): q for n, q in enumerate(questions, 1) if tuple(sorted((q.a, q.b))) == pair}
        chosen = {
            who: [{"A": q.a, "B": q.b}.get(given[n], EVEN) for n, q in own.items()] for who, given in answers.items()
        }
        most = [_most(votes, pair) for votes in zip(*chosen.values(), strict=True)]
        for who, names in {**chosen, "most": most}.items():
            counts = {name: names.count(name) for name in (*pair, EVEN)}
            rows.append({"pair": list(pair), "who": who, "pictures": len(own), "chosen": counts})
    return rows


def _most(votes: Sequence[str], pair: Sequence[str]) -> str:
    first, second = (votes.count(name) for name in pair)
    return EVEN if first == second else pair[0 if first > second else 1]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each pair and each who answered."""
    cells = [
        [
            row["who"],
            *(f"{name}: {row['chosen'][name]}" for name in row["pair"]),
            str(row["chosen"][EVEN]),
            str(row["pictures"]),
        ]
        for row in rows
    ]
    return markdown_table(["who", "one", "the other", "no matter", "pictures"], cells)
