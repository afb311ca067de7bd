"""An ONNX graph written out node by node, for what no exporter can trace: a backward pass, above all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

OPSET, IR = 19, 9  # the first in which Pad goes around a torus, and what belongs to it
TO_THE_END = 2**62


class Sketch:
    """Nodes and the constants they take, by names that are counted; what is asked for twice is there once.

    Example:
        >>> sketch = Sketch()
        >>> sketch("Add", "x", sketch.constant(np.float32(1))) == sketch("Add", "x", sketch.constant(np.float32(1)))
        True
    """

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._known: dict[Any, str] = {}

    def __call__(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """The result of an operator; its name."""
        from onnx import helper

        key = kind, inputs, repr(sorted(attributes.items()))
        if key not in self._known:
            self._known[key] = f"{len(self._known):x}"
            self._nodes.append(helper.make_node(kind, inputs, [self._known[key]], **attributes))
        return self._known[key]

    def constant(self, value: Any) -> str:
        """A number, or an array of few."""
        from onnx import numpy_helper

        array = np.asarray(value)
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._known:
            self._known[key] = f"k{len(self._known):x}"
            self._constants.append(numpy_helper.from_array(array, self._known[key]))
        return self._known[key]

    def integers(self, *values: int) -> str:
        """A list of whole numbers."""
        return self.constant(np.array(values, np.int64))

    def weight(self, name: str, shape: Sequence[int]) -> str:
        """A tensor of the weight file, by its name there; its numbers are not in the graph."""
        from onnx import TensorProto

        if name not in self._known:
            self._known[name] = name
            self._weights.append(TensorProto(name=name, dims=list(shape), data_type=TensorProto.FLOAT))
        return name

    def part(self, x: str, begin: int | str, end: int | str, axis: int) -> str:
        """x[begin:end] along an axis; names are those of one number."""
        ends = [place if isinstance(place, str) else self.integers(place) for place in (begin, end)]
        return self("Slice", x, *ends, self.integers(axis))

    def model(
        self, inputs: Mapping[str, Sequence[int | str]], outputs: Mapping[str, tuple[str, Sequence[int | str]]]
    ) -> onnx.ModelProto:
        """The whole graph.

        Args:
            inputs: the shape of each argument; a word is a side of any length.
            outputs: what each result is called, its name here, and its shape.
        """
        from onnx import TensorProto, helper

        for name, (inner, _) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [inner], [name]))
        given, found = (
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in shapes]
            for shapes in (inputs.items(), ((name, shape) for name, (_, shape) in outputs.items()))
        )
        graph = helper.make_graph(self._nodes, "g", given, found, [*self._weights, *self._constants])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
