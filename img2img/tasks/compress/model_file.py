"""Codecs by name or file, ready to code with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path

from ...checkpoints import Checkpoint, load_checkpoint, names
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
        tunings: weights that tune latents, besides the shipped ones.
    """

    name: str
    hash: bytes
    stride: int
    coding: Coding
    checkpoint: Checkpoint
    engine: Engine
    tunings: tuple[str | Path, ...] = ()

    @cached_property
    def analysis(self) -> Runner:
        """x (1, 3, H, W) in [0, 1], H and W multiples of the stride, to y (1, M, H / stride, W / stride)."""
        return self.engine.load(self.checkpoint, ANALYSIS)

    @cached_property
    def tuning_weights(self) -> Checkpoint | None:
        """Those of a network that tunes latents, if there are any for this very codec."""
        return tuning_of(self.checkpoint, self.tunings)

    @cached_property
    def tuning(self) -> Runner:
        """y (1, M, h, w) and rate (1, 1, 1, 1) to latents that look better once they are decoded.

        Raises:
            WeightsError: nothing was learnt for this codec.
        """
        if self.tuning_weights is None:
            raise WeightsError(f"no weights are here that tune the codec {self.name!r}; effort 2 needs none")
        return self.engine.load(self.tuning_weights, TUNING_NETWORK)

    @cached_property
    def synthesis(self) -> Runner:
        """y_hat to x_hat, not clamped."""
        return self.engine.load(self.checkpoint, SYNTHESIS)


def tuning_of(codec: Checkpoint, given: Sequence[str | Path] = ()) -> Checkpoint | None:
    """Weights that tune this very codec's latents, of those given or shipped.

    Raises:
        WeightsError: some of them are missing or damaged.
    """
    known = (load_checkpoint(name) for name in (*given, *names(TUNING)))
    return next((weights for weights in known if weights.header.get("codec") == codec.sha256), None)


def load_codec(name_or_file: str | Path, engine: Engine, tunings: Sequence[str | Path] = ()) -> LoadedCodec:
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
            tuple(tunings),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise WeightsError(f"weights {name_or_file} do not fit the model that their header describes") from error
