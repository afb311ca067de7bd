"""Symbols become bytes and come back. A second reader, written from the description alone, checks what it says."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.errors import BitstreamError
from img2img.tasks.compress import stack
from img2img.tasks.compress.coder import TOTAL, Decoder, Encoder, Tables, decode, encode

INT32 = st.integers(-(2**31), 2**31 - 1)
EXTREMES = np.array([-(2**31), 2**31 - 1, 0, -1, 1, 5, -6, 65536], np.int32)


@pytest.fixture(params=["constriction", "plain"], autouse=True, scope="module")
def _which_stack(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test here holds for both: for constriction, and for what is used where there is none."""
    if request.param == "constriction":
        pytest.importorskip("constriction")
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stack, "Kind", stack.PlainStack)
        yield


def tables_of(*rows: tuple[int, list[int]]) -> Tables:
    """Tables of (first symbol, frequencies) for each row."""
    frequencies = np.concatenate([np.array(row) for _, row in rows])
    lengths = np.array([len(row) for _, row in rows], np.int32)
    return Tables(frequencies.astype(np.int32), lengths, np.array([first for first, _ in rows], np.int32))


def laplacian(scale: float) -> tuple[int, list[int]]:
    """A row as training makes them: -4 to 4 scales around 0, and an escape."""
    reach = int(4 * scale) + 1
    shares = np.exp(-np.abs(np.arange(-reach, reach + 1)) / scale)
    frequencies = np.maximum(1, shares / shares.sum() * (TOTAL - 20)).astype(int)
    frequencies[reach] += TOTAL - 8 - frequencies.sum()
    return -reach, [*frequencies.tolist(), 8]


LAPLACIANS = tables_of(*(laplacian(scale) for scale in np.geomspace(0.1, 20, 16)))


def sample(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Symbols and rows as LAPLACIANS expect them, with some escapes."""
    generator = np.random.default_rng(seed)
    rows = generator.integers(0, 16, count)
    return np.rint(generator.laplace(0, np.geomspace(0.1, 20, 16)[rows])).astype(np.int32), rows


@st.composite
def any_tables(draw: st.DrawFn) -> Tables:
    rows = []
    for _ in range(draw(st.integers(1, 5))):
        cuts = sorted(draw(st.sets(st.integers(1, TOTAL - 1), max_size=12)))
        rows.append((draw(st.one_of(st.integers(-20, 20), INT32)), np.diff([0, *cuts, TOTAL]).tolist()))
    return tables_of(*rows)


@st.composite
def any_groups(draw: st.DrawFn) -> tuple[Tables, list[tuple[np.ndarray, np.ndarray]]]:
    """Tables, and groups of symbols with their rows."""
    tables, groups = draw(any_tables()), []
    for _ in range(draw(st.integers(0, 3))):
        rows = draw(st.lists(st.integers(0, len(tables.lengths) - 1), max_size=30))
        near = st.integers(-30, 30)
        symbols = draw(st.lists(st.one_of(near, near, INT32), min_size=len(rows), max_size=len(rows)))
        groups.append((np.array(symbols, np.int32), np.array(rows, np.int64)))
    return tables, groups


class Reader:
    """The description in the coder's docstring in whole numbers, without its code, numpy and constriction."""

    def __init__(self, data: bytes) -> None:
        data += bytes(-len(data) % 4)
        self.stack = [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]
        self.state = 0
        self.refill()

    def refill(self) -> None:
        while self.state < 2**32 and self.stack:
            self.state = (self.state << 32) + self.stack.pop()

    def entry(self, frequencies: list[int]) -> int:
        place, start, entry = self.state % 2**24, 0, 0
        while start + 256 * frequencies[entry] <= place:
            start += 256 * frequencies[entry]
            entry += 1
        self.state = (self.state >> 24) * 256 * frequencies[entry] + place - start
        self.refill()
        return entry

    def bits(self, count: int) -> int:
        place, width = self.state % 2**24, 2**24 >> count
        self.state = (self.state >> 24) * width + place % width
        self.refill()
        return place // width

    def symbols(self, rows: list[int], tables: Tables) -> list[int]:
        kinds = [2**14 * 3**k // 4**k for k in range(33)]
        kinds.append(TOTAL - sum(kinds))
        found, escapes = [0] * len(rows), []
        for place in sorted(range(len(rows)), key=lambda place: rows[place]):
            frequencies, first = tables.row(rows[place]).tolist(), int(tables.firsts[rows[place]])
            entry = self.entry(frequencies) if len(frequencies) > 1 else 0
            if entry == len(frequencies) - 1:
                escapes.append((place, first, entry))
            found[place] = first + entry
        ks = [self.entry(kinds) for _ in escapes]
        lower = [self.bits(min(k, 16)) if k else 0 for k in ks]
        upper = [self.bits(k - 16) if k > 16 else 0 for k in ks]
        for (place, first, entry), k, low, high in zip(escapes, ks, lower, upper, strict=True):
            v = 2**k - 1 + low + (high << 16)
            found[place] = first - (v + 1) // 2 if v % 2 else first + entry + v // 2
        return found


# --- Round trips ---


@settings(max_examples=150, deadline=None)
@given(any_groups())
def test_any_symbols_come_back_group_by_group(drawn: tuple[Tables, list[tuple[np.ndarray, np.ndarray]]]) -> None:
    tables, groups = drawn
    encoder = Encoder(tables)
    for symbols, rows in groups:
        encoder.push(symbols, rows)
    data = encoder.finish()
    decoder, reader = Decoder(data, tables), Reader(data)
    for symbols, rows in groups:
        back = decoder.pull(rows)
        assert back.dtype == np.int32
        np.testing.assert_array_equal(back, symbols)
        assert reader.symbols(rows.tolist(), tables) == symbols.tolist()
    decoder.finish()
    assert (reader.state, reader.stack) == (0, [])


def test_the_extremes_of_32_bits_come_back_whatever_the_tables_begin_with() -> None:
    for first in (0, -(2**31), 2**31 - 1):
        tables = tables_of((first, [TOTAL - 1, 1]), (first, [TOTAL]))
        for row in (0, 1):
            rows = np.full(len(EXTREMES), row)
            np.testing.assert_array_equal(decode(encode(EXTREMES, rows, tables), rows, tables), EXTREMES)


def test_the_bytes_never_change() -> None:
    """Files must be readable for ever: if this fails, it is the coder, or a stack, that must be mended."""
    tables = tables_of(laplacian(0.4), laplacian(3.0), (5, [TOTAL]))
    symbols, rows = np.array([0, -1, 0, 7, 100000, 0, 1, -300, 5], np.int32), np.array([0, 0, 1, 1, 0, 1, 1, 1, 2])
    data = encode(symbols, rows, tables)
    assert data.hex() == "008eee36dc5b6ffc9d1948b80f21"
    assert Reader(data).symbols(rows.tolist(), tables) == symbols.tolist()


@settings(max_examples=50, deadline=None)
@given(any_groups())
def test_both_stacks_write_the_same_bytes(drawn: tuple[Tables, list[tuple[np.ndarray, np.ndarray]]]) -> None:
    pytest.importorskip("constriction")
    tables, groups = drawn
    written = []
    for kind in (stack.ConstrictionStack, stack.PlainStack):
        encoder = Encoder(tables)
        for symbols, rows in groups:
            encoder.push(symbols, rows)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stack, "Kind", kind)
            written.append(encoder.finish())
    assert written[0] == written[1]


def test_rows_may_depend_on_the_symbols_before() -> None:
    symbols, rows = sample(2000)
    encoder = Encoder(LAPLACIANS)
    encoder.push(symbols, rows)
    dependent = np.abs(symbols) % 16
    encoder.push(symbols[::-1], dependent)
    decoder = Decoder(encoder.finish(), LAPLACIANS)
    first = decoder.pull(rows)
    np.testing.assert_array_equal(decoder.pull(np.abs(first) % 16), symbols[::-1])
    decoder.finish()


def test_a_million_symbols_are_quick() -> None:
    symbols, rows = sample(2**20)
    start = time.perf_counter()
    np.testing.assert_array_equal(decode(encode(symbols, rows, LAPLACIANS), rows, LAPLACIANS), symbols)
    assert time.perf_counter() - start < 10  # 0.1 s on a quiet machine, 0.6 s without constriction


# --- Sizes ---


@pytest.mark.parametrize("count", [1, 10, 100, 1000, 100_000])
def test_a_stream_is_a_few_bytes_longer_than_its_information(count: int) -> None:
    extra = []
    for seed in range(5):
        rows = np.random.default_rng(seed).integers(0, 16, count)
        symbols, information = np.zeros(count, np.int32), 0.0
        for row in range(16):  # drawn from the tables, escapes left out
            shares = LAPLACIANS.row(row)[:-1] / LAPLACIANS.row(row)[:-1].sum()
            entries = np.random.default_rng(seed + row).choice(len(shares), (rows == row).sum(), p=shares)
            symbols[rows == row] = entries + LAPLACIANS.firsts[row]
            information -= np.log2(LAPLACIANS.row(row)[entries] / TOTAL).sum()
        extra.append(len(encode(symbols, rows, LAPLACIANS)) - information / 8)
    assert max(extra) < 5
    assert min(extra) > -2  # the bytes' number tells something, too


def test_nothing_takes_no_bytes() -> None:
    none = np.zeros(0, np.int32)
    assert encode(none, none, LAPLACIANS) == b""
    assert decode(b"", none, LAPLACIANS).shape == (0,)
    assert Encoder(LAPLACIANS).finish() == b""


def test_certain_symbols_take_next_to_nothing() -> None:
    tables = tables_of((0, [TOTAL - 1, 1]))
    assert len(encode(np.zeros(100_000, np.int32), np.zeros(100_000, np.int32), tables)) <= 4


def test_an_escape_takes_bits_as_its_distance_grows() -> None:
    tables = tables_of((-1, [TOTAL // 4] * 4))
    rows = np.zeros(1000, np.int32)
    sizes = [
        len(encode(np.full(1000, symbol, np.int32), rows, tables)) * 8 / 1000 for symbol in (2, 20, 2000, 2**31 - 1)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < 4.1
    assert sizes[-1] < 50


# --- Damage and misuse ---


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=80), seed=st.integers(0, 1000))
def test_any_bytes_give_symbols_or_a_clear_error(data: bytes, seed: int) -> None:
    rows = np.random.default_rng(seed).integers(0, 16, 500)
    try:
        symbols = Decoder(data, LAPLACIANS).pull(rows)
    except BitstreamError:
        return
    assert symbols.shape == (500,)


def test_escapes_out_of_nothing_are_bounded() -> None:
    """All symbols escape, and all escapes are as long as can be."""
    tables, rows = tables_of((2**31 - 1, [TOTAL])), np.zeros(200_000, np.int32)
    start = time.perf_counter()
    with pytest.raises(BitstreamError, match="32 bits"):
        Decoder(b"\xff" * 100_000, tables).pull(rows)
    assert time.perf_counter() - start < 5


def test_missing_and_surplus_data_are_noticed() -> None:
    symbols, rows = sample(500)
    data = encode(symbols, rows, LAPLACIANS)
    for damaged in (data[:-1], data[:-4], data[4:], data + b"\1", data + b"\0", b"\7" * 4 + data, data + data):
        with pytest.raises(BitstreamError):
            decode(damaged, rows, LAPLACIANS)
    for other in (rows[:-50], np.append(rows, rows)):
        with pytest.raises(BitstreamError):
            decode(data, other, LAPLACIANS)


@pytest.mark.parametrize(
    ("frequencies", "lengths", "firsts"),
    [
        ([TOTAL], [1], [0, 0]),
        ([], [], []),
        ([TOTAL], [2], [0]),
        ([TOTAL, TOTAL], [2, 0], [0, 0]),
        ([TOTAL, 0], [2], [0]),
        ([TOTAL - 1], [1], [0]),
        ([TOTAL + 1, -1], [2], [0]),
        ([[TOTAL]], [1], [0]),
    ],
)
def test_impossible_tables_are_refused(frequencies: list[int], lengths: list[int], firsts: list[int]) -> None:
    with pytest.raises(ValueError, match="must"):
        Tables(np.array(frequencies, np.int64), np.array(lengths, np.int64), np.array(firsts, np.int64))


def test_arrays_that_do_not_fit_are_refused() -> None:
    one, none = np.zeros(1, np.int32), np.zeros(0, np.int32)
    for symbols, rows in (
        (one, none),
        (one.astype(np.float32), one),
        (one.astype(np.int64) + 2**31, one),
        (one, one + 16),
        (one, one - 1),
        (one, one.astype(np.float32)),
        (one[None], one[None]),
    ):
        with pytest.raises(ValueError, match="must"):
            encode(symbols, rows, LAPLACIANS)
    with pytest.raises(ValueError, match="rows"):
        decode(b"", one + 16, LAPLACIANS)


def test_the_tables_types_do_not_matter() -> None:
    """Frequencies are kept as uint16 in files, in which differences and products would overflow."""
    narrow = Tables(LAPLACIANS.frequencies.astype(np.uint16), LAPLACIANS.lengths.astype(np.uint16), LAPLACIANS.firsts)
    symbols, rows = sample(3000)
    data = encode(symbols.astype(np.int64), rows.astype(np.uint8), narrow)
    assert data == encode(symbols, rows, LAPLACIANS)
    np.testing.assert_array_equal(decode(data, rows.astype(np.uint8), narrow), symbols)
