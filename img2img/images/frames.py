"""The frames of an animation or the pages of a document, one at a time in memory."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from tempfile import TemporaryFile
from typing import Any

from .picture import Picture


class Frames(Sequence[Picture]):
    """All frames or pages of a file, in order; an ordinary picture has one.

    Each is decoded when it is asked for, and only the latest is kept: asking in order costs least.

    Args:
        begin: begins to decode them, from the first.
        count: how many there are.
        animated: whether they follow each other in time, each for its `about.duration`; else they are pages.
        loop: how often an animation is played, 0 for ever.
    """

    def __init__(self, begin: Callable[[], Iterator[Picture]], count: int, animated: bool, loop: int = 0) -> None:
        self.animated, self.loop = animated, loop
        self._begin, self._count = begin, count
        self._rest = begin()
        self._latest, self._number = next(self._rest), 0

    @classmethod
    def of(cls, picture: Picture) -> Frames:
        """A picture alone."""
        return cls(lambda: iter([picture]), 1, False)

    @property
    def nbytes(self) -> int:
        """Bytes that one frame takes."""
        return self._latest.nbytes

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        number = range(self._count)[index]
        if number < self._number:
            self._rest = self._begin()
            self._latest, self._number = next(self._rest), 0
        while self._number < number:
            self._latest = next(self._rest)
            self._number += 1
        return self._latest

    def map(self, function: Callable[[Picture], Picture]) -> Frames:
        """What a function makes of each; of several the results wait in a temporary file, not in memory."""
        if self._count == 1:
            return Frames.of(function(self[0]))
        spool = _Spool()
        for number in range(self._count):
            spool.add(function(self[number]))
        return Frames(spool.read, self._count, self.animated, self.loop)


class _Spool:
    """Pictures in a temporary file that has no name, and goes with the last who holds it."""

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115 - it lives as long as this object
        self._ends = [0]

    def add(self, picture: Picture) -> None:
        self._file.seek(0, os.SEEK_END)
        pickle.dump(picture, self._file, protocol=5)
        self._ends.append(self._file.tell())

    def read(self) -> Iterator[Picture]:
        for place in self._ends[:-1]:
            self._file.seek(place)
            yield pickle.load(self._file)
