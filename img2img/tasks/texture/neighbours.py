"""Patches of a canvas and their nearest neighbours on a sheet: all of them compared, or a few likely ones.

Patches are compared by whole numbers below 2^11 in length, so that every product and every sum of them is exact in
float32. The result is the same whatever order they are added in: for any number of threads, and by any BLAS.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .sheet import PATCH, Indices, Sheet

FEATURES = 32  # numbers that a patch is compared by
SAMPLED = 3000  # patches that say which numbers those are
TABLE = 2**21  # patches of a sheet whose vectors are kept; of a larger one they are made whenever they are needed
CHUNK = 2**24  # distances at once
SCALE = 2**12  # of the cosines, as whole numbers; times the longest patch (127 * 8 * 3 ** 0.5) that is below 2^23

Floats = NDArray[np.float32]


def cosines() -> NDArray[np.float64]:
    """The discrete cosine transform of a patch: (PATCH^2 waves, PATCH^2 pixels), orthonormal."""
    k, n = np.arange(PATCH)[:, None], np.arange(PATCH)[None]
    rows = np.cos(np.pi * (n + 0.5) * k / PATCH) * np.sqrt(2 / PATCH)
    rows[0] /= np.sqrt(2)
    return np.einsum("ay,bx->abyx", rows, rows).reshape(PATCH**2, PATCH**2)


class Patches:
    """The patches of a sheet as vectors: those waves of each channel that vary most, rounded to whole numbers.

    Principal components would need a few numbers less; they hang on the last digits of an eigenvalue solver, and these
    on the number of its threads.

    Args:
        sheet: whose patches.

    Attributes:
        variance: of the vectors, summed: half the squared distance of two unrelated patches, on average.
    """

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        channels = sheet.colours.shape[1]
        self.offsets = (np.arange(PATCH)[:, None] * sheet.width + np.arange(PATCH)).reshape(-1).astype(np.int32)
        waves = np.rint(SCALE * cosines()).astype(np.float32)
        self._basis = np.zeros((PATCH**2 * channels, len(waves) * channels), np.float32)
        for channel in range(channels):  # pixel by pixel, channels within, as they are gathered
            self._basis[channel::channels, channel * len(waves) : (channel + 1) * len(waves)] = waves.T
        some = sheet.places[:: max(1, len(sheet.places) // SAMPLED)]
        spread = self._project(some).var(0, dtype=np.float64)
        order = np.argsort(-spread, kind="stable")[:FEATURES]
        self._basis = np.ascontiguousarray(self._basis[:, np.sort(order)])
        self.variance = float(spread[order].sum())

    def __len__(self) -> int:
        """How many patches the sheet has."""
        return len(self.sheet.places)

    @cached_property
    def keys(self) -> Floats:
        """(N, FEATURES), the vectors of all patches, as the sheet's places are ordered."""
        keys = np.empty((len(self), self._basis.shape[1]), np.float32)
        for begin in range(0, len(keys), 2**14):
            keys[begin : begin + 2**14] = self._project(self.sheet.places[begin : begin + 2**14])
        return keys

    @cached_property
    def half_norms(self) -> Floats:
        """(N,), half their squared lengths."""
        return _half_norms(self.keys)

    def costs(self, queries: Floats, numbers: Indices) -> Floats:
        """Half the squared distances of (Q, D) queries from (Q, M) patches, less the queries' own norms: (Q, M)."""
        if len(self) <= TABLE:
            return self.half_norms[numbers] - np.einsum("qd,qmd->qm", queries, self.keys[numbers])
        keys = self._project(self.sheet.places[numbers].reshape(-1)).reshape(*numbers.shape, -1)
        return np.asarray(np.einsum("qmd,qmd->qm", keys, keys / 2 - queries[:, None]))

    def _project(self, places: Indices) -> Floats:
        return self.of(places[:, None] + self.offsets)

    def of(self, pixels: Indices) -> Floats:
        """The vectors (N, FEATURES) of patches whose pixels are taken from these places, (N, PATCH^2)."""
        colours = self.sheet.colours[pixels].reshape(len(pixels), -1).astype(np.float32)
        projected = colours @ self._basis
        projected *= np.float32(1 / SCALE)
        return np.rint(projected, out=projected)

    @cached_property
    def _augmented(self) -> Floats:
        ones = np.ones(len(self.keys), np.float32)
        return np.ascontiguousarray(np.column_stack([-self.keys, self.half_norms, ones]).T)

    def among_all(self, queries: Floats, alpha: float) -> Indices:
        """The number of each query's nearest patch, so weighed that all patches of the sheet are used.

        Distances are divided by alpha plus the patch's own distance to the nearest query: a patch that is not used yet
        is far from all of them, and so becomes cheap.

        Args:
            queries: (Q, FEATURES).
            alpha: in units of `variance`.

        References: Granot et al. 2022, arXiv:2103.15545 (GPNN, equation 2).
        """
        left = np.column_stack([queries, np.ones(len(queries), np.float32), _half_norms(queries)])
        rows = max(1, CHUNK // self._augmented.shape[1])
        chunks = [left[begin : begin + rows] for begin in range(0, len(left), rows)]
        least = np.full(len(self.keys), np.inf, np.float32)
        distances = None
        for chunk in chunks:
            distances = chunk @ self._augmented
            np.minimum(least, distances.min(0), out=least)
        weights = 1 / (np.float32(alpha * max(self.variance, 1.0)) + least)
        found = np.empty(len(queries), np.int32)
        for number, chunk in enumerate(chunks):
            if len(chunks) > 1 or distances is None:
                distances = chunk @ self._augmented
            distances *= weights
            found[number * rows : number * rows + len(chunk)] = distances.argmin(1)
        return found

    def among_likely(
        self, queries: Floats, candidates: Indices, rounds: int, chance: np.random.Generator
    ) -> tuple[Indices, Floats]:
        """The nearest of some patches, then of patches around the best so far, nearer each time.

        Args:
            queries: (Q, FEATURES).
            candidates: (Q, M), numbers of patches.
            rounds: of the random search; its radius is halved with each.
            chance: for the search.

        Returns:
            the numbers of the patches, and half their squared distances but for the queries' own norms.

        References: Ashikhmin 2001, doi:10.1145/364338.364405 (coherent candidates); Barnes et al. 2009,
            doi:10.1145/1531326.1531330 (PatchMatch's random search).
        """
        sheet = self.sheet
        costs = self.costs(queries, candidates)
        first = costs.argmin(1)[:, None]
        best = np.take_along_axis(candidates, first, 1)[:, 0]
        cost = np.take_along_axis(costs, first, 1)[:, 0]
        radius = max(sheet.shape)
        for _ in range(rounds):
            row, column = np.divmod(sheet.places[best], sheet.width)
            row += chance.integers(-radius, radius + 1, len(best), np.int32)
            column += chance.integers(-radius, radius + 1, len(best), np.int32)
            np.clip(row, 0, sheet.shape[0] - 1, out=row)
            np.clip(column, 0, sheet.width - 1, out=column)
            other = sheet.nearest[row * sheet.width + column]
            costs = self.costs(queries, other[:, None])[:, 0]
            better = costs < cost
            np.copyto(best, other, where=better)
            np.copyto(cost, costs, where=better)
            radius = max(1, radius // 2)
        return best, cost


def _half_norms(vectors: Floats) -> Floats:
    return np.asarray(np.einsum("nd,nd->n", vectors, vectors) / 2)
