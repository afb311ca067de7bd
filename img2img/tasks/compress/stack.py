"""The stack of entropy-coded words: constriction's coder, or where there is no wheel of it the same in plain Python.

Both write and read the same bytes, which coder.py specifies. The plain one takes six times as long.
"""

from bisect import bisect_right
from typing import Any, Protocol

import numpy as np

try:
    import constriction
except ImportError:  # Linux and Windows on ARM: neither wheels nor source, as of 0.5.0
    constriction = None

BITS = 24  # of what one entry's intervals are cut from
WORD = 32
_BELOW, _LEAST = 2**BITS - 1, 2**WORD


class Stack(Protocol):
    """A stack of numbers. What is to be pulled first is pushed last; within one call, numbers come out in their order.

    Frequencies are those of a table's row: integers that sum to a power of two, 2**24 at most.
    """

    def push(self, entries: np.ndarray, frequencies: np.ndarray) -> None:
        """Put entries (N,) of one row on the stack."""

    def push_bits(self, numbers: np.ndarray, bits: np.ndarray) -> None:
        """Put numbers (N,) of so many equally likely bits (N,), 1 to 24, on the stack."""

    def pull(self, frequencies: np.ndarray, count: int) -> np.ndarray:
        """Take `count` entries of one row off the stack."""

    def pull_bits(self, bits: np.ndarray) -> np.ndarray:
        """Take numbers of so many bits (N,) off the stack."""

    def is_empty(self) -> bool:
        """Whether nothing is left."""

    def words(self) -> np.ndarray:
        """All that is on the stack, as little-endian 32-bit words (N,)."""


class ConstrictionStack:
    """constriction's AnsCoder."""

    def __init__(self, words: np.ndarray | None = None) -> None:
        kinds = constriction.stream
        self._coder = kinds.stack.AnsCoder() if words is None else kinds.stack.AnsCoder(words.astype(np.uint32))
        self._categorical, self._uniform = kinds.model.Categorical, kinds.model.Uniform()

    def push(self, entries: np.ndarray, frequencies: np.ndarray) -> None:
        self._coder.encode_reverse(entries.astype(np.int32), self._row(frequencies))

    def push_bits(self, numbers: np.ndarray, bits: np.ndarray) -> None:
        self._coder.encode_reverse(numbers.astype(np.int32), self._uniform, _sizes(bits))

    def pull(self, frequencies: np.ndarray, count: int) -> np.ndarray:
        return np.asarray(self._coder.decode(self._row(frequencies), count))

    def pull_bits(self, bits: np.ndarray) -> np.ndarray:
        return np.asarray(self._coder.decode(self._uniform, _sizes(bits)))

    def is_empty(self) -> bool:
        return bool(self._coder.is_empty())

    def words(self) -> np.ndarray:
        return np.asarray(self._coder.get_compressed()).astype("<u4")

    def _row(self, frequencies: np.ndarray) -> Any:
        """A model of exactly these frequencies.

        constriction gives each of n entries 1 of 2**24 units and shares out the others in proportion to the numbers
        here. These sum to just what is to be shared out, so the proportion is 1, and nothing is ever rounded.
        """
        return self._categorical(_widths(frequencies).astype(np.float64) - 1, perfect=False)


class PlainStack:
    """rANS in Python's integers. Most entries of a row are its likeliest: that one is looked for first.

    References: Duda 2013, arXiv:1311.2540 (range variant of asymmetric numeral systems).
    """

    def __init__(self, words: np.ndarray | None = None) -> None:
        self._words: list[int] = [] if words is None else words.tolist()
        self._state = 0
        while self._words and self._state < _LEAST:
            self._state = self._state << WORD | self._words.pop()

    def push(self, entries: np.ndarray, frequencies: np.ndarray) -> None:
        widths, starts, likeliest = _intervals(frequencies)
        state, words = self._state, self._words
        width, start = widths[likeliest], starts[likeliest]
        for entry in reversed(entries.tolist()):
            f, c = (width, start) if entry == likeliest else (widths[entry], starts[entry])
            if state >= f << 64 - BITS:
                words.append(state & 0xFFFFFFFF)
                state >>= WORD
            high, low = divmod(state, f)
            state = (high << BITS) + low + c
        self._state = state

    def push_bits(self, numbers: np.ndarray, bits: np.ndarray) -> None:
        for number, count in zip(reversed(numbers.tolist()), reversed(bits.tolist()), strict=True):
            if self._state >= 1 << 64 - count:
                self._words.append(self._state & 0xFFFFFFFF)
                self._state >>= WORD
            high, low = divmod(self._state, 1 << BITS - count)
            self._state = (high << BITS) + low + (number << BITS - count)

    def pull(self, frequencies: np.ndarray, count: int) -> np.ndarray:
        widths, starts, likeliest = _intervals(frequencies)
        state, words = self._state, self._words
        width, start = widths[likeliest], starts[likeliest]
        stop = start + width
        entries = [likeliest] * count
        for i in range(count):
            q = state & _BELOW
            if start <= q < stop:
                state = (state >> BITS) * width + q - start
            else:
                entry = bisect_right(starts, q) - 1
                entries[i] = entry
                state = (state >> BITS) * widths[entry] + q - starts[entry]
            if state < _LEAST and words:
                state = state << WORD | words.pop()
        self._state = state
        return np.array(entries, np.int32)

    def pull_bits(self, bits: np.ndarray) -> np.ndarray:
        numbers = []
        for count in bits.tolist():
            q = self._state & _BELOW
            number = q >> BITS - count
            numbers.append(number)
            self._state = ((self._state >> BITS) << BITS - count) + q - (number << BITS - count)
            if self._state < _LEAST and self._words:
                self._state = self._state << WORD | self._words.pop()
        return np.array(numbers, np.int32)

    def is_empty(self) -> bool:
        return not self._state and not self._words

    def words(self) -> np.ndarray:
        state = [self._state & 0xFFFFFFFF, self._state >> WORD]
        while state and not state[-1]:
            state.pop()
        return np.array(self._words + state, "<u4")


def _widths(frequencies: np.ndarray) -> np.ndarray:
    """Of each entry's interval: they sum to 2**24."""
    widths = frequencies.astype(np.int64)
    return widths * (2**BITS // int(widths.sum()))


def _intervals(frequencies: np.ndarray) -> tuple[list[int], list[int], int]:
    """Width and start of each entry's interval, and which entry is the likeliest."""
    widths = _widths(frequencies)
    return widths.tolist(), (np.cumsum(widths) - widths).tolist(), int(widths.argmax())


def _sizes(bits: np.ndarray) -> np.ndarray:
    return (1 << bits).astype(np.int32)


Kind: type[ConstrictionStack | PlainStack] = PlainStack if constriction is None else ConstrictionStack
"""The faster of those that are here."""


def new_stack(words: np.ndarray | None = None) -> Stack:
    """A stack that is empty, or holds what `Stack.words` gave, the last word of which is not 0."""
    return Kind(words)
