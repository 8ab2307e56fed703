"""A new ONNX graph, node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from fullyconv.graph import Pair

Array = NDArray[Any]

# Beyond every size: where a slice is to reach the end.
TO_THE_END = 2**62


class OnnxBuilder:
    """Writes nodes and weights into a new graph.

    Attributes:
        graph: the graph so far.
    """

    def __init__(self, inputs: Sequence[ir.Value], opset_imports: Mapping[str, int]) -> None:
        """Begins a graph with its inputs."""
        self.graph = ir.Graph(inputs, [], nodes=[], opset_imports=dict(opset_imports), name="dense")
        self._names = {str(value.name) for value in inputs}
        self._nodes: set[str] = set()
        self._numbers: dict[tuple[int, ...], ir.Value] = {}
        self._prefix = "dense"

    def begin(self, prefix: str) -> None:
        """Sets what the names of the following nodes begin with."""
        self._prefix = prefix

    def add(
        self, op_type: str, inputs: Sequence[ir.Value | None], /, *, domain: str = "", **attributes: Any
    ) -> ir.Value:
        """Appends a node of one output, which is returned."""
        kept = {name: value for name, value in attributes.items() if value is not None}
        node = ir.node(op_type, list(inputs), kept, domain=domain)
        return self._append(node, f"{self._prefix}/{op_type}")

    def copy(self, node: ir.Node, inputs: Sequence[ir.Value | None]) -> ir.Value:
        """Appends a node like another one, with other inputs; returns its first output."""
        twin = ir.node(node.op_type, list(inputs), dict(node.attributes), domain=node.domain)
        return self._append(twin, f"{self._prefix}/{node.op_type}")

    def add_weight(self, name: str, tensor: ir.TensorProtocol) -> ir.Value:
        """Appends a weight; another name is found where this one is taken."""
        value = ir.Value(name=self._find_free(name), type=ir.TensorType(tensor.dtype), const_value=tensor)
        value.shape = ir.Shape(tensor.shape.numpy())
        self.graph.register_initializer(value)
        return value

    def numbers(self, *numbers: int) -> ir.Value:
        """Returns whole numbers as a weight `(n,)`."""
        if numbers not in self._numbers:
            array = np.array(numbers, np.int64)
            name = f"numbers:{','.join(map(str, numbers))}"
            self._numbers[numbers] = self.add_weight(name, ir.tensor(array, name=name))
        return self._numbers[numbers]

    def number(self, number: int) -> ir.Value:
        """Returns a whole number as a weight `()`."""
        name = f"number:{number}"
        return self.add_weight(name, ir.tensor(np.array(number, np.int64), name=name))

    def rename(self, value: ir.Value, name: str, node_name: str = "") -> ir.Value:
        """Gives a value, and the node that makes it, names of their own where those are free."""
        self._names.discard(str(value.name))
        value.name = self._find_free(name)
        producer = value.producer()
        if node_name and producer is not None and node_name not in self._nodes:
            producer.name = node_name
            self._nodes.add(node_name)
        return value

    def slice(
        self, source: ir.Value, axes: Sequence[int], starts: Sequence[int], ends: Any, steps: Any = ()
    ) -> ir.Value:
        """Appends a slice; `ends` are numbers, or a value that holds them."""
        stops = ends if isinstance(ends, ir.Value) else self.numbers(*ends)
        inputs = [source, self.numbers(*starts), stops, self.numbers(*axes)]
        return self.add("Slice", [*inputs, self.numbers(*steps)] if any(step != 1 for step in steps) else inputs)

    def size(self, source: ir.Value) -> ir.Value:
        """Returns the last two sizes of `(N, C, H, W)`, as a value `(2,)`."""
        return self.add("Shape", [source], start=2, end=4)

    def count_windows(self, image: ir.Value, window: Pair, stride: Pair) -> ir.Value:
        """Returns how many windows lie on an image, rows and columns, as a value `(2,)`; all in pixels."""
        free = self.add("Sub", [self.size(image), self.numbers(*window)])
        return self.add("Add", [self.add("Div", [free, self.numbers(*stride)]), self.numbers(1, 1)])

    def reshape_channels(self, source: ir.Value, sizes: Sequence[int], like: ir.Value) -> ir.Value:
        """Returns `(N, ..., H, W)` with other axes between; the rows and columns are those of `like` `(N, C, H, W)`."""
        shape = self.add("Concat", [self.numbers(0, *sizes), self.size(like)], axis=0)
        return self.add("Reshape", [source, shape])

    def _append(self, node: ir.Node, name: str) -> ir.Value:
        self.graph.append(node)
        value = node.outputs[0]
        value.name = self._find_free(name)
        node.name = value.name
        return value

    def _find_free(self, name: str) -> str:
        free, number = name, 1
        while free in self._names:
            number += 1
            free = f"{name}:{number}"
        self._names.add(free)
        return free
