"""Codecs by name or file, ready to code with."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path

from ...checkpoints import Checkpoint, header_of, load_checkpoint, names
from ...choices import TUNES
from ...engines import Engine, Runner
from ...errors import WeightsError
from .bitstream import NAME
from .latents import Coding, FactorizedCoding, HyperpriorCoding
from .networks import ANALYSIS, SYNTHESIS, TUNING_NETWORK
from .shape import FACTORIZED, FACTORS, HYPERPRIOR, TUNING

CODINGS: dict[str, type[Coding]] = {FACTORIZED: FactorizedCoding, HYPERPRIOR: HyperpriorCoding}


@dataclass(frozen=True, eq=False)
class LoadedCodec:
    """A codec with its tables, and the name and hash by which files refer to it.

    Args:
        name, hash: of its weight file.
        stride: pixels of a picture per latent, each way.
        coding: latents to symbols and back.
        checkpoint: of which the engine makes the transforms when they are first needed.
        engine: runs them.
    """

    name: str
    hash: bytes
    stride: int
    coding: Coding
    checkpoint: Checkpoint
    engine: Engine
    _tunings: dict[str, Runner | None] = field(default_factory=dict)

    @cached_property
    def analysis(self) -> Runner:
        """x (1, 3, H, W) in [0, 1], H and W multiples of the stride, to y (1, M, H / stride, W / stride)."""
        return self.engine.load(self.checkpoint, ANALYSIS)

    def tuning(self, tune: str) -> Runner | None:
        """y (1, M, h, w) and rate (1, 1, 1, 1) to the latents to be coded; None: they stay as g_a gives them.

        Raises:
            WeightsError: weights are missing, damaged or for another codec.
        """
        if tune not in self._tunings:
            weights = tuning_of(self.checkpoint, tune)
            self._tunings[tune] = None if weights is None else self.engine.load(weights, TUNING_NETWORK)
        return self._tunings[tune]

    @cached_property
    def synthesis(self) -> Runner:
        """y_hat to x_hat, not clamped."""
        return self.engine.load(self.checkpoint, SYNTHESIS)


def tuning_named(codec: str, tune: str) -> str | None:
    """Name or file of the weights that move latents for a tune: one of TUNES, or a file.

    Args:
        codec: SHA-256 of the codec's file.
        tune: by what pictures are to be good.

    Returns:
        None where latents stay as they are: for the first of TUNES, or because nobody learnt it for this codec.
    """
    if tune not in TUNES:
        return tune
    shipped = names(TUNING) if tune != TUNES[0] else []
    return next((name for name in shipped if header_of(name).get("codec") == codec), None)


def tuning_of(codec: Checkpoint, tune: str) -> Checkpoint | None:
    """The weights of `tuning_named`.

    Raises:
        WeightsError: they are missing or damaged; those of a file are no tuning, or for another codec.
    """
    name = tuning_named(codec.sha256, tune)
    if name is None:
        return None
    weights = load_checkpoint(name)
    weights.require(TUNING)
    if weights.header.get("codec") != codec.sha256:
        raise WeightsError(f"weights {name} tune another codec than {codec.called}")
    return weights


def load_codec(name_or_file: str | Path, engine: Engine) -> LoadedCodec:
    """A codec whose transforms an engine runs.

    Raises:
        WeightsError: unknown name, missing or damaged file, or weights of something else.
    """
    checkpoint = load_checkpoint(name_or_file)
    name = str(checkpoint.header.get("name"))
    if not NAME.match(name):
        raise WeightsError(f"weights {name_or_file} are called {name!r}; files can name letters, digits and ._- only")
    network = checkpoint.header.get("network")
    if network not in CODINGS:
        raise WeightsError(f"weights {name_or_file} hold a {network!r} network, not a codec")
    try:
        return LoadedCodec(
            name,
            bytes.fromhex(checkpoint.sha256)[:8],
            prod((checkpoint.header.get("config") or {}).get("factors", FACTORS)),
            CODINGS[network](checkpoint, engine),
            checkpoint,
            engine,
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise WeightsError(f"weights {name_or_file} do not fit the model that their header describes") from error
