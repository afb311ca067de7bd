"""Which files of a folder are images, in which order, and that links never loop."""

import os
from pathlib import Path

import pytest

from img2img.data.folder import find_images
from img2img.errors import ImageError

SUFFIXES = (".png", ".jpg")


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(folder: Path, recursive: bool) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find_images(folder, recursive, SUFFIXES)]


def test_only_images_sorted_and_hidden_ones_left_out(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("b.png", "a.JPG", "c.txt", ".hidden.png", "png", "d.png.part")))
    (tmp_path / "folder.png").mkdir()
    assert names(tmp_path, recursive=False) == ["a.JPG", "b.png"]


def test_folders_below_only_if_asked(tmp_path: Path) -> None:
    touch(tmp_path / "z.png", tmp_path / "sub/x.jpg", tmp_path / "sub/deep/y.png", tmp_path / ".git/no.png")
    assert names(tmp_path, recursive=False) == ["z.png"]
    assert names(tmp_path, recursive=True) == ["sub/deep/y.png", "sub/x.jpg", "z.png"]


def test_links_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    touch(tmp_path / "photos/real/a.png", tmp_path / "elsewhere/b.png")
    photos = tmp_path / "photos"
    (photos / "again").symlink_to(photos / "real")  # comes first by name, yet `real` keeps its own place
    (photos / "real" / "up").symlink_to(photos)
    (photos / "other").symlink_to(tmp_path / "elsewhere")
    (photos / "link.png").symlink_to(tmp_path / "elsewhere" / "b.png")
    (photos / "broken.png").symlink_to(tmp_path / "nothing")
    (photos / "self.png").symlink_to(photos / "self.png")
    assert names(photos, recursive=True) == ["link.png", "other/b.png", "real/a.png"]


def test_a_pipe_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert names(tmp_path, recursive=True) == []


def test_a_folder_that_is_none_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"cannot list .*missing: No such file"):
        find_images(tmp_path / "missing", True, SUFFIXES)
    touch(tmp_path / "file.png")
    with pytest.raises(ImageError, match="Not a directory"):
        find_images(tmp_path / "file.png", True, SUFFIXES)
