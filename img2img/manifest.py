"""The record of a run over many files: one JSON object a line, only ever added to; by it a run goes on where it ended.

A line is a finished picture or a failure, or the beginning of a run (`planned`). Lines of several files may be put
together in any order of files; of the lines of one output the last one counts.
"""

from __future__ import annotations

import errno
import json
import os
import re
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from .errors import ManifestError
from .stores import Stamp, is_address

State = Literal["new", "done", "failed", "changed", "other"]
"""What a record says of an output: nothing; it is there; it failed; its input has changed since; it is the result of
other weights or options."""

Record = dict[str, Any]
DIGITS = re.compile(r"\d+")


class Manifest:
    """A record that is being written, by this process alone.

    Args:
        path: of the file; created if it is not there.

    Raises:
        ManifestError: it cannot be written, is something else, or another run writes it.
    """

    def __init__(self, path: str) -> None:
        if is_address(path):
            raise ManifestError(f"{path}: a manifest is a file of this machine; nothing can be added to an object")
        try:
            self._file = Path(path).open("a+b", buffering=0)  # noqa: SIM115 (closed by close)
        except OSError as error:
            raise ManifestError(f"{path}: {error.strerror or error}") from error
        try:
            _lock(self._file, path)
            _check_kind(self._file, path)
        except ManifestError:
            self._file.close()
            raise
        self.path = path

    def add(self, record: Mapping[str, Any]) -> None:
        """Add one line; it is with the system, and outlives this process, when this returns.

        Raises:
            OSError: the disk is full.
        """
        line = json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
        if self._file.write(line) != len(line):  # at one go, so that no line stands within another
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Let others write it."""
        with suppress(OSError):
            os.fsync(self._file.fileno())
        self._file.close()


def _lock(file: Any, path: str) -> None:
    """Take the file for this process, until it closes it or ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            file.seek(2**62)  # a lock may lie behind the end, where nobody reads
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError as error:
            raise ManifestError(f"{path}: another run writes this manifest") from error
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ManifestError(f"{path}: another run writes this manifest; each shard needs its own") from error
    except OSError as error:
        raise ManifestError(f"{path}: this file system has no locks ({error.strerror}); put it elsewhere") from error


def _check_kind(file: Any, path: str) -> None:
    """Refuse what is no manifest; end a line that broke off, so that the next one stands by itself."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size and not _is_record(file.readline(1 << 20)):
        raise ManifestError(f"{path}: this is no manifest and will not be added to")
    if size:
        file.seek(size - 1)
        if file.read(1) != b"\n":
            file.write(b"\n")


def _is_record(line: bytes) -> bool:
    """Whether a file that begins so is a manifest: other lists are of JSON objects, too."""
    if line.startswith(b'{"planned":'):
        return True  # and if it broke off there
    try:
        said = json.loads(line)
    except ValueError:
        return False
    return isinstance(said, dict) and {"output", "version"} <= said.keys()


def path_of_shard(path: str, index: int, count: int) -> str:
    """The file of one of several runs side by side, from 0: run.jsonl becomes run.1-of-4.jsonl."""
    file = Path(path)
    return path if count == 1 else str(file.with_name(f"{file.stem}.{index + 1}-of-{count}{file.suffix}"))


def files_of(path: str) -> list[Path]:
    """The files of a manifest that are there: its own, and those of shards of any number."""
    file = Path(path)
    pattern = re.compile(re.escape(file.stem) + r"(\.\d+-of-\d+)?" + re.escape(file.suffix))
    try:
        found = [each for each in file.parent.iterdir() if pattern.fullmatch(each.name)]
    except OSError:
        return []
    return sorted(found, key=lambda each: _in_order(each.name))


def _in_order(name: str) -> list[int]:
    return [int(number) for number in DIGITS.findall(name)]


def read(paths: Iterable[Path]) -> Iterator[Record]:
    """The records of files, in order; lines that broke off are left out.

    Raises:
        ManifestError: a file cannot be read, or is something else.
    """
    for path in paths:
        try:
            with path.open("rb") as file:
                if (first := file.readline(1 << 20)) and not _is_record(first):
                    raise ManifestError(f"{path}: this is no manifest")
                file.seek(0)
                for line in file:
                    with suppress(ValueError):
                        record = json.loads(line)
                        if isinstance(record, dict):
                            yield record
        except OSError as error:
            raise ManifestError(f"{path}: {error.strerror or error}") from error


def stamp_in(record: Mapping[str, Any]) -> Stamp | None:
    """The stamp of a record's input."""
    kind = next((kind for kind in ("mtime", "etag") if kind in record), None)
    return None if kind is None else Stamp(record.get("size", 0), kind, str(record[kind]))


class Earlier:
    """What earlier runs have done, in 33 bytes for each output.

    Args:
        records: of these runs.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        import numpy as np

        columns = [array("q") for _ in range(3)]
        flags = array("b")
        for record in records:
            if "output" not in record:
                continue
            stamp = stamp_in(record)
            columns[0].append(hash((record.get("input"), record["output"])))
            columns[1].append(0 if stamp is None else hash(stamp))
            columns[2].append(hash(made_by(record)))
            flags.append("error" not in record)
        keys, stamps, makers = (np.asarray(column, np.int64) for column in columns)
        fine = np.asarray(flags, np.int8)
        order = np.argsort(keys, kind="stable")
        keys, fine = keys[order], fine[order]
        last = np.flatnonzero(np.append(keys[1:] != keys[:-1], True)) if keys.size else np.zeros(0, np.int64)
        first = np.append(0, last[:-1] + 1)
        ever = np.maximum.reduceat(fine, first) if keys.size else fine
        self._keys = array("q", keys[last].tobytes())
        self._stamps = array("q", stamps[order][last].tobytes())
        self._makers = array("q", makers[order][last].tobytes())
        self._fine = array("b", (fine[last] + 2 * ever).astype(np.int8).tobytes())

    def __len__(self) -> int:
        return len(self._keys)

    def state(self, source: str, target: str, stamp: Stamp | None, made: tuple[str, str]) -> tuple[State, bool]:
        """What is known of an output, and whether it, if it is there, is an earlier result of ours.

        Args:
            source: the input.
            target: the output.
            stamp: of the input now; None if that is not known, then it is taken for the same.
            made: weights and options that would make it now.
        """
        key = hash((source, target))
        place = bisect_left(self._keys, key)
        if place == len(self._keys) or self._keys[place] != key:
            return "new", False
        fine, ours = self._fine[place] & 1, self._fine[place] > 1
        if not fine:
            return "failed", ours
        if self._makers[place] != hash(made):
            return "other", True
        if stamp is not None and self._stamps[place] and self._stamps[place] != hash(stamp):
            return "changed", True
        return "done", True


def made_by(record: Mapping[str, Any]) -> tuple[str, str]:
    """Weights and options of a record."""
    return record.get("weights", ""), record.get("options", "")


def summary(paths: Sequence[Path]) -> Record:
    """What files say: done, failed by reason, bytes, percentiles of seconds, what is left.

    `left` counts what the latest run of each file had planned and no record says is done.

    Raises:
        ManifestError: a file cannot be read.
    """
    import numpy as np

    last: dict[int, int] = {}
    reasons: list[str] = []
    number: dict[str, int] = {}
    kept = {name: array("d") for name in ("size", "bytes", "seconds")}
    makers: Counter[tuple[str, str, str]] = Counter()
    planned = lines = 0
    for path in paths:
        of_this = 0
        for record in read([path]):
            if "planned" in record:
                of_this = record["planned"]
            if "output" not in record:
                continue
            lines += 1
            key = hash((record.get("input"), record["output"]))
            if "error" in record:
                last[key] = -1 - number.setdefault(reason(record["error"]), len(number))
                continue
            for name, column in kept.items():
                column.append(record.get(name, 0))
            makers[(*made_by(record), record.get("version", ""))] += 1
            last[key] = len(kept["bytes"]) - 1
        planned += of_this
    reasons = list(number)
    states = np.fromiter(last.values(), np.int64, len(last))
    done = states[states >= 0]
    failed = Counter(reasons[-1 - state] for state in states[states < 0].tolist())
    size, written, seconds = (np.asarray(kept[name])[done] for name in kept)
    said: Record = {"done": len(done), "failed": int((states < 0).sum()), "planned": planned}
    said["left"] = max(0, planned - len(done))
    said["reasons"] = dict(failed.most_common())
    said["bytes"] = {"read": int(size.sum()), "written": int(written.sum()), "saved": int(size.sum() - written.sum())}
    said["seconds"] = {"sum": round(float(seconds.sum()), 3)}
    if len(done):
        shares = (50, 90, 99, 100)
        said["seconds"] |= {f"p{share}": round(float(np.percentile(seconds, share)), 4) for share in shares}
    said["made_by"] = [
        {"weights": weights, "options": options, "version": version, "lines": count}
        for (weights, options, version), count in makers.most_common()
    ]
    return said | {"lines": lines}


def reason(error: str) -> str:
    """An error without what differs from picture to picture: numbers and names of files."""
    return DIGITS.sub("N", re.sub(r"\S*/\S*", "FILE", error))[:120]


def is_there(path: str) -> bool:
    """Whether a manifest has begun."""
    return any(file.stat().st_size for file in files_of(path))
