"""Latents of a tile to symbols and back: quantisation with an eye on the bits, and what each symbol is expected to be.

`choose` quantises for an encoder, `decode` follows it; both give the same latents y_hat, for both walk through the
same groups of symbols with the same rows of the same integer tables.
"""

import math
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from ...checkpoints import Checkpoint
from ...engines import Engine, Runner
from ...errors import WeightsError
from . import exact
from .coder import Decoder, Tables
from .networks import HYPER_ANALYSIS, REFINE
from .shape import HYPER_STRIDE, SLICES

GRID = 16  # rates at which each channel of a factorised prior has a table of its own; 9 % of a step apart at most
LOG2_SIGMAS = (-26, 56)  # first and last row of the Gaussian tables, in eighths of an octave of sigma / step
# Bits that an error of one step, squared, is worth. An orthonormal transform at a high rate has 18 / (3 ln 2) = 8.7,
# trained steps are coarser. Of 9, 10, 14, 18, 24 on held-out photographs 18 and 24 gave the lowest BD-rate.
DISTORTION = 20.0
ESCAPE_BITS = 12.0  # roughly what the value behind an escape takes


class Group(NamedTuple):
    """Symbols that are coded together, and the rows of the tables they are coded with: (N,) each."""

    symbols: np.ndarray
    rows: np.ndarray


class Latents(NamedTuple):
    """A tile's symbols in the order of coding, and the latents y_hat (M, h, w) that they stand for.

    In layers: what decodes the first slice of latents, what is added for the second, ... `expected` and `symbols` are
    the same by place, (M, h, w): an encoder found a latent near `expected + symbols * step`.
    """

    layers: list[list[Group]]
    y_hat: np.ndarray
    expected: np.ndarray
    symbols: np.ndarray

    def off_centre(self, y: np.ndarray, step: np.ndarray, channels: int | None = None) -> float:
        """How far latents y lie from the middle of a bin, root of the mean square over those that are not 0, in steps.

        Of the first channels only, if so many are said.

        0.29 if they lie anywhere, as a photograph's do, and less if they were decoded from bins like these. NaN where
        all are 0.
        """
        scaled = ((y - self.expected) / step)[:channels]
        busy = scaled[np.abs(scaled) > 0.5]
        return float(np.sqrt(np.square(busy - np.rint(busy)).mean())) if busy.size else math.nan

    @property
    def groups(self) -> list[Group]:
        """Of all layers."""
        return [group for layer in self.layers for group in layer]


class Coding(Protocol):
    """How the latents of one model become symbols."""

    chooser: "Chooser"
    steps: "Steps"
    slices: tuple[int, ...]  # channels that each layer adds

    def __init__(self, checkpoint: Checkpoint, engine: Engine) -> None: ...

    def choose(
        self, y: np.ndarray, rate: int, effort: int = 1, z: np.ndarray | None = None, layers: int | None = None
    ) -> Latents:
        """Quantise y (M, h, w) float32 at a rate of 0 ... 65535; effort 0 rounds, 1 looks at the bits.

        The hyper-latents z (N, ceil(h / 4), ceil(w / 4)) follow from y, unless they are given. With `layers` only so
        many of the first: channels of the others are 0.
        """
        ...

    def decode(self, decoder: Decoder, height: int, width: int, rate: int, layers: int) -> Latents:
        """The latents of a tile of height x width latents, from its first layers; channels of the others are 0."""
        ...


class Chooser:
    """Rate-distortion optimised quantisation: a symbol goes one step to zero where that saves more bits than it hurts.

    Args:
        tables: whose frequencies say what a symbol costs.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.costs = 16 - np.log2(tables.frequencies.astype(np.float32))
        self.costs[tables.starts + tables.lengths - 1] += ESCAPE_BITS

    def bits(self, symbols: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """What each symbol costs."""
        entries = symbols - self.tables.firsts[rows]
        escape = self.tables.lengths[rows] - 1
        entries = np.where((entries < 0) | (entries > escape), escape, entries)
        return self.costs[self.tables.starts[rows] + entries]

    def __call__(self, scaled: np.ndarray, rows: np.ndarray, effort: int = 1) -> np.ndarray:
        """Symbols (N,) int32 for latents in steps (N,), counted from where they are expected."""
        symbols = np.rint(scaled).astype(np.int32)
        if not effort:
            return symbols
        busy = np.flatnonzero(symbols)
        value, near, row = scaled[busy], symbols[busy], rows[busy]
        lower = near - np.sign(near)
        hurts = DISTORTION * ((value - lower) ** 2 - (value - near) ** 2)
        saves = self.bits(near, row) - self.bits(lower, row)
        symbols[busy] = np.where(saves > hurts, lower, near)
        return symbols


class Steps:
    """Quantisation and reconstruction steps of every channel, of a weight file: Codec.steps without PyTorch.

    Example:
        >>> from img2img.checkpoints import load_checkpoint
        >>> step, back = Steps(load_checkpoint("codec-fast"))(rate=30000)
        >>> step.shape
        (256, 1, 1)
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.log_step, self.log_ratio = (
            checkpoint.arrays[f"codec.{name}"].astype(np.float32) for name in ("log_step", "log_ratio")
        )

    def __call__(self, rate: int) -> tuple[np.ndarray, np.ndarray]:
        """At a rate of 0 ... 65535: each (M, 1, 1) float32."""
        log_step = self._at(self.log_step, rate)
        return np.exp(log_step), np.exp(log_step + self._at(self.log_ratio, rate))

    @staticmethod
    def _at(table: np.ndarray, rate: int) -> np.ndarray:
        place = np.float32(rate / 65535) * np.float32(len(table) - 1)
        below = min(int(place), len(table) - 2)
        between: np.ndarray = table[below] + (place - np.float32(below)) * (table[below + 1] - table[below])
        return between.reshape(-1, 1, 1)


class FactorizedCoding:
    """Every channel has a density of its own, at each of GRID rates (Balle 2017)."""

    def __init__(self, checkpoint: Checkpoint, engine: Engine) -> None:
        self.chooser, self.steps = Chooser(read_tables(checkpoint)), Steps(checkpoint)
        medians = checkpoint.arrays["tables.medians"].astype(np.float32)
        self.medians = medians.reshape(-1, 1, 1) / np.float32(2**exact.FRACTION)
        self.slices: tuple[int, ...] = (len(self.medians),)

    def choose(
        self, y: np.ndarray, rate: int, effort: int = 1, z: np.ndarray | None = None, layers: int | None = None
    ) -> Latents:
        step, _ = self.steps(rate)
        rows = factorized_rows(y.shape, rate)
        symbols = self.chooser(((y - self.medians) / step).ravel(), rows, effort)
        return self._latents([[Group(symbols, rows)]], symbols, y.shape, rate)

    def decode(self, decoder: Decoder, height: int, width: int, rate: int, layers: int) -> Latents:
        size = (len(self.medians), height, width)
        if not layers:
            return Latents([], *np.zeros((3, *size), np.float32))
        rows = factorized_rows(size, rate)
        symbols = decoder.pull(rows)
        return self._latents([[Group(symbols, rows)]], symbols, size, rate)

    def _latents(self, layers: list[list[Group]], symbols: np.ndarray, size: tuple[int, ...], rate: int) -> Latents:
        _, back = self.steps(rate)
        placed = symbols.reshape(size).astype(np.float32)
        return Latents(layers, placed * back + self.medians, np.broadcast_to(self.medians, size), placed)


class HyperpriorCoding:
    """Latents expected from z and from earlier slices, by integer networks (Minnen & Singh 2020; exact.py)."""

    def __init__(self, checkpoint: Checkpoint, engine: Engine) -> None:
        arrays, config = checkpoint.arrays, checkpoint.header.get("config") or {}
        self.chooser, self.steps = Chooser(read_tables(checkpoint)), Steps(checkpoint)
        self.medians = arrays["tables.medians"].astype(np.float64).reshape(-1, 1, 1)
        self.slices: tuple[int, ...] = tuple(config.get("slices", SLICES))
        numbers = range(len(self.slices))
        self.h_s = exact.IntegerNetwork(("conv", "shuffle", "relu", "conv", "shuffle", "relu"), arrays, "codec.h_s")
        # The first layer by itself: what an earlier pass has coded is added behind it.
        self.first = [exact.convolution(arrays, f"codec.expect.{i}.0") for i in numbers]
        rest: tuple[exact.Layer, ...] = ("relu", "conv", "relu", "conv")
        self.expect = [exact.IntegerNetwork(rest, arrays, f"codec.expect.{i}", first=1) for i in numbers]
        in_two = config.get("context", False)
        self.context = [exact.convolution(arrays, f"codec.context.{i}") for i in numbers] if in_two else []
        self.log2_unit = arrays["tables.log2_unit"].reshape(-1, 1, 1)
        self.gaussians = len(self.chooser.tables.lengths) - (LOG2_SIGMAS[1] - LOG2_SIGMAS[0] + 1)
        self.levels = {name: arrays[f"tables.{name}"] for name in ("step", "log2_step", "hyper_step")}
        self.checkpoint, self.engine = checkpoint, engine

    def choose(
        self, y: np.ndarray, rate: int, effort: int = 1, z: np.ndarray | None = None, layers: int | None = None
    ) -> Latents:
        z = self.hyper_analysis(y[None])[0] if z is None else z
        z = z.astype(np.float64) * 2**exact.FRACTION
        rows = factorized_rows(z.shape, rate)
        # Rounded: what an error of z costs is not known before the latents are coded.
        symbols = np.rint((z - self.medians) / self._at("hyper_step", rate)).astype(np.int32).ravel()
        chosen = [[Group(symbols, rows)]]
        parts = self._split(y.astype(np.float64) * 2**exact.FRACTION)
        # Those that y_hat is made by, not the whole numbers of _walk, which are up to 2 % larger between two levels.
        true_steps = self._split(self.steps(rate)[0].astype(np.float64)[..., 0] * 2**exact.FRACTION)

        def code(i: int, where: np.ndarray, mu: np.ndarray, rows: np.ndarray) -> np.ndarray:
            symbols = self.chooser(((parts[i][:, where] - mu) / true_steps[i]).ravel(), rows, effort)
            _append(chosen, i, Group(symbols, rows))
            return symbols

        return Latents(chosen, *self._walk(symbols, z.shape, y.shape[-2:], rate, layers or len(self.slices), code))

    def decode(self, decoder: Decoder, height: int, width: int, rate: int, layers: int) -> Latents:
        if not layers:
            return Latents([], *np.zeros((3, sum(self.slices), height, width), np.float32))
        size = (len(self.medians), -(-height // HYPER_STRIDE), -(-width // HYPER_STRIDE))
        rows = factorized_rows(size, rate)
        pulled = [[Group(decoder.pull(rows), rows)]]

        def code(i: int, where: np.ndarray, mu: np.ndarray, rows: np.ndarray) -> np.ndarray:
            symbols = decoder.pull(rows)
            _append(pulled, i, Group(symbols, rows))
            return symbols

        return Latents(pulled, *self._walk(pulled[0][0].symbols, size, (height, width), rate, layers, code))

    def _walk(
        self,
        hyper_symbols: np.ndarray,
        hyper_size: tuple[int, ...],
        size: tuple[int, ...],
        rate: int,
        layers: int,
        code: Callable[[int, np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """HyperpriorCodec.code_slices and refine; all that symbols depend on is a whole number of 2^-10.

        Only the first `layers` slices; channels of the others are 0. `code(i, where, mu, rows)` chooses or decodes the
        symbols of slice i at the places of one pass; mu (slice, places). Returns what Latents has behind its layers.
        """
        z_hat = self.medians + hyper_symbols.reshape(hyper_size) * self._at("hyper_step", rate)
        features = self.h_s(z_hat)[:, : size[0], : size[1]]
        plane = np.full_like(features[:1], (rate * 2**exact.FRACTION + 32767) // 65535)
        seen, coded = [features, plane], []
        steps, log2_steps = (self._split(self._at(name, rate)) for name in ("step", "log2_step"))
        units = self._split(self.log2_unit)
        passes = self.passes(size[0], size[1])
        for i, (step, log2_step, unit) in enumerate(list(zip(steps, log2_steps, units, strict=True))[:layers]):
            hidden = self.first[i](np.concatenate(seen))
            mu, symbols = np.zeros((2, len(unit), *size))
            y_hat = np.zeros_like(mu)
            for number, where in enumerate(passes):
                if number:
                    hidden = np.clip(hidden + self.context[i](y_hat), -exact.LARGEST, exact.LARGEST)
                # Convolutions of 1x1: the places of this pass are all they need.
                expected, log2_sigma = np.split(self.expect[i](hidden[:, where][:, None])[:, 0], 2)
                expected = exact.divide(expected, -unit[..., 0])
                octaves = log2_sigma + unit[..., 0] * 2**exact.FRACTION - log2_step[..., 0]
                eighths = np.clip(exact.divide(octaves, exact.FRACTION - 3), *LOG2_SIGMAS)
                rows = (eighths - LOG2_SIGMAS[0]).astype(np.int32).ravel() + np.int32(self.gaussians)
                mu[:, where] = expected
                symbols[:, where] = code(i, where, expected, rows).reshape(len(unit), -1)
                y_hat = np.clip(exact.divide(mu + symbols * step, unit), -exact.LARGEST, exact.LARGEST)
            seen.append(y_hat)
            coded.append((mu, symbols))
        return self._restore(coded, features, rate)

    def _restore(
        self, coded: list[tuple[np.ndarray, np.ndarray]], features: np.ndarray, rate: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """y_hat from means and symbols, and these, in floating point: nothing is decoded by it any more."""
        step, back = self.steps(rate)
        known = sum(self.slices[: len(coded)])
        rest = np.zeros((sum(self.slices) - known, *features.shape[-2:]))
        mu, symbols = (np.concatenate(parts).astype(np.float32) for parts in zip(*coded, (rest, rest), strict=True))
        mu /= np.float32(2**exact.FRACTION)
        y_hat = mu + symbols * back
        seen = (features / 2**exact.FRACTION).astype(np.float32)
        refined: np.ndarray = self.refine(y_hat[None], step[None], seen[None])[0]
        refined[known:] = 0
        return refined, mu, symbols

    def _split(self, x: np.ndarray) -> list[np.ndarray]:
        """Latents, or a number of each of their channels, by slices."""
        return np.split(x, np.cumsum(self.slices)[:-1])

    @cached_property
    def hyper_analysis(self) -> Runner:
        """y (1, M, h, w) to z; only an encoder needs it."""
        return self.engine.load(self.checkpoint, HYPER_ANALYSIS)

    @cached_property
    def refine(self) -> Runner:
        """y_hat, steps and features to a y_hat that is nearer to y."""
        return self.engine.load(self.checkpoint, REFINE)

    def passes(self, height: int, width: int) -> list[np.ndarray]:
        """Which latents are coded in each pass, as HyperpriorCodec.passes has it: masks (h, w)."""
        if not self.context:
            return [np.ones((height, width), bool)]
        black = np.add.outer(np.arange(height), np.arange(width)) % 2 == 0
        return [black, ~black]

    def _at(self, name: str, rate: int) -> np.ndarray:
        return exact.interpolate(self.levels[name], rate).astype(np.float64).reshape(-1, 1, 1)


def _append(layers: list[list[Group]], layer: int, group: Group) -> None:
    """Add a group of a layer, which may be new; the hyper-latents are in the first from the beginning."""
    if layer == len(layers):
        layers.append([])
    layers[layer].append(group)


def factorized_rows(size: tuple[int, ...], rate: int) -> np.ndarray:
    """The row of each symbol of latents (channels, height, width), flattened, under a factorised prior: int32."""
    channels, height, width = size
    place = (rate * (GRID - 1) + 32767) // 65535
    return np.repeat(np.arange(channels, dtype=np.int32) * GRID + place, height * width)


def read_tables(checkpoint: Checkpoint) -> Tables:
    """The tables of a weight file.

    Raises:
        WeightsError: it has none, or they are none.
    """
    try:
        return Tables(*(checkpoint.arrays[f"tables.{name}"] for name in ("frequencies", "lengths", "firsts")))
    except (KeyError, ValueError) as error:
        raise WeightsError("the weight file has no tables to code with") from error
