"""Jobs in their order, any number of them in little memory: beyond some thousands they wait in a temporary file."""

import pickle
from collections.abc import Iterable, Iterator, Sequence
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from .plan import Job

KEPT = 4096  # jobs in memory, and in each piece of the file


class Jobs(Sequence["Job"]):
    """A sequence of jobs that only grows.

    Args:
        jobs: the first ones.
    """

    def __init__(self, jobs: "Iterable[Job]" = ()) -> None:
        self._latest: list[Job] = []
        self._file: Any = None
        self._places: list[int] = []  # in the file, of each piece
        for job in jobs:
            self.append(job)

    def append(self, job: "Job") -> None:
        """Add one at the end."""
        if len(self._latest) == KEPT:
            if self._file is None:
                self._file = TemporaryFile()  # noqa: SIM115 (closed when nobody needs it any more)
            self._places.append(self._file.seek(0, 2))
            pickle.dump(self._latest, self._file, pickle.HIGHEST_PROTOCOL)
            self._latest = []
        self._latest.append(job)

    def __len__(self) -> int:
        return len(self._places) * KEPT + len(self._latest)

    def __iter__(self) -> "Iterator[Job]":
        for place in self._places:
            yield from self._piece(place)
        yield from self._latest

    @overload
    def __getitem__(self, index: int) -> "Job": ...

    @overload
    def __getitem__(self, index: slice) -> "list[Job]": ...

    def __getitem__(self, index: int | slice) -> "Job | list[Job]":
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        piece, place = divmod(range(len(self))[index], KEPT)
        return self._latest[place] if piece == len(self._places) else self._piece(self._places[piece])[place]

    def _piece(self, place: int) -> "list[Job]":
        self._file.seek(place)
        jobs: list[Job] = pickle.load(self._file)
        return jobs
