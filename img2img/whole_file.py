"""Files that appear when they are whole, or not at all."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO
from uuid import uuid4


@contextmanager
def whole_file(target: str, overwrite: bool) -> Iterator[BinaryIO]:
    """A file that appears under its name when it is complete, or not at all.

    Where the system has files without a name (Linux, on most of its file systems), nothing is left behind either by a
    process that is killed.

    Raises:
        FileExistsError: it exists and must not be overwritten.
        OSError: the folder or the file cannot be written.
    """
    folder = os.path.dirname(target) or os.curdir
    try:
        os.makedirs(folder, exist_ok=True)
    except FileExistsError as error:  # a file where the folder should be
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder) from error
    temporary = os.path.join(folder, f".{uuid4().hex}.part")  # short: the target's name may be as long as names can be
    nameless = _nameless(folder)
    try:
        with nameless or open(temporary, "x+b") as file:
            yield file
            if nameless is not None:
                file.flush()
                if not overwrite and _linked(nameless, target):  # no other name that a kill could leave behind
                    return
                _name(nameless, temporary)
        _put(temporary, target, overwrite)
    finally:
        with suppress(OSError):
            os.unlink(temporary)


def _nameless(folder: str) -> BinaryIO | None:
    """A file in the folder that has no name there and goes with the process; None where there are no such files."""
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None or not os.path.isdir("/proc/self/fd"):
        return None
    try:
        return os.fdopen(os.open(folder, flag | os.O_RDWR, 0o666), "w+b")
    except OSError:  # not on this file system; what else is wrong the named file will tell
        return None


def _linked(file: BinaryIO, name: str) -> bool:
    """Give a file without a name one; no where there are no hard links.

    Raises:
        FileExistsError: something has this name already.
    """
    try:
        os.link(f"/proc/self/fd/{file.fileno()}", name, src_dir_fd=file.fileno())  # so it is the file behind the link
    except FileExistsError:
        raise
    except OSError:
        return False
    return True


def _name(file: BinaryIO, name: str) -> None:
    if not _linked(file, name):
        shutil.copyfile(f"/proc/self/fd/{file.fileno()}", name)


def _put(temporary: str, target: str, overwrite: bool) -> None:
    if not overwrite:
        try:
            os.link(temporary, target)  # unlike a rename it fails if the target has come into being meanwhile
            return
        except FileExistsError:
            raise
        except OSError as error:  # a file system without hard links
            if os.path.lexists(target):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from error
    os.replace(temporary, target)
