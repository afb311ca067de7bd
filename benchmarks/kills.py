"""A run over many pictures that is killed again and again: `img2img bench kills`.

Tiny pictures are denoised in processes (or by Ray's actors) while, at random moments, the driver, a worker, or the
storage under both dies. Each time the driver is killed the same command is started again. In the end every output has
to be there once, and whole, with the very bytes that the library makes; and the manifest has to say so. Needs Linux.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import random
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from img2img.errors import Img2ImgError
from img2img.images import Picture, write_picture
from img2img.manifest import files_of, read, summary
from img2img.processing import process

from .memory_store import memory_store
from .processes import descendants, in_this_process
from .report import markdown_table, new_record, write_json
from .speed import installed_command

DISTINCT = 97  # pictures that differ; the others are copies
SIGMA = 25
MODEL = "denoise-fast"
ENGINE = "onnx"
WORKERS = 2
SOON = 4.0  # seconds in which a driver has not done much: it loads, plans, reads the manifest
OUTAGE = (0.3, 1.0)  # of the longest

Kind = Literal["driver", "start", "worker", "storage"]
KINDS: tuple[Kind, ...] = ("driver", "worker", "storage", "start")
"""What is killed: the driver; a worker; the storage, for some seconds; the driver, and the next one, too, while it
starts."""


@dataclass(frozen=True)
class Settings:
    """What to kill.

    Attributes:
        count: pictures.
        kills: how many of all kinds together.
        ray: workers are Ray's actors.
        store: where pictures lie: a folder, s3 (moto's server on loopback), or memory (fsspec's, which is in the
            process: there a run is interrupted instead of killed, and there are no workers).
        side: of a picture, in pixels.
        outage: seconds that the storage is away, at most.
        seed: of the moments.
        out: folder for `kills.json`; nothing is written if None.
    """

    count: int = 100_000
    kills: int = 50
    ray: bool = False
    store: Literal["folder", "s3", "memory"] = "folder"
    side: int = 16
    outage: float = 20.0
    seed: int = 0
    out: Path | None = None


@dataclass
class Fault:
    """Something that dies once so many pictures are done."""

    after: int
    kind: Kind
    seconds: float = 0.0  # how long the storage is away; how long a driver that starts may live
    happened: bool = False


@dataclass
class Attempt:
    """One start of the command: how it ended, what it said last, and when its first result came, in seconds."""

    ended: int = 0
    said: str = ""
    printed: int = 0
    first: float | None = None
    seconds: float = 0.0


def schedule(settings: Settings) -> list[Fault]:
    """The faults, in the order in which they come; the last ones leave some pictures to be done."""
    chance = random.Random(settings.seed)
    kinds = [kind for kind in KINDS if settings.store != "memory" or kind in ("driver", "storage")]
    chosen = [kinds[number % len(kinds)] for number in range(settings.kills)]
    chance.shuffle(chosen)
    latest = max(1, settings.count * 95 // 100 - 2 * settings.kills)
    moments = sorted(chance.randrange(latest) for _ in chosen)
    spans = {"storage": tuple(settings.outage * share for share in OUTAGE), "start": (0.0, SOON)}
    return [
        Fault(after, kind, round(chance.uniform(*spans.get(kind, (0.0, 0.0))), 2))
        for after, kind in zip(moments, chosen, strict=True)
    ]


# ---- pictures and places


def pictures(side: int) -> list[bytes]:
    """PNGs: smooth, noisy, no two alike."""
    y, x = np.mgrid[:side, :side]
    made = []
    for number in range(DISTINCT):
        clean = np.stack([x * 8, y * 8, (x + y) * 4 + number], axis=2)
        noisy = clean + np.random.default_rng(number).normal(0, 15, clean.shape)
        stream = BytesIO()
        write_picture(Picture(noisy.clip(0, 255).astype(np.uint8)), stream, "png")
        made.append(stream.getvalue())
    return made


def name_of(number: int) -> str:
    """In folders of 100."""
    return f"{number // 100:04d}/{number:06d}.png"


def line(place: Place, name: str) -> str:
    """Of the list."""
    return json.dumps({"input": f"{place.source}/{name}", "output": f"{place.target}/{name}"}) + "\n"


class Place(Protocol):
    """Where inputs and outputs lie."""

    @property
    def source(self) -> str:
        """The folder or address of the inputs."""

    @property
    def target(self) -> str:
        """Of the outputs."""

    def put(self, name: str, data: bytes) -> None:
        """Add an input."""

    def outputs(self) -> Iterator[tuple[str, bytes]]:
        """Whatever lies at the target, names relative to it."""

    def down(self) -> None:
        """Let all reading and writing fail."""

    def up(self) -> None:
        """Let it work again."""


class Folder:
    """Two folders behind links. Away, the links lead to a file: whatever is below them cannot be reached."""

    def __init__(self, folder: Path) -> None:
        self.source, self.target = str(folder / "in"), str(folder / "out")
        self._folder = folder
        for name in ("in", "out"):
            (folder / f"the_{name}").mkdir()
            (folder / f"no_{name}").touch()
        self.up()

    def put(self, name: str, data: bytes) -> None:
        path = Path(self.source, name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)

    def outputs(self) -> Iterator[tuple[str, bytes]]:
        top = self._folder / "the_out"
        for path in sorted(each for each in top.rglob("*") if not each.is_dir()):
            yield str(path.relative_to(top)), path.read_bytes()

    def down(self) -> None:
        self._lead({"in": "no_in", "out": "no_out"})

    def up(self) -> None:
        self._lead({"in": "the_in", "out": "the_out"})

    def _lead(self, where: dict[str, str]) -> None:
        for name, to in where.items():
            (self._folder / "link").symlink_to(self._folder / to)
            (self._folder / "link").replace(self._folder / name)  # at no moment is there none


class Bucket:
    """S3; away, its server does not listen."""

    source, target = "s3://pictures/in", "s3://pictures/out"

    def __init__(self, system: Any, server: Any) -> None:
        self._system, self._server = system, server

    def put(self, name: str, data: bytes) -> None:
        self._system.pipe_file(f"pictures/in/{name}", data)

    def outputs(self) -> Iterator[tuple[str, bytes]]:
        for path in self._system.find("pictures/out"):
            yield path.removeprefix("pictures/out/"), self._system.cat_file(path)

    def down(self) -> None:
        self._server.down()

    def up(self) -> None:
        self._server.up()


class Memory:
    """fsspec's file system in this process; away, it raises what a disk raises."""

    source, target = "memory://in", "memory://out"

    def __init__(self, stack: ExitStack) -> None:
        self._away = False
        self._system = stack.enter_context(memory_store(self._answer))

    def _answer(self, _kind: str) -> None:
        if self._away:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def put(self, name: str, data: bytes) -> None:
        self._system.pipe_file(f"/in/{name}", data)

    def outputs(self) -> Iterator[tuple[str, bytes]]:
        for path in self._system.find("/out"):
            yield path.removeprefix("/out/"), self._system.cat_file(path)

    @property
    def done(self) -> int:
        """How many objects there are but inputs."""
        return sum(1 for name in [*self._system.store] if name.startswith("/out/"))

    def down(self) -> None:
        self._away = True

    def up(self) -> None:
        self._away = False


def placed(settings: Settings, folder: Path, stack: ExitStack) -> Place:
    """The place that the settings ask for."""
    if settings.store == "folder":
        return Folder(folder)
    if settings.store == "memory":
        return Memory(stack)
    from .object_store import s3_server_that_fails

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    return Bucket(*stack.enter_context(s3_server_that_fails()))


# ---- the command, and what kills it


def command(settings: Settings, folder: Path) -> list[str]:
    """The arguments of img2img: a list in, a manifest beside."""
    words = ["denoise", "--files-from", str(folder / "list"), "--manifest", str(folder / "run.jsonl")]
    words += ["--sigma", str(SIGMA), "--model", MODEL, "--engine", ENGINE]
    if settings.store != "memory":
        words += ["--workers", str(WORKERS)]
    return words + (["--ray"] if settings.ray else [])


def workers_of(driver: int) -> list[int]:
    """The processes that compute for a driver: those it has spawned, or Ray's, which Ray's own have started."""
    found = []
    for pid in descendants(driver):
        with suppress(OSError):
            said = Path(f"/proc/{pid}/cmdline").read_bytes()
            if said.startswith(b"ray::Actor") or b"spawn_main" in said:
                found.append(pid)
    return found


@dataclass
class Killer:
    """Starts the command until all is done, and makes the faults happen.

    Args:
        words: the whole command.
        place: whose storage goes away.
        faults: in their order.
        chance: for the moments within.
    """

    words: Sequence[str]
    place: Place
    faults: list[Fault]
    chance: random.Random
    printed: int = 0
    attempts: list[Attempt] = field(default_factory=list)
    _away_until: float | None = None

    def run(self, most: int) -> None:
        """Until the command has nothing left to do.

        Raises:
            Img2ImgError: it does not come to an end.
        """
        while not self.attempts or self.attempts[-1].ended != 0:
            if len(self.attempts) == most:
                raise Img2ImgError(f"after {most} starts the run has not come to its end")
            self.attempts.append(self._attempt())
        self._restore(always=True)

    def _attempt(self) -> Attempt:
        self._restore()
        attempt = Attempt()
        begun = time.monotonic()
        with subprocess.Popen(self.words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            try:
                self._watch(process, attempt, begun)
            finally:
                process.kill()
            attempt.ended = process.wait()
        attempt.seconds = round(time.monotonic() - begun, 2)
        return attempt

    def _watch(self, process: subprocess.Popen[bytes], attempt: Attempt, begun: float) -> None:
        """Read what the command prints, and let happen what is due, until it ends."""
        streams = [stream.fileno() for stream in (process.stdout, process.stderr) if stream]
        out = streams[0]
        lives = self._span_of_start()
        while streams:
            for stream in select.select(streams, [], [], 0.05)[0]:
                data = os.read(stream, 1 << 16)
                if not data:
                    streams.remove(stream)
                elif stream == out:
                    lines = data.count(b"\n")
                    attempt.printed += lines
                    self.printed += lines
                    attempt.first = attempt.first or round(time.monotonic() - begun, 2)
                else:
                    attempt.said = (data.decode(errors="replace").splitlines() or [""])[-1][:300]
            self._restore()
            if lives is not None and time.monotonic() - begun > lives:
                process.kill()
            elif lives is None:
                self._let_happen(process)

    def _span_of_start(self) -> float | None:
        """How long a driver lives that is killed while it starts; None for one that is not."""
        due = [fault for fault in self._due() if fault.kind == "start"]
        if not due or not self.attempts or self.attempts[-1].ended >= 0:
            return None
        due[0].happened = True
        return due[0].seconds

    def _due(self) -> list[Fault]:
        return [fault for fault in self.faults if fault.after <= self.printed and not fault.happened]

    def _let_happen(self, process: subprocess.Popen[bytes]) -> None:
        for fault in self._due()[:1]:
            time.sleep(self.chance.uniform(0, 0.05))
            if fault.kind == "storage":
                if self._away_until is None:
                    self.place.down()
                    self._away_until = time.monotonic() + fault.seconds
                    fault.happened = True
            elif fault.kind == "worker":
                if workers := workers_of(process.pid):
                    os.kill(self.chance.choice(workers), signal.SIGKILL)
                    fault.happened = True
            else:
                process.kill()
                fault.happened = fault.kind == "driver"

    def _restore(self, always: bool = False) -> None:
        if self._away_until is not None and (always or time.monotonic() > self._away_until):
            self.place.up()
            self._away_until = None


# ---- the same within this process: its memory would go with it


def interrupted(words: Sequence[str], place: Memory, faults: Sequence[Fault], most: int) -> list[Attempt]:
    """Run the command here until it has nothing left to do, with Ctrl-C in place of kills.

    Raises:
        Img2ImgError: it does not come to an end.
    """
    attempts: list[Attempt] = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's children ignore it
    try:
        while not attempts or attempts[-1].ended != 0:
            if len(attempts) == most:
                raise Img2ImgError(f"after {most} starts the run has not come to its end")
            attempts.append(_attempt_here(words, place, faults))
    finally:
        signal.signal(signal.SIGINT, before)
        place.up()
    return attempts


def _attempt_here(words: Sequence[str], place: Memory, faults: Sequence[Fault]) -> Attempt:
    begun, before = time.monotonic(), place.done
    ended = threading.Event()
    mischief = threading.Thread(target=_make_trouble, args=(place, faults, ended), daemon=True)
    mischief.start()
    try:
        result = in_this_process(words)
        code, said = result.exit_code, (result.stderr.splitlines() or [""])[-1][:300]
    except KeyboardInterrupt:  # it came when the command had just ended
        code, said = 130, ""
    ended.set()
    mischief.join()
    return Attempt(code, said, place.done - before, None, round(time.monotonic() - begun, 2))


def _make_trouble(place: Memory, faults: Sequence[Fault], ended: threading.Event) -> None:
    """Interrupt once, or take the storage away, when it is due."""
    while not ended.wait(0.01):
        for fault in [fault for fault in faults if fault.after <= place.done and not fault.happened][:1]:
            fault.happened = True
            if fault.kind == "driver":
                os.kill(os.getpid(), signal.SIGINT)
                return
            place.down()
            ended.wait(fault.seconds)
            place.up()


# ---- what is there in the end


def judged(expected: Sequence[bytes], settings: Settings, place: Place, manifest: Path) -> dict[str, Any]:
    """What is wrong with outputs and manifest, by kind; all are looked at, byte by byte."""
    wanted = {name_of(number): number % DISTINCT for number in range(settings.count)}
    found = Counter[str]()
    sizes: dict[str, int] = {}
    for name, data in place.outputs():
        if name not in wanted:
            found["strange files"] += 1
        elif data != expected[wanted[name]]:
            found["wrong bytes"] += 1
        sizes[name] = len(data)
    found["missing"] = len(wanted.keys() - sizes.keys())
    fine, lines, failed = Counter[str](), 0, 0
    for record in read(files_of(str(manifest))):
        if "output" not in record:
            continue
        name = record["output"].removeprefix(f"{place.target}/")
        lines += 1
        if "error" in record:
            failed += 1
        else:
            fine[name] += 1
            found["wrong sizes in the manifest"] += record["bytes"] != sizes.get(name)
    said = summary(files_of(str(manifest)))
    found["not once in the manifest"] = sum(fine[name] != 1 for name in wanted)
    found["manifest counts otherwise"] = int((said["done"], said["failed"], said["left"]) != (len(wanted), 0, 0))
    faults = {kind: count for kind, count in found.items() if count}
    return {"outputs": len(sizes), "wrong": faults, "lines": lines, "failures_repaired": failed}


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Kill, resume, compare; print it through ``echo``, write the file, and return what it holds.

    Raises:
        Img2ImgError: the run does not come to its end.
    """
    begun = time.monotonic()
    faults = schedule(settings)
    inputs = pictures(settings.side)
    expected = [process("denoise", each, sigma=SIGMA, model=MODEL, engine=ENGINE)[0] for each in inputs]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place = placed(settings, folder, stack)
        for number in range(settings.count):
            place.put(name_of(number), inputs[number % DISTINCT])
        (folder / "list").write_text("".join(line(place, name_of(number)) for number in range(settings.count)))
        made = perform(settings, folder, place, faults)
        made |= judged(expected, settings, place, folder / "run.jsonl")
    made |= {"faults": [asdict(fault) for fault in faults], "seconds": round(time.monotonic() - begun, 1)}
    record = new_record("kills", settings, **made)
    echo(table([record]))
    if settings.out is not None:
        write_json(settings.out / f"kills_{'ray' if settings.ray else 'local'}_{settings.store}.json", record)
    return record


def perform(settings: Settings, folder: Path, place: Place, faults: list[Fault]) -> dict[str, Any]:
    """Run the command to its end; how often it was started, and how each start ended."""
    words = command(settings, folder)
    chance = random.Random(settings.seed + 1)
    most = 3 * settings.kills + 10
    if isinstance(place, Memory):
        attempts = interrupted(words, place, faults, most)
    else:
        killer = Killer([installed_command(), *words], place, faults, chance)
        killer.run(most)
        attempts = killer.attempts
    return {"starts": len(attempts), "attempts": [asdict(attempt) for attempt in attempts]}


def table(records: Sequence[dict[str, Any]]) -> str:
    """A line for each run."""
    return markdown_table(HEADER, [_cells(record) for record in records])


HEADER = ("engine", "storage", "pictures", *KINDS, "starts of the command", "failures repaired", "wrong in the end")


def _cells(record: dict[str, Any]) -> list[str]:
    settings = record["settings"]
    happened = Counter(fault["kind"] for fault in record["faults"] if fault["happened"])
    return [
        "one process" if settings["store"] == "memory" else "Ray" if settings["ray"] else "local",
        settings["store"],
        f"{settings['count']:,}",
        *(str(happened[kind]) for kind in KINDS),
        str(record["starts"]),
        f"{record['failures_repaired']:,}",
        ", ".join(f"{count} {kind}" for kind, count in record["wrong"].items()) or "nothing",
    ]
