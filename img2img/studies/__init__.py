"""The studies of the lecture on convolutional networks: what `img2img study` makes. Imports nothing that is slow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """What is known of a study before it is imported.

    Args:
        name: of its module in this package, of its command and of its folder.
        title: of its page.
        about: what it shows, in one line.
        picture: whether it takes a PICTURE.
        data: the data set without which it cannot run; see `img2img.studies.data`.
    """

    name: str
    title: str
    about: str
    picture: bool = False
    data: str | None = None


STUDIES = (
    About("convolution", "Convolution", "a kernel slides, rectification, pooling; padding and shifts", picture=True),
)
BY_NAME = {study.name: study for study in STUDIES}
