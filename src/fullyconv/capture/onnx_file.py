"""An ONNX file -> Graph, with the model that it was read from beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fullyconv.capture.macs import count_macs
from fullyconv.capture.onnx_agreement import check_update
from fullyconv.capture.onnx_arrangements import ARRANGEMENTS
from fullyconv.capture.onnx_branches import take_branches
from fullyconv.capture.onnx_gathers import GATHERS
from fullyconv.capture.onnx_model import OnnxModel
from fullyconv.capture.onnx_norms import NORMS
from fullyconv.capture.onnx_operations import NORMALISERS, OnnxUse
from fullyconv.capture.onnx_resizing import RESIZINGS
from fullyconv.capture.onnx_trace import Trace, list_reads, trace
from fullyconv.errors import ModelError, OptionError
from fullyconv.graph import Constant, Graph, Node, Opaque, Operation, Pair, Shape, Value

if TYPE_CHECKING:
    import onnx_ir as ir

Array = NDArray[Any]

_TABLE = {**NORMALISERS, **ARRANGEMENTS, **GATHERS, **NORMS, **RESIZINGS}

# What arithmetic is counted by: the names that ATen has for it.
_MACS = {"Conv": "conv2d", "ConvTranspose": "conv_transpose2d", "Gemm": "matmul", "MatMul": "matmul"}


@dataclass(frozen=True, slots=True)
class CapturedOnnx:
    """An ONNX classifier as a Graph, and what is needed to write another from it.

    Attributes:
        graph: normalised operations and shapes, for the analysis; its names are the file's.
        source: the file's model.
        trace: what it computed at window size.
        arrays: constants by the names that `graph.constants` has, in their own number type.
    """

    graph: Graph
    source: OnnxModel
    trace: Trace
    arrays: Mapping[str, Callable[[], Array]]


def capture_onnx(source: OnnxModel, window: Pair | None = None, channels: int | None = None) -> CapturedOnnx:
    """Returns the Graph of an ONNX classifier at window size.

    Args:
        source: from `load_onnx`.
        window: `(height, width)` in pixels; what the file says where it is None.
        channels: of the image; what the file or its first convolution says where it is None.

    Raises:
        CaptureError: the model does not run at the window, or gives something other than scores.
        ModelError: a weight is NaN or infinite.
        OptionError: neither the file nor the caller says the window.
    """
    size = window or source.window
    if size is None:
        raise OptionError("window: the file takes images of any size; pass the (height, width) that it was trained on")
    _check_weights(source.model)
    image = source.channels or channels or _suggest_channels(source), *size
    found = trace(source, image)
    while take_branches(source.model, found.constants):
        found = trace(source, image)
    if source.was_updated:
        check_update(source, found)
    return _Reader(source, found).read()


def _suggest_channels(source: OnnxModel) -> int:
    """Returns the channels that the first convolution takes, 3 where there is none."""
    for node in source.model.graph:
        if node.op_type == "Conv" and node.inputs[1] is not None and node.inputs[1].const_value is not None:
            group = node.attributes["group"].as_int() if "group" in node.attributes else 1
            return int(node.inputs[1].const_value.shape.numpy()[1]) * group
    return 3


def _check_weights(model: ir.Model) -> None:
    """Returns if no weight holds NaN; masks and bounds may be infinite."""
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if tensor is not None and tensor.dtype.is_floating_point() and tensor.size and np.isnan(tensor.numpy().min()):
            raise ModelError(f"{name}: expected finite weights, got NaN; the training diverged or the file is damaged")


class _Reader:
    """Reads the nodes of a model one after the other."""

    def __init__(self, source: OnnxModel, found: Trace) -> None:
        self.source = source
        self.trace = found
        self.shapes: dict[str, Shape] = dict(found.shapes)
        self.arrays: dict[str, Callable[[], Array]] = {
            name: partial(_read_weight, value) for name, value in source.model.graph.initializers.items()
        }
        self.arrays.update({name: partial(_return, array) for name, array in found.constants.items()})
        self.used: dict[str, None] = {}

    def read(self) -> CapturedOnnx:
        """Returns the whole graph."""
        model = self.source.model
        nodes = tuple(self._read_node(node) for node in model.graph if self._depends(node))
        outputs = tuple(str(value.name) for value in model.graph.outputs)
        constants = {name: self._make_constant(name) for name in self.used}
        graph = Graph(self._make_value(self.source.image), nodes, constants, outputs)
        return CapturedOnnx(graph, self.source, self.trace, self.arrays)

    def _depends(self, node: ir.Node) -> bool:
        return any(value.name in self.trace.depending for value in node.outputs)

    def _read_node(self, node: ir.Node) -> Node:
        reads = tuple(list_reads(node)) if _has_branches(node) else tuple(
            str(value.name) if value is not None else "" for value in node.inputs)  # fmt: skip
        outputs = tuple(self._make_value(str(value.name)) for value in node.outputs if value.name)
        operation, inputs = self._normalise(node, reads, outputs)
        known = [name for name in inputs if not name or name in self.trace.depending or name in self.arrays]
        inputs = tuple(known)  # names within branches are their own
        self.used.update(dict.fromkeys(name for name in inputs if name in self.arrays))
        name = str(node.name)
        return Node(name, operation, inputs, outputs, f"onnx.{node.op_type}", name, self._count(node, reads, outputs))

    def _normalise(
        self, node: ir.Node, reads: tuple[str, ...], outputs: tuple[Value, ...]
    ) -> tuple[Operation, tuple[str, ...]]:
        normalise = _TABLE.get(node.op_type) if node.domain == "" else None
        if normalise is not None and all(value.name in self.shapes for value in outputs):
            shapes = tuple(value.shape for value in outputs)
            read = frozenset(place for place, value in enumerate(node.outputs) if _is_read(value))
            add = partial(self._add_constant, str(node.name))
            normal = normalise(OnnxUse(node, reads, self.shapes, self.arrays, shapes, read, add))
            if normal is not None:
                return normal
        attributes = tuple((name, attribute.value) for name, attribute in node.attributes.items())
        return Opaque(attributes), reads

    def _add_constant(self, node: str, kind: str, array: Array) -> str:
        name = f"{node}:{kind}"
        self.arrays[name] = partial(_return, array)
        self.shapes[name] = array.shape
        return name

    def _count(self, node: ir.Node, reads: tuple[str, ...], outputs: tuple[Value, ...]) -> int:
        shapes = tuple(self.shapes[name] for name in reads if name in self.shapes)
        name = _MACS.get(node.op_type, node.op_type)
        return count_macs(name, shapes, tuple(value.shape for value in outputs)) // self.trace.batch

    def _make_value(self, name: str) -> Value:
        return Value(name, self.shapes.get(name, ()), self.trace.dtypes.get(name, "object"))

    def _make_constant(self, name: str) -> Constant:
        def read() -> NDArray[np.generic]:
            array = self.arrays[name]()
            return array.astype(np.float64) if np.issubdtype(array.dtype, np.floating) else array

        dtype = self.trace.dtypes.get(name)
        return Constant(name, self.shapes[name], dtype or str(self.arrays[name]().dtype), read)


def _has_branches(node: ir.Node) -> bool:
    return any(attribute.type.name in ("GRAPH", "GRAPHS") for attribute in node.attributes.values())


def _is_read(value: ir.Value) -> bool:
    return bool(value.uses()) or value.is_graph_output()


def _read_weight(value: ir.Value) -> Array:
    assert value.const_value is not None  # it is a weight
    array: Array = value.const_value.numpy()
    return array


def _return(array: Array) -> Array:
    return array
