"""Weights by name: the index of shipped ones, and files that say of themselves what they are. Imports no torch."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

M = TypeVar("M", bound="nn.Module")

EXACT = ("running_mean", "running_var")  # a batch norm's buffers: variances leave the range of fp16
HEADER_KEY = "img2img"  # of a safetensors file's metadata; its value is JSON


@dataclass(frozen=True)
class Checkpoint:
    """One file of weights.

    Args:
        tensors: by parameter name, as stored (fp16; statistics of batch norms fp32); may hold several networks under
            prefixes.
        header: `task`, `name`, `network`, `config` (arguments that build it), `range`, `data`, `version`, `commit`, and
            `training`: recipe, steps, minutes, device, scores on held-out pictures, the score by step.
    """

    tensors: dict[str, Tensor]
    header: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The float32 tensors of one network, its prefix (and a dot) taken off."""
        start = prefix + "."
        return {k.removeprefix(start): v.float() for k, v in self.tensors.items() if k.startswith(start)}


@cache
def index() -> dict[str, dict[str, Any]]:
    """weights/index.toml: for each name its task, file, sha256 and what is measured of it."""
    return tomllib.loads(_folder().joinpath("index.toml").read_text(encoding="utf-8"))


def _folder() -> Path:
    """The installed package's weights/, or in a plain checkout, where nothing is installed, the one beside img2img/."""
    if find_spec("img2img.weights"):
        return Path(str(files("img2img.weights")))
    return Path(__file__).parents[1] / "weights"


def names(task: str | None = None) -> list[str]:
    """Names of the shipped weights, those of one task or all, the default of each task first."""
    return [name for name, entry in index().items() if task in (None, entry["task"])]


def weights_file(name: str) -> Path:
    """Where the shipped weights of that name lie.

    Raises:
        WeightsError: no such name.
    """
    if name not in index():
        raise WeightsError(f"no weights called {name!r}; there are: {', '.join(index())}")
    return _folder() / index()[name]["file"]


def verify(name: str) -> Path:
    """The file of shipped weights, after comparing its sha256 with the index.

    Raises:
        WeightsError: it is missing or differs.
    """
    path = weights_file(name)
    if not path.is_file():
        raise WeightsError(f"weights {name}: the file {path} is missing; reinstall img2img-suite")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != index()[name]["sha256"]:
        raise WeightsError(f"weights {name}: the file {path} is damaged or changed (its sha256 is not the index's)")
    return path


def load_checkpoint(name_or_file: str | Path) -> Checkpoint:
    """Shipped weights by name (checked against the index), or any weight file of the suite by path.

    Raises:
        WeightsError: unknown name, missing, damaged or foreign file.
    """
    path = verify(str(name_or_file)) if str(name_or_file) in index() else Path(name_or_file)
    if not path.is_file():
        raise WeightsError(f"no weights called {str(name_or_file)!r}: neither a file nor one of {', '.join(index())}")
    header = read_header(path)
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return Checkpoint(load_file(path), header)
    except SafetensorError as error:
        raise WeightsError(f"weight file {path} is damaged: {error}") from error


def build(checkpoint: Checkpoint, network: str, kind: Callable[..., M], name: str | Path) -> M:
    """A network with its weights, from a checkpoint that must hold just that.

    Raises:
        WeightsError: the checkpoint is for something else, or its tensors do not fit its own config.
    """
    if checkpoint.header.get("network") != network:
        raise WeightsError(f"weights {name} hold a {checkpoint.header.get('network')!r} network, not a {network!r}")
    try:
        model = kind(**checkpoint.header["config"])
        model.load_state_dict(checkpoint.part(network))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f"weights {name} do not fit the model that their header describes") from error
    return model


def read_header(path: Path) -> dict[str, Any]:
    """What a weight file says of itself, without reading its tensors.

    Raises:
        WeightsError: no weight file of this suite, or a damaged one.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
        return json.loads(metadata[HEADER_KEY])
    except OSError as error:
        raise WeightsError(f"weight file {path} cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise WeightsError(f"weight file {path} is damaged or no safetensors file: {error}") from error
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f"weight file {path} was not made by img2img: it does not say what model it holds"
        ) from error


def save_checkpoint(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write weights in fp16 with their header, whole or not at all; statistics of batch norms stay as they are."""
    import torch
    from safetensors.torch import save

    def stored(name: str, tensor: Tensor) -> Tensor:
        shorter = tensor.is_floating_point() and not name.endswith(EXACT)
        return (tensor.half() if shorter else tensor).detach().cpu().contiguous(memory_format=torch.contiguous_format)

    temporary = path.with_name(path.name + ".tmp")
    data = save(
        {k: stored(k, v) for k, v in tensors.items()}, metadata={HEADER_KEY: json.dumps(header, sort_keys=True)}
    )
    # Not save_file, whose files only their owner may read.
    temporary.write_bytes(data)
    temporary.replace(path)
