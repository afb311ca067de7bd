"""Weights by name: the index of shipped ones, and files that say of themselves what they are. Imports no torch."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from torch import Tensor, nn

M = TypeVar("M", bound="nn.Module")

EXACT = ("running_mean", "running_var")  # a batch norm's buffers: variances leave the range of fp16
HEADER_KEY = "img2img"  # of a safetensors file's metadata; its value is JSON


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """One file of weights. Its tensors are read when they are first asked for: a graph reads them by itself.

    Args:
        called: the name or path that was asked for.
        path: the file.
        sha256: of the file, in hexadecimal.
        header: `task`, `name`, `network`, `config` (arguments that build it), `range`, `data`, `version`, `commit`, and
            `training`: recipe, steps, minutes, device, scores on held-out pictures, the score by step.
    """

    called: str
    path: Path
    sha256: str
    header: dict[str, Any]

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """By parameter name, as stored (fp16; statistics of batch norms fp32); several networks have prefixes.

        Raises:
            WeightsError: the file is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            return load_file(self.path)
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"weight file {self.path} is damaged: {error}") from error

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The same as tensors of PyTorch, in the same memory."""
        import torch

        return {name: torch.from_numpy(array) for name, array in self.arrays.items()}

    def require(self, network: str) -> None:
        """Make sure that the file holds a network of this kind.

        Raises:
            WeightsError: it holds another.
        """
        if self.header.get("network") != network:
            held = self.header.get("network")
            raise WeightsError(f"weights {self.called} hold a {held!r} network, not a {network!r}")

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
    from importlib.resources import files

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
    """The file of shipped weights, after comparing its sha256, and those of its graphs, with the index.

    Raises:
        WeightsError: one of them is missing or differs.
    """
    path = weights_file(name)
    _check(name, path, index()[name]["sha256"])
    for graph in index()[name].get("graphs", {}):
        verify_graph(name, graph)
    return path


def verify_graph(name: str, graph: str) -> Path:
    """The file of a graph of shipped weights, after comparing its sha256 with the index.

    Raises:
        WeightsError: it is missing or differs.
    """
    path = graph_file(weights_file(name), graph)
    _check(name, path, index()[name].get("graphs", {}).get(graph, ""))
    return path


def graph_file(weights: Path, graph: str) -> Path:
    """Where a network of a weight file lies as a graph, `NAME.GRAPH.onnx`: beside the weights, which it refers to."""
    return weights.with_name(f"{weights.stem}.{graph}.onnx")


def digest(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(name: str, path: Path, sha256: str) -> str:
    if not path.is_file():
        raise WeightsError(f"weights {name}: the file {path} is missing; reinstall img2img-suite")
    if digest(path) != sha256:
        raise WeightsError(f"weights {name}: the file {path} is damaged or changed (its sha256 is not the index's)")
    return sha256


def load_checkpoint(name_or_file: str | Path) -> Checkpoint:
    """Shipped weights by name (checked against the index), or any weight file of the suite by path.

    Raises:
        WeightsError: unknown name, missing, damaged or foreign file.
    """
    called = str(name_or_file)
    if called in index():
        path = weights_file(called)
        return Checkpoint(called, path, _check(called, path, index()[called]["sha256"]), read_header(path))
    path = Path(name_or_file)
    if not path.is_file():
        raise WeightsError(f"no weights called {called!r}: neither a file nor one of {', '.join(index())}")
    return Checkpoint(called, path, digest(path), read_header(path))


def build(checkpoint: Checkpoint, network: str, kind: Callable[..., M]) -> M:
    """A network with its weights, from a checkpoint that must hold just that.

    Raises:
        WeightsError: the checkpoint is for something else, or its tensors do not fit its own config.
    """
    checkpoint.require(network)
    try:
        model = kind(**checkpoint.header["config"])
        model.load_state_dict(checkpoint.part(network))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f"weights {checkpoint.called} do not fit the model that their header describes") from error
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


def header_of(name_or_file: str | Path) -> dict[str, Any]:
    """What shipped weights, or a weight file, say of themselves; nothing is compared with the index.

    Raises:
        WeightsError: as `read_header`.
    """
    return read_header(weights_file(str(name_or_file)) if name_or_file in index() else Path(name_or_file))


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
