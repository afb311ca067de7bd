"""Latents of a tile to symbols and back: quantisation with an eye on the bits, and what each symbol is expected to be.

`choose` quantises for an encoder, `decode` follows it; both give the same latents y_hat, for both walk through the
same groups of symbols with the same rows of the same integer tables.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ...checkpoints import Checkpoint
from ...errors import WeightsError
from . import exact
from .coder import Decoder, Tables
from .hyperprior import HYPER_STRIDE, HyperpriorCodec
from .model import Codec

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

    In layers: what decodes the first slice of latents, what is added for the second, ...
    """

    layers: list[list[Group]]
    y_hat: Tensor

    @property
    def groups(self) -> list[Group]:
        """Of all layers."""
        return [group for layer in self.layers for group in layer]


class Coding(Protocol):
    """How the latents of one model become symbols."""

    chooser: "Chooser"
    slices: tuple[int, ...]  # channels that each layer adds

    def __init__(self, codec: Any, checkpoint: Checkpoint) -> None: ...

    def choose(self, y: Tensor, rate: int, effort: int = 1) -> Latents:
        """Quantise y (M, h, w) float32 at a rate of 0 ... 65535; effort 0 rounds, 1 looks at the bits."""
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


class FactorizedCoding:
    """Every channel has a density of its own, at each of GRID rates (Balle 2017)."""

    def __init__(self, codec: Codec, checkpoint: Checkpoint) -> None:
        self.codec, self.chooser = codec, Chooser(read_tables(checkpoint))
        self.slices: tuple[int, ...] = (codec.latents,)
        self.medians = checkpoint.tensors["tables.medians"].float().view(-1, 1, 1) / 2**exact.FRACTION

    def choose(self, y: Tensor, rate: int, effort: int = 1) -> Latents:
        step, _ = self._steps(rate)
        rows = factorized_rows(y.shape, rate)
        scaled = ((y - self.medians) / step).flatten().numpy()
        symbols = self.chooser(scaled, rows, effort)
        return Latents([[Group(symbols, rows)]], self._restore(symbols, y.shape, rate))

    def decode(self, decoder: Decoder, height: int, width: int, rate: int, layers: int) -> Latents:
        size = torch.Size((len(self.medians), height, width))
        if not layers:
            return Latents([], torch.zeros(size))
        rows = factorized_rows(size, rate)
        symbols = decoder.pull(rows)
        return Latents([[Group(symbols, rows)]], self._restore(symbols, size, rate))

    def _steps(self, rate: int) -> tuple[Tensor, Tensor]:
        step, back = self.codec.steps(torch.tensor([rate / 65535], device=self.codec.log_step.device))
        return step[0].cpu(), back[0].cpu()

    def _restore(self, symbols: np.ndarray, size: torch.Size, rate: int) -> Tensor:
        _, back = self._steps(rate)
        return torch.from_numpy(symbols).view(size) * back + self.medians


class HyperpriorCoding:
    """Latents expected from z and from earlier slices, by integer networks (Minnen & Singh 2020; exact.py)."""

    def __init__(self, codec: HyperpriorCodec, checkpoint: Checkpoint) -> None:
        self.codec, self.chooser = codec, Chooser(read_tables(checkpoint))
        self.slices: tuple[int, ...] = codec.slices
        self.medians = checkpoint.tensors["tables.medians"].double().view(-1, 1, 1)
        self.h_s = exact.IntegerNetwork(codec.h_s)
        # The first layer by itself: what an earlier pass has coded is added behind it.
        self.first = [exact.IntegerNetwork(network[:1]) for network in codec.expect]  # type: ignore[index]
        self.expect = [exact.IntegerNetwork(network[1:]) for network in codec.expect]  # type: ignore[index]
        self.context = [exact.IntegerNetwork(nn.Sequential(layer)) for layer in codec.context]
        self.log2_unit = checkpoint.tensors["tables.log2_unit"].view(-1, 1, 1)
        self.gaussians = len(self.chooser.tables.lengths) - (LOG2_SIGMAS[1] - LOG2_SIGMAS[0] + 1)
        self.levels = {name: checkpoint.tensors[f"tables.{name}"] for name in ("step", "log2_step", "hyper_step")}

    def choose(self, y: Tensor, rate: int, effort: int = 1) -> Latents:
        z = self._hyper_analysis(y) * 2**exact.FRACTION
        rows = factorized_rows(z.shape, rate)
        # Rounded: what an error of z costs is not known before the latents are coded.
        symbols = ((z - self.medians) / self._at("hyper_step", rate)).round().int().flatten().numpy()
        layers = [[Group(symbols, rows)]]
        parts = y.double().mul(2**exact.FRACTION).split(self.codec.slices)

        def code(i: int, where: Tensor, mu: Tensor, step: Tensor, rows: np.ndarray) -> np.ndarray:
            symbols = self.chooser(((parts[i] - mu) / step)[:, where].flatten().numpy(), rows, effort)
            _append(layers, i, Group(symbols, rows))
            return symbols

        return Latents(layers, self._walk(symbols, z.shape, y.shape[-2:], rate, len(self.slices), code))

    def decode(self, decoder: Decoder, height: int, width: int, rate: int, layers: int) -> Latents:
        if not layers:
            return Latents([], torch.zeros(self.codec.latents, height, width))
        size = torch.Size((len(self.medians), -(-height // HYPER_STRIDE), -(-width // HYPER_STRIDE)))
        rows = factorized_rows(size, rate)
        pulled = [[Group(decoder.pull(rows), rows)]]

        def code(i: int, where: Tensor, mu: Tensor, step: Tensor, rows: np.ndarray) -> np.ndarray:
            symbols = decoder.pull(rows)
            _append(pulled, i, Group(symbols, rows))
            return symbols

        y_hat = self._walk(pulled[0][0].symbols, size, torch.Size((height, width)), rate, layers, code)
        return Latents(pulled, y_hat)

    def _walk(
        self,
        hyper_symbols: np.ndarray,
        hyper_size: torch.Size,
        size: torch.Size,
        rate: int,
        layers: int,
        code: Callable[[int, Tensor, Tensor, Tensor, np.ndarray], np.ndarray],
    ) -> Tensor:
        """HyperpriorCodec.code_slices and refine; all that symbols depend on is a whole number of 2^-10.

        Only the first `layers` slices; channels of the others are 0. `code(i, where, mu, step, rows)` chooses or
        decodes the symbols of slice i at the places of one pass.
        """
        z_hat = self.medians + torch.from_numpy(hyper_symbols).view(hyper_size) * self._at("hyper_step", rate)
        features = self.h_s(z_hat[None])[..., : size[0], : size[1]]
        plane = torch.full_like(features[:, :1], (rate * 2**exact.FRACTION + 32767) // 65535)
        seen, coded = [features, plane], []
        steps, log2_steps = (self._at(name, rate).split(self.codec.slices) for name in ("step", "log2_step"))
        units = self.log2_unit.split(self.codec.slices)
        passes = self.codec.passes(size[0], size[1], torch.device("cpu"))
        for i, (step, log2_step, unit) in enumerate(list(zip(steps, log2_steps, units, strict=True))[:layers]):
            hidden = self.first[i](torch.cat(seen, 1))
            mu, symbols = torch.zeros(2, len(unit), *size, dtype=torch.float64)
            y_hat = torch.zeros_like(mu)
            for number, where in enumerate(passes):
                if number:
                    hidden = (hidden + self.context[i](y_hat[None])).clamp_(-exact.LARGEST, exact.LARGEST)
                expected, log2_sigma = self.expect[i](hidden)[0].chunk(2)
                expected = exact.divide(expected, -unit)
                eighths = exact.divide(log2_sigma + unit * 2**exact.FRACTION - log2_step, exact.FRACTION - 3)[:, where]
                rows = (eighths.clamp(*LOG2_SIGMAS) - LOG2_SIGMAS[0]).int().flatten().numpy() + self.gaussians
                mu[:, where] = expected[:, where]
                symbols[:, where] = torch.from_numpy(code(i, where, expected, step, rows)).double().view(len(unit), -1)
                y_hat = exact.divide(mu + symbols * step, unit).clamp(-exact.LARGEST, exact.LARGEST)
            seen.append(y_hat[None])
            coded.append((mu, symbols))
        return self._restore(coded, features, rate)

    def _restore(self, coded: list[tuple[Tensor, Tensor]], features: Tensor, rate: int) -> Tensor:
        """y_hat from means and symbols, in floating point: nothing is decoded by it any more."""
        step, back = self.codec.steps(torch.tensor([rate / 65535], device=self.device))
        known = sum(self.slices[: len(coded)])
        rest = torch.zeros(self.codec.latents - known, *features.shape[-2:], dtype=torch.float64)
        coded = [*coded, (rest, rest)]
        mu, symbols = (torch.cat(parts)[None].float().to(self.device) for parts in zip(*coded, strict=True))
        y_hat = mu / 2**exact.FRACTION + symbols * back
        y_hat = self.codec.refine(y_hat, step, (features / 2**exact.FRACTION).float().to(self.device))[0].cpu()
        y_hat[known:] = 0
        return y_hat

    def _hyper_analysis(self, y: Tensor) -> Tensor:
        return self.codec.hyper_analysis(y[None].to(self.device))[0].double().cpu()

    @property
    def device(self) -> torch.device:
        return self.codec.log_step.device

    def _at(self, name: str, rate: int) -> Tensor:
        return exact.interpolate(self.levels[name], rate).double().view(-1, 1, 1)


def _append(layers: list[list[Group]], layer: int, group: Group) -> None:
    """Add a group of a layer, which may be new; the hyper-latents are in the first from the beginning."""
    if layer == len(layers):
        layers.append([])
    layers[layer].append(group)


def factorized_rows(size: torch.Size, rate: int) -> np.ndarray:
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
        return Tables(*(checkpoint.tensors[f"tables.{name}"].numpy() for name in ("frequencies", "lengths", "firsts")))
    except (KeyError, ValueError) as error:
        raise WeightsError("the weight file has no tables to code with") from error
