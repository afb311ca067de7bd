"""Codecs by name or file, ready to code with."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...checkpoints import index, load_checkpoint
from ...errors import WeightsError
from .bitstream import NAME
from .hyperprior import HyperpriorCodec
from .latents import Coding, FactorizedCoding, HyperpriorCoding
from .model import Codec

NETWORKS: dict[str, tuple[type[Codec], type[Coding]]] = {
    "factorized": (Codec, FactorizedCoding),
    "hyperprior": (HyperpriorCodec, HyperpriorCoding),
}


@dataclass(frozen=True, eq=False)
class LoadedCodec:
    """A codec with its tables, and the name and hash by which files refer to it."""

    name: str
    hash: bytes
    codec: Codec
    coding: Coding


def load_codec(name_or_file: str | Path, device: torch.device) -> LoadedCodec:
    """A codec on a device.

    Raises:
        WeightsError: unknown name, missing or damaged file, or weights of something else.
    """
    checkpoint = load_checkpoint(name_or_file)
    name = str(checkpoint.header.get("name"))
    if not NAME.match(name):
        raise WeightsError(f"weights {name_or_file} are called {name!r}; files can name letters, digits and ._- only")
    network, config = checkpoint.header.get("network"), checkpoint.header.get("config")
    if network not in NETWORKS:
        raise WeightsError(f"weights {name_or_file} hold a {network!r} network, not a codec")
    kind, coding = NETWORKS[network]
    try:
        codec = kind(**(config or {}))
        codec.load_state_dict(checkpoint.part("codec"))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f"weights {name_or_file} do not fit the model that their header describes") from error
    codec = codec.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
    return LoadedCodec(name, weights_hash(name_or_file), codec, coding(codec, checkpoint))


def weights_hash(name_or_file: str | Path) -> bytes:
    """The first 8 bytes of the SHA-256 of a file of weights."""
    shipped: dict[str, Any] | None = index().get(str(name_or_file))
    if shipped:
        return bytes.fromhex(shipped["sha256"])[:8]
    return hashlib.sha256(Path(name_or_file).read_bytes()).digest()[:8]
