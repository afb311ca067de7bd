"""The images below a folder."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from img2img.errors import ImageError


def find_images(folder: Path, recursive: bool, suffixes: Iterable[str]) -> list[Path]:
    """Files in a folder whose names end in one of the suffixes, in an order that is the same on every machine.

    Hidden files and folders (names that begin with a dot) are left out. Links are followed, but each folder is
    listed once: by its own place in the tree if it has one, so that links which form a loop end.

    Args:
        folder: where to look.
        recursive: whether to look in the folders below it too.
        suffixes: with the dot, such as `.png`; upper and lower case are the same.

    Returns:
        Paths that begin with `folder`, sorted.

    Raises:
        ImageError: a folder cannot be listed.
    """
    wanted = {suffix.lower() for suffix in suffixes}
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    folders, links = deque([folder]), deque[Path]()
    while folders or links:
        # Links wait until every folder that lies in the tree itself has been seen.
        current = folders.popleft() if folders else links.popleft()
        try:
            status = current.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(current) as listing:
                entries = sorted((entry for entry in listing if not entry.name.startswith(".")), key=lambda e: e.name)
        except OSError as error:
            raise ImageError(f"cannot list {current}: {error.strerror}") from error
        for entry in entries:
            path = current / entry.name
            try:
                is_folder, is_file = entry.is_dir(), entry.is_file()
            except OSError:  # a link to itself
                continue
            if is_folder and recursive:
                (links if entry.is_symlink() else folders).append(path)
            elif is_file and path.suffix.lower() in wanted:
                found.append(path)
    return sorted(found)
