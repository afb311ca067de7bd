"""Whether a network that is going to be trained may be kept in a file: asked before the minutes of training."""

from __future__ import annotations

import os
from pathlib import Path

from ...checkpoints import read_header
from ...errors import OptionError, WeightsError

NET = ".safetensors"
NETWORK = "texture-net"  # what the file of one says that it holds


def check_save(save: str | os.PathLike[str], overwrite: bool) -> None:
    """Refuse a file where no network can be kept, or where it would replace something else.

    Raises:
        OptionError: it is one of these.
    """
    file = Path(save)
    why = _problem(file, overwrite)
    if why:
        raise OptionError("{0} {file}: {why}", "save", file=file, why=why)
    if file.exists() and not overwrite:
        raise OptionError("{0} {file} exists already; use {1}", "save", "overwrite", file=file)


def _problem(file: Path, overwrite: bool) -> str:
    if file.suffix.lower() != NET:
        return f"the name of a network ends with {NET}"
    if not os.access(file.parent, os.W_OK):
        return f"nothing can be written to {file.parent}"
    if file.exists() and overwrite and not _is_network(file):
        return "this is no texture's network and will not be replaced"
    return ""


def _is_network(file: Path) -> bool:
    try:
        return file.is_file() and read_header(file).get("network") == NETWORK
    except WeightsError:
        return False
