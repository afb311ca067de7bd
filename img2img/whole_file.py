"""Files that appear when they are whole, or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO
from uuid import uuid4


@contextmanager
def whole_file(target: str, overwrite: bool) -> Iterator[BinaryIO]:
    """A file that appears under its name when it is complete, or not at all.

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
    try:
        with open(temporary, "x+b") as file:
            yield file
        _put(temporary, target, overwrite)
    finally:
        with suppress(OSError):
            os.unlink(temporary)


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
