"""Graphs of shipped weights for engines without PyTorch: made by one command, compared with PyTorch, a few kB each.

A graph is an ONNX file whose tensors are not in it: it says where in the weight file beside it they lie (ONNX's
external data), so that nothing is stored twice. Half-precision numbers are cast to single when it is loaded.

It is traced by PyTorch's older exporter (`dynamo=False`). The newer one gave the same numbers for a denoiser and a
translator, but took four times as long and needs another package.
"""

from __future__ import annotations

import json
import math
import struct
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

import img2img

from ..checkpoints import Checkpoint, graph_file, load_checkpoint
from ..errors import ExportError
from .network import Network
from .onnx_engine import OnnxEngine
from .torch_engine import TorchEngine

if TYPE_CHECKING:
    import onnx

PACKAGES = ("onnx", "onnxruntime")
OPSET = 18
TOLERANCE = 0.05  # grey levels of 255: a tenth of what rounding to 8 bits changes
SIZES = ((1, 1), (1, 40), (7, 3), (33, 50), (64, 64), (257, 129), (16, 16))  # besides the random ones
RANDOM_SIZES, LARGEST = 6, 300
TRACED = (46, 70)  # no multiple of anything, so that padding is in the graph
INLINE = 1024  # bytes; a larger tensor that the weight file does not have would be stored twice


@dataclass(frozen=True)
class Agreement:
    """How well a graph does what its weights do.

    Args:
        pictures: how many were compared.
        difference: the largest of any value, in grey levels of 255.
    """

    pictures: int
    difference: float


def need_packages() -> None:
    """Raise ExportError if a package is missing that only exports need."""
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        raise ExportError(f"an export needs {' and '.join(missing)}: pip install 'img2img-suite[onnx]'")


def make_graphs(name_or_file: str | Path, networks: Iterable[Network]) -> dict[str, Agreement]:
    """Write the graphs of a weight file beside it, and compare each with PyTorch on pictures of many sizes.

    Returns:
        by the name of each graph, how well it agrees.

    Raises:
        ExportError: a package is missing, or results differ by more than TOLERANCE; the graph is then not there.
        WeightsError: the weights are missing or damaged.
    """
    need_packages()
    import onnx

    checkpoint = load_checkpoint(name_or_file)
    agreements = {}
    for network in networks:
        path = graph_file(checkpoint.path, network.name)
        try:
            path.write_bytes(graph_of(checkpoint, network))
            onnx.checker.check_model(str(path))
            agreements[network.name] = compare(checkpoint, network)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return agreements


def graph_of(checkpoint: Checkpoint, network: Network) -> bytes:
    """A network of a weight file as ONNX, for any number of pictures of any size, its tensors left in that file."""
    import onnx

    if network.graph:
        model = network.graph(checkpoint)
    else:
        module = network.build(checkpoint).eval()
        examples = network.examples(checkpoint.header, np.random.default_rng(0), *TRACED)
        model = trace(_rooted(module, network.prefix), dict(zip(network.inputs, examples, strict=True)))
    _refer(model, checkpoint)
    _shorten(model.graph)
    model.producer_name, model.producer_version = "img2img", img2img.__version__
    onnx.helper.set_model_props(model, {"weights_sha256": checkpoint.sha256, "torch": str(torch.__version__)})
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def trace(module: nn.Module, examples: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """A module as an ONNX model; what has four axes may have any batch, height and width."""
    import onnx

    arguments = tuple(torch.from_numpy(array) for array in examples.values())
    with torch.inference_mode():
        results = module(*arguments)
    results = (results,) if isinstance(results, torch.Tensor) else tuple(results)
    outputs = ["output"] if len(results) == 1 else [f"output_{i}" for i in range(len(results))]
    sizes = {
        name: {axis: f"{name}_{word}" for axis, word in ((0, "batch"), (2, "height"), (3, "width"))}
        for name, array in [*examples.items(), *zip(outputs, results, strict=True)]
        if array.ndim == 4
    }
    with warnings.catch_warnings(), TemporaryDirectory() as folder:
        # It warns of itself, which is older than another, and of every size that it sees: compare() tries them.
        warnings.simplefilter("ignore")
        file = Path(folder, "graph.onnx")
        torch.onnx.export(
            module,
            arguments,
            file,
            dynamo=False,
            opset_version=OPSET,
            do_constant_folding=False,  # so that tensors stay those of the weight file
            input_names=list(examples),
            output_names=outputs,
            dynamic_axes=sizes,
        )
        return onnx.load(file)


def _rooted(module: nn.Module, prefix: str) -> nn.Module:
    """A module whose parameters are called as in the weight file."""
    if not prefix:
        return module

    inner, _, outer = prefix.rpartition(".")[::-1]

    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module(inner, module)

        def forward(self, *inputs: torch.Tensor) -> Any:
            return module(*inputs)

    return _rooted(Root().eval(), outer)


def _refer(model: onnx.ModelProto, checkpoint: Checkpoint) -> None:
    """Put references to the weight file in the place of a model's tensors.

    Raises:
        ExportError: the model holds large tensors that the file does not have.
    """
    from onnx import TensorProto, helper, numpy_helper

    kinds = {"F16": TensorProto.FLOAT16, "F32": TensorProto.FLOAT}
    stored, start = layout(checkpoint.path)
    casts = []
    for tensor in model.graph.initializer:
        entry = stored.get(tensor.name)
        if entry is None or entry["dtype"] not in kinds or entry["shape"] != list(tensor.dims):
            if numpy_helper.to_array(tensor).nbytes > INLINE:
                raise ExportError(f"the graph would hold {tensor.name}, which the weight file does not have")
            continue
        begin, end = entry["data_offsets"]
        place = {"location": checkpoint.path.name, "offset": str(start + begin), "length": str(end - begin)}
        tensor.ClearField("raw_data")
        tensor.data_type, tensor.data_location = kinds[entry["dtype"]], TensorProto.EXTERNAL
        for key, value in place.items():
            tensor.external_data.add(key=key, value=value)
        if entry["dtype"] == "F16":
            name, tensor.name = tensor.name, f"{tensor.name}.stored"
            casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)


def _shorten(graph: onnx.GraphProto) -> None:
    """Number what nodes hand on: exporters call it by the way through the modules, which is half of a file."""
    kept = {value.name for value in [*graph.input, *graph.output, *graph.initializer]}
    short: dict[str, str] = {}

    def named(name: str) -> str:
        return name if not name or name in kept else short.setdefault(name, f"{len(short):x}")

    for node in graph.node:
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            return  # branches see the names around them; none of our networks has any
    for node in graph.node:
        node.ClearField("name")
        node.ClearField("doc_string")
        for names in (node.input, node.output):
            names[:] = [named(name) for name in names]
    graph.ClearField("value_info")


def layout(path: Path) -> tuple[dict[str, Any], int]:
    """Type, shape and place of each tensor of a safetensors file, and the byte from which the places count."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(length)), 8 + length


def compare(checkpoint: Checkpoint, network: Network) -> Agreement:
    """Run a graph by onnxruntime and its module by PyTorch in fp32 on the same pictures.

    Raises:
        ExportError: they differ by more than TOLERANCE, or in size.
        WeightsError: there is no graph, or it cannot be used.
    """
    ours = OnnxEngine().load(checkpoint, network)
    theirs = TorchEngine("cpu", "fp32").load(checkpoint, network)
    random = np.random.default_rng(0)
    differences = []
    for height, width in sizes():
        given = network.examples(checkpoint.header, random, height, width)
        difference = largest(ours(*given), theirs(*given), network.relative) / network.level
        if not difference <= TOLERANCE:  # NaN, too
            raise ExportError(
                f"{checkpoint.path.name}, {network.name}: at {width}x{height} pixels onnxruntime's result differs from "
                f"PyTorch's by {difference:.4g} of 255 grey levels, where {TOLERANCE} are allowed"
            )
        differences.append(difference)
    return Agreement(len(differences), max(differences))


def sizes() -> Iterator[tuple[int, int]]:
    """Heights and widths that graphs are compared at: 13, from 1x1 on, most of them no multiple of anything."""
    yield from SIZES
    for h, w in np.random.default_rng(0).random((RANDOM_SIZES, 2)).tolist():
        yield math.ceil(LARGEST**h), math.ceil(LARGEST**w)


def largest(a: Any, b: Any, relative: bool = False) -> float:
    """The largest difference of two results, or its share of the second's largest; infinite if their shapes differ."""
    if isinstance(a, tuple):
        same = len(a) == len(b)
        return max(largest(*pair, relative) for pair in zip(a, b, strict=True)) if same else math.inf
    if a.shape != b.shape:
        return math.inf
    unit = float(np.abs(b).max(initial=0)) if relative else 1.0
    return float(np.abs(a - b).max(initial=0)) / (unit or 1.0)
