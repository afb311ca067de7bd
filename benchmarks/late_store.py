"""Pictures in a store that answers late: `img2img bench late-store`.

Reading ahead, computing and writing behind go on at the same time, so that what a store is late by costs little once
`--jobs` is large enough. The store is fsspec's memory; each of its answers waits first. Its requests are counted, too.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from img2img.errors import Img2ImgError

from .memory_store import memory_store
from .processes import in_this_process
from .report import markdown_table, new_record, write_json
from .speed import write_many_noisy
from .workers import ENGINE, MODEL, SIGMA


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        count: pictures.
        side: of each, in pixels.
        late: seconds that each answer waits.
        jobs: values of `--jobs`.
        out: folder for `late_store.json`; nothing is written if None.
    """

    count: int = 64
    side: int = 64
    late: float = 0.05
    jobs: tuple[int, ...] = (1, 4, 16)
    out: Path | None = None


class Late:
    """Counts requests, and lets each wait; `seconds` may change."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.requests: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, kind: str) -> None:
        with self._lock:
            self.requests[kind] += 1
        time.sleep(self.seconds)


def measured(settings: Settings, folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each number of jobs, the first one for a store that answers at once."""
    late = Late()
    files = sorted(write_many_noisy(folder / "in", settings.count, (settings.side, settings.side), SIGMA).iterdir())
    with memory_store(late) as system:
        for path in files:
            system.pipe_file(f"/in/{path.name}", path.read_bytes())
        (folder / "list").write_text("".join(f"memory://in/{path.name}\n" for path in files))
        _denoise(folder / "list", "warm", 1)  # the network is loaded
        for seconds, jobs in ((0.0, settings.jobs[0]), *((settings.late, jobs) for jobs in settings.jobs)):
            late.seconds = seconds
            late.requests.clear()
            begun, cpu = time.perf_counter(), time.process_time()
            _denoise(folder / "list", f"out{seconds}-{jobs}", jobs)
            taken = (time.perf_counter() - begun) / settings.count
            yield {
                "late": seconds,
                "jobs": jobs,
                "seconds_per_picture": taken,
                "cpu_seconds_per_picture": (time.process_time() - cpu) / settings.count,
                "requests_per_picture": {kind: n / settings.count for kind, n in sorted(late.requests.items())},
            }


def _denoise(listed: Path, out: str, jobs: int) -> None:
    words = ["denoise", "--files-from", str(listed), "-o", f"memory://{out}", "--jobs", str(jobs)]
    result = in_this_process([*words, "--sigma", str(SIGMA), "--model", MODEL, "--engine", ENGINE])
    if result.exit_code:
        raise Img2ImgError(result.stderr.strip())


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print the table through ``echo``, write the file, and return what it holds.

    Raises:
        Img2ImgError: a picture failed.
    """
    with tempfile.TemporaryDirectory() as place:
        rows = list(measured(settings, Path(place)))
    record = new_record("late-store", settings, rows=rows)
    echo(table(rows))
    if settings.out is not None:
        write_json(settings.out / "late_store.json", record)
    return record


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each number of jobs; last what reading, computing and writing one after the other would take."""
    at_once = rows[0]["seconds_per_picture"]
    cells = [
        [
            f"{1000 * row['late']:.0f} ms",
            str(row["jobs"]),
            f"{1000 * row['seconds_per_picture']:.0f}",
            f"{1000 * (at_once + row['late'] * sum(row['requests_per_picture'].values())):.0f}",
            json.dumps({kind: round(count, 2) for kind, count in row["requests_per_picture"].items()})[1:-1],
        ]
        for row in rows
    ]
    header = ["late by", "--jobs", "ms/picture", "one after the other, ms", "requests a picture"]
    return markdown_table(header, [[cell.replace('"', "") for cell in line] for line in cells])
