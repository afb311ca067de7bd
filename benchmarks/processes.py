"""Commands, run and watched: what they and all processes that they start take (Linux); or run in this process."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from img2img.errors import Img2ImgError

if TYPE_CHECKING:
    from click.testing import Result

TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
SAMPLE = 0.05  # seconds between two looks at the processes


@dataclass(frozen=True)
class Taken:
    """What some commands took, all together.

    Attributes:
        seconds: by the clock, from the start of the first to the end of the last.
        cpu_seconds: of them and whatever they started, as far as it was seen to run.
        peak_mb: the largest memory of one of the processes.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float


def descendants(pid: int) -> Iterator[int]:
    """The processes that a process has started, and those that they have."""
    children: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                children += map(int, (task / "children").read_text().split())
    for child in children:
        yield child
        yield from descendants(child)


def in_this_process(words: Sequence[str]) -> Result:
    """Run `img2img` with these words here, where what is in memory can be seen."""
    from click.testing import CliRunner

    (main,) = (each.load() for each in entry_points(group="console_scripts", name="img2img"))
    return CliRunner().invoke(main, [*words])


def taken_by(commands: Sequence[Sequence[str]], environment: dict[str, str] | None = None) -> Taken:
    """Run commands at once, without their standard output.

    Raises:
        Img2ImgError: one did not end with exit code 0.
    """
    with tempfile.TemporaryFile() as said:
        begun = time.perf_counter()
        processes = [
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, env=environment) for command in commands
        ]
        meter = _Meter([process.pid for process in processes])
        codes = [process.wait() for process in processes]
        seconds = time.perf_counter() - begun
        meter.stop()
        said.seek(0)
        if any(codes):
            last = (said.read().decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
            raise Img2ImgError(f"{' '.join(commands[0])} failed: {last}")
    return Taken(seconds, sum(meter.cpu.values()), max(meter.peak.values(), default=0.0))


class _Meter(threading.Thread):
    """Looks again and again at processes: what is not seen is their last twentieth of a second."""

    def __init__(self, pids: Sequence[int]) -> None:
        super().__init__(daemon=True)
        self._pids, self._ended = pids, threading.Event()
        self.cpu: dict[tuple[int, str], float] = {}
        self.peak: dict[int, float] = {}
        self.start()

    def run(self) -> None:
        while not self._ended.wait(SAMPLE):
            for top in self._pids:
                for pid in (top, *descendants(top)):
                    with suppress(OSError, ValueError, IndexError):
                        self._look(pid)

    def _look(self, pid: int) -> None:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        self.cpu[pid, words[19]] = (int(words[11]) + int(words[12])) / TICK  # a number may be another process's later
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                self.peak[pid] = int(line.split()[1]) * 1024 / 1e6

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self.join()
