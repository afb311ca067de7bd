"""The service's temporary folder: so many bytes and no more, names of our own, empty when the service has ended.

A service that was killed cannot empty its folder; the next one does. Whose owner lives is told by a lock on a file in
it, which the system lets go with the process, however that ends.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from .settings import ServiceError

PREFIX = "img2img-serve-"
LOCK = "lock"
FULL = "the service's temporary folder is full; try again later"


class Spool:
    """A folder that is made anew.

    Args:
        limit: bytes.
        parent: where it lies; the system's place for temporary files without.
    """

    def __init__(self, limit: int, parent: Path | None = None) -> None:
        self.limit = limit
        self.used = 0
        self._sizes: dict[Path, int] = {}
        above = Path(tempfile.gettempdir()) if parent is None else parent
        empty_abandoned(above)
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=above))  # 0700: nobody else looks into it
        self._lock = (self.folder / LOCK).open("wb")
        lock(self._lock)

    def path(self) -> Path:
        """A name that nobody can guess and no client has chosen."""
        return self.folder / secrets.token_hex(16)

    def take(self, path: Path, size: int) -> None:
        """Account for more bytes of a file.

        Raises:
            ServiceError: there is no room for them.
        """
        if self.used + size > self.limit:
            raise ServiceError(507, FULL)
        self.used += size
        self._sizes[path] = self._sizes.get(path, 0) + size

    def measure(self, path: Path) -> int:
        """Account for a file that somebody else has written; may exceed the limit, by one result for each worker."""
        with suppress(OSError):
            size = path.stat().st_size
            self.used += size - self._sizes.get(path, 0)
            self._sizes[path] = size
            return size
        return 0

    def remove(self, *paths: Path) -> None:
        """Remove files, those that are there."""
        for path in paths:
            self.used -= self._sizes.pop(path, 0)
            with suppress(OSError):
                path.unlink()

    def close(self) -> None:
        """Remove the folder."""
        self._lock.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def lock(file: IO[bytes]) -> None:
    """Lock a file for this process.

    Raises:
        OSError: another one has it.
    """
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def empty_abandoned(parent: Path) -> None:
    """Remove the folders of services that were killed."""
    for folder in _ours(parent):
        try:
            with (folder / LOCK).open("r+b") as file:
                lock(file)
        except OSError:
            continue  # its service lives, or it is just being made
        shutil.rmtree(folder, ignore_errors=True)


def _ours(parent: Path) -> Iterator[Path]:
    """Folders of this user; a link is none, whatever it is called."""
    me = os.getuid() if hasattr(os, "getuid") else None
    with suppress(OSError):
        for folder in parent.glob(f"{PREFIX}*"):
            about = folder.lstat()
            if folder.is_dir() and not folder.is_symlink() and (me is None or about.st_uid == me):
                yield folder
