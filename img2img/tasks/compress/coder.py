"""Entropy coding: symbols to bytes and back, with integer tables (rANS, stack.py).

The bytes follow from integers alone, so every machine and every version decodes them alike. For another reader:

- The bytes, filled up with zeros to a multiple of four, are little-endian 32-bit words: a stack, the last on top. The
  state begins as 0. Whenever it is below 2**32 and the stack is not empty, state = (state << 32) + the word on top,
  which is taken off.
- To decode an entry of a table: its frequencies, times 256, divide 0..2**24 - 1 into intervals in the order of the
  entries; q = state mod 2**24 lies in that of the entry, say from c on, of width f; then
  state = (state >> 24) * f + q - c. After the last entry the state is 0 and the stack empty.
- Of symbols coded together, those with the first row come first, in their order, then those with the second, and so on.
  The row's last entry is an escape, any other the symbol `first + entry`. Rows of one entry take no bytes.
- Then follow the escapes' values v, in the same order: for each k = floor(log2(v + 1)), 0 to 33, with frequencies that
  fall by a quarter (`_CLASSES`); then for each with k > 0 the lower min(k, 16) bits of v + 1 - 2**k, all equally
  likely; then for each with k > 16 the other k - 16 bits. With e the escape's entry, an even v is the symbol
  first + e + v / 2, an odd v the symbol first - (v + 1) / 2.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ...errors import BitstreamError
from .stack import Stack, new_stack

TOTAL = 2**16  # what the frequencies of a table sum to

_HALF_BITS = 16  # a stack takes numbers of at most 24 bits, escapes have up to 33
_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True, eq=False)
class Tables:
    """Frequencies of symbols, made once when a model is trained and kept in its file.

    Args:
        frequencies: integers, the rows one after another; each at least 1, those of a row sum to TOTAL. A row's last
            entry is the escape, for symbols that the row does not have.
        lengths: (R,), entries of each row, the escape counted.
        firsts: (R,), int32, the symbol that a row's first entry stands for.

    Raises:
        ValueError: the arrays are not of this kind.
    """

    frequencies: np.ndarray
    lengths: np.ndarray
    firsts: np.ndarray

    def __post_init__(self) -> None:
        if self.lengths.ndim != 1 or self.firsts.shape != self.lengths.shape or not len(self.lengths):
            raise ValueError("lengths and firsts must have one number per row")
        if self.frequencies.ndim != 1 or self.lengths.min() < 1 or self.lengths.sum() != len(self.frequencies):
            raise ValueError("lengths must be at least 1 and sum to the number of frequencies")
        sums = np.add.reduceat(self.frequencies.astype(np.int64), self.starts)
        if self.frequencies.min() < 1 or (sums != TOTAL).any():
            raise ValueError(f"frequencies must be at least 1 and sum to {TOTAL} in each row")

    @cached_property
    def starts(self) -> np.ndarray:
        """(R,): where each row begins."""
        return np.cumsum(self.lengths, dtype=np.int64) - self.lengths

    def row(self, number: int) -> np.ndarray:
        """One row's frequencies."""
        start = self.starts[number]
        return self.frequencies[start : start + self.lengths[number]]


def encode(symbols: np.ndarray, rows: np.ndarray, tables: Tables) -> bytes:
    """Code symbols that are all known at once.

    Args:
        symbols: (N,), any int32.
        rows: (N,), the row of the tables for each symbol.
        tables: with which to decode, too.

    Raises:
        ValueError: the arrays do not fit each other or the tables.
    """
    encoder = Encoder(tables)
    encoder.push(symbols, rows)
    return encoder.finish()


def decode(data: bytes, rows: np.ndarray, tables: Tables) -> np.ndarray:
    """The symbols (N,), int32, of `encode`.

    Damaged data give wrong symbols or an error; that they were right is for a checksum to say.

    Raises:
        BitstreamError: the data hold more or less than these symbols.
        ValueError: the rows do not fit the tables.
    """
    decoder = Decoder(data, tables)
    symbols = decoder.pull(rows)
    decoder.finish()
    return symbols


class Encoder:
    """Codes groups of symbols one after another, for a decoder whose rows depend on the groups before."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._layers: list[list[tuple[_Places, np.ndarray, _Escapes]]] = [[]]

    def next_layer(self) -> None:
        """Let what is pushed from now on belong to another layer."""
        self._layers.append([])

    def push(self, symbols: np.ndarray, rows: np.ndarray) -> None:
        """Add a group; the arguments of `encode`."""
        if symbols.shape != rows.shape or symbols.dtype.kind not in "iu":
            raise ValueError(f"symbols must be integers of shape {rows.shape}, not {symbols.dtype} {symbols.shape}")
        if symbols.size and not _INT32.min <= symbols.min() <= symbols.max() <= _INT32.max:
            raise ValueError("symbols must fit into 32 bits")
        places = _by_row(rows, self._tables)
        entries = symbols[places.order].astype(np.int64) - places.firsts
        above = entries - places.escapes
        escaped = (entries < 0) | (above >= 0)
        values = np.where(above >= 0, 2 * above, -2 * entries - 1)[escaped]
        entries[escaped] = places.escapes[escaped]
        self._layers[-1].append((places, entries.astype(np.int32), _Escapes.of(values)))

    def finish(self) -> bytes:
        """All groups as bytes, as few as the last of which is not 0."""
        return b"".join(self.finish_layers())[::-1]

    def finish_layers(self) -> tuple[bytes, ...]:
        """The same, cut up into layers and turned round: a decoder needs the first bytes first.

        The first layers, joined and turned round again, are enough for a Decoder to pull their groups: what later ones
        pushed before lies below on the stack.
        """
        stack, below = new_stack(), []
        for layer in reversed(self._layers):  # what is to be decoded first goes in last
            # The state, the last two words, is still to change.
            below.append(4 * max(0, len(stack.words()) - 2))
            for places, entries, escapes in reversed(layer):
                escapes.push(stack)
                for row, span in reversed(list(places.spans())):
                    stack.push(entries[span], self._tables.row(row))
        data = bytes(stack.words().tobytes().rstrip(b"\0"))[::-1]
        ends = [len(data) - count for count in reversed(below)]
        return tuple(data[begin:end] for begin, end in zip([0, *ends], ends, strict=False))


class Decoder:
    """Decodes what Encoder coded, group by group.

    Raises:
        BitstreamError: no encoder makes such data.
    """

    def __init__(self, data: bytes, tables: Tables) -> None:
        if data.endswith(b"\0"):
            raise BitstreamError("damaged data: they end in zeros")
        self._tables = tables
        self._stack = new_stack(np.frombuffer(data + bytes(-len(data) % 4), "<u4"))

    def pull(self, rows: np.ndarray) -> np.ndarray:
        """The next group's symbols (N,), int32, coded with these rows (N,).

        Raises:
            BitstreamError: a symbol is not an int32.
            ValueError: the rows do not fit the tables.
        """
        places = _by_row(rows, self._tables)
        entries = np.zeros(len(rows), np.int64)
        for row, span in places.spans():
            entries[span] = self._stack.pull(self._tables.row(row), span.stop - span.start)
        escaped = entries == places.escapes
        values = self._pull_escapes(int(np.count_nonzero(escaped)))
        entries[escaped] = np.where(values % 2, -(values // 2) - 1, places.escapes[escaped] + values // 2)
        entries += places.firsts
        if escaped.any() and not _INT32.min <= entries.min() <= entries.max() <= _INT32.max:
            raise BitstreamError("damaged data: a symbol has more than 32 bits")
        symbols = np.empty(len(rows), np.int32)
        symbols[places.order] = entries
        return symbols

    def finish(self) -> None:
        """Make sure that nothing is left.

        Raises:
            BitstreamError: the data held more, or less, than what was pulled.
        """
        if not self._stack.is_empty():
            raise BitstreamError("damaged data: they do not end with the last symbol")

    def _pull_escapes(self, count: int) -> np.ndarray:
        if not count:
            return np.zeros(0, np.int64)
        k = self._stack.pull(_CLASSES, count).astype(np.int64)
        offsets = np.zeros(count, np.int64)
        for some, bits, shift in _halves(k):
            if some.any():
                offsets[some] += self._stack.pull_bits(bits[some]).astype(np.int64) << shift
        return (1 << k) + offsets - 1


class _Places(NamedTuple):
    """Symbols in the order in which they are coded: those of the first row, of the second, ..."""

    order: np.ndarray  # (N,): where each stands among the symbols as given
    counts: np.ndarray  # (R,): symbols of each row
    firsts: np.ndarray  # (N,): of each symbol's row
    escapes: np.ndarray  # (N,): the escape's entry in each symbol's row
    lengths: np.ndarray  # (R,)

    def spans(self) -> Iterator[tuple[int, slice]]:
        """The rows that have symbols and take bytes, and where these symbols are."""
        stops = np.cumsum(self.counts)
        for row in np.flatnonzero((self.counts > 0) & (self.lengths > 1)).tolist():
            yield row, slice(int(stops[row] - self.counts[row]), int(stops[row]))


def _by_row(rows: np.ndarray, tables: Tables) -> _Places:
    if rows.ndim != 1 or rows.dtype.kind not in "iu":
        raise ValueError(f"rows must be integers of shape (N,), not {rows.dtype} {rows.shape}")
    known = len(tables.lengths)
    if rows.size and not 0 <= rows.min() <= rows.max() < known:
        raise ValueError(f"rows must be 0 to {known - 1}")
    # Of 16-bit numbers numpy sorts a million in 4 ms, of longer ones in 60.
    order = np.argsort(rows.astype(np.uint16) if known <= 2**16 else rows, kind="stable")
    counts = np.bincount(rows, minlength=known)
    firsts, escapes = (np.repeat(each.astype(np.int64), counts) for each in (tables.firsts, tables.lengths - 1))
    return _Places(order, counts, firsts, escapes, tables.lengths)


class _Escapes(NamedTuple):
    """Values from 0 to 2**33 as their numbers of bits and the bits."""

    k: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> "_Escapes":
        k = np.frexp((values + 1).astype(np.float64))[1].astype(np.int64) - 1
        return cls(k, values + 1 - (1 << k))

    def push(self, stack: Stack) -> None:
        """Put all of them on a stack: their classes are pulled first, then the lower halves, then the upper."""
        if not len(self.k):
            return
        for some, bits, shift in reversed(list(_halves(self.k))):
            if some.any():
                stack.push_bits(self.offsets[some] >> shift & (1 << bits[some]) - 1, bits[some])
        stack.push(self.k, _CLASSES)


def _halves(k: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Which of the values have a lower and an upper half, how many bits of it, and where it lies."""
    yield k > 0, np.minimum(k, _HALF_BITS), 0
    yield k > _HALF_BITS, k - _HALF_BITS, _HALF_BITS


def _falling(count: int) -> np.ndarray:
    """Frequencies that fall by a quarter from each to the next, in integers; the last takes what is left."""
    frequencies = [(TOTAL // 4 * 3**k) >> (2 * k) for k in range(count - 1)]
    return np.array([*frequencies, TOTAL - sum(frequencies)])


_CLASSES = _falling(34)  # of an escape's k
