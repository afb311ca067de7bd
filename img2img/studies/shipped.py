"""Networks with the weights that come with the suite, to look inside."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..checkpoints import build, load_checkpoint
from ..register import TASKS, load


def network(weights: str) -> nn.Module:
    """The network of shipped weights, in float32 on the CPU, in eval mode.

    Args:
        weights: a name of `img2img weights list` whose file holds one network.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    checkpoint = load_checkpoint(weights)
    kind = str(checkpoint.header["network"])
    net: nn.Module = build(checkpoint, kind, _class_of(kind))
    return net.eval()


def unfilled(weights: str) -> nn.Module:
    """A network of the same form whose weights are not read: to be counted."""
    header = load_checkpoint(weights).header
    net: nn.Module = _class_of(str(header["network"]))(**header["config"])
    return net


def _class_of(kind: str) -> Any:
    return load(next(task.networks[kind] for task in TASKS if kind in task.networks))
