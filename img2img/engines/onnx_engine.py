"""Networks run by onnxruntime: on the CPU, in fp32, without PyTorch, at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoints import Checkpoint, graph_file, index, verify_graph
from ..errors import WeightsError
from ..runtime import threads
from .network import Network, Runner


class OnnxEngine:
    """Runs the graphs that lie beside weights (graphs.py), whose tensors are those of the weight file."""

    name = "onnx"
    device = "cpu"

    def expect(self, pixels: int) -> None:
        """Nothing depends on it."""

    def load(self, checkpoint: Checkpoint, network: Network) -> Runner:
        path = find_graph(checkpoint, network.name)
        if path is None:
            raise WeightsError(
                f"the weights {checkpoint.path} have no graph of their {network.name} beside them, which onnxruntime "
                "needs: make it by img2img weights graphs, or run them with PyTorch"
            )
        sessions = {os.getpid(): open_session(path, network)}
        session = sessions[os.getpid()]
        if session.get_modelmeta().custom_metadata_map.get("weights_sha256") != checkpoint.sha256:
            raise WeightsError(f"the graph {path} was made for other weights than {checkpoint.path.name} beside it")
        used = {value.name for value in session.get_inputs()}  # a part may need less than it is given

        def run(*inputs: np.ndarray) -> Any:
            # A forked process has none of a session's threads, and would wait for them for ever. It opens its own, and
            # keeps the old one, which could not be closed either.
            if os.getpid() not in sessions:
                sessions[os.getpid()] = open_session(path, network)
            given = zip(network.inputs, inputs, strict=True)
            results = sessions[os.getpid()].run(None, {name: array for name, array in given if name in used})
            return results[0] if len(results) == 1 else tuple(results)

        return run


def open_session(path: Path, network: Network) -> Any:
    """A graph, ready to run.

    Args:
        path: of the graph.
        network: which it is of.

    Raises:
        WeightsError: it is none, or the weight file beside it is not that of which it was made.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # A number given keeps it from binding threads to cores, which fails where a scheduler allows only some of them.
    options.intra_op_num_threads = min(threads(), network.most_threads or threads())
    # A thread that waits for the others by trying again and again saves microseconds where all cores are its own, and
    # costs a third of the processor time where they are not.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = network.keeps_memory
    options.enable_mem_pattern = False  # plans for a size that was seen; sizes differ, and the plan costs memory
    options.log_severity_level = 4  # its errors are raised; printed as well, they would be more than one line
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common class of their own
        raise WeightsError(f"the graph {path} cannot be used by onnxruntime: {_one_line(error)}") from error


def find_graph(checkpoint: Checkpoint, graph: str) -> Path | None:
    """The file of a graph, None if there is none; of shipped weights its sha256 is compared with the index.

    Raises:
        WeightsError: it is damaged.
    """
    for name, entry in index().items():
        if entry["sha256"] == checkpoint.sha256 and graph in entry.get("graphs", {}):
            return verify_graph(name, graph)
    path = graph_file(checkpoint.path, graph)
    return path if path.is_file() else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
