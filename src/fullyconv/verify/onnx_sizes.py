"""Sizes in the halves of an ONNX file: a trunk's are those of the image at hand, a head's those of windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from fullyconv.capture.onnx_session import Array
from fullyconv.capture.onnx_trace import Trace

_SLIDING = {"Conv", "MaxPool", "AveragePool", "LpPool"}
_MEASURES = {"Shape", "Size"}


def free_sizes(graph: ir.Graph, found: Trace, image: str) -> None:
    """Changes a graph so that it runs on images of any size and is the same network for each.

    1. A reshape that keeps the last two of its axes, rows and columns, keeps them at any size.
    2. A reshape that adds or drops axes of size 1 and nothing else keeps the others at any size: so an exporter may
       write the move of a grey image's one channel.
    3. Padding by SAME, and padding that is computed from sizes, is what a window has.

    Args:
        graph: of the trunk; changed.
        found: what it computes at window size.
        image: the name of its input.
    """
    for node in list(graph):
        if node.op_type == "Reshape" and node.domain == "":
            _free_reshape(graph, node, found)
        elif node.op_type in _SLIDING and "auto_pad" in node.attributes:
            _freeze_padding(node, found)
        elif node.op_type == "Pad" and node.domain == "":
            _freeze_amounts(graph, node, found)


def hold_sizes(graph: ir.Graph, found: Trace) -> None:
    """Changes a head so that it reads sizes of nothing: many an exporter reads the batch size from the image itself.

    It is always given the batch of windows that the file was traced with, so each size is the one seen there.

    Args:
        graph: of the head; changed.
        found: what the file computes at window size.
    """
    for node in list(graph):
        if node.op_type in _MEASURES and node.domain == "":
            (size,) = node.outputs
            held = _register(graph, f"{size.name}:of windows", found.constants[str(size.name)])
            size.replace_all_uses_with(held)


def _free_reshape(graph: ir.Graph, node: ir.Node, found: Trace) -> None:
    source, target = node.inputs[0], node.inputs[1]
    if source is None or target is None or str(source.name) not in found.depending:
        return
    if str(target.name) in found.depending or target.const_value is None:
        return  # a shape that is computed follows the image by itself
    before, after = found.shapes[str(source.name)], found.shapes[str(node.outputs[0].name)]
    rank = len(before)
    if rank > 3 and len(after) > 3 and before[-2:] == after[-2:]:
        lead = [_Fixed(-1 if place == 0 else size) for place, size in enumerate(after[:-2])]
        _follow(graph, node, [*lead, rank - 2, rank - 1])
    elif [size for size in before if size != 1] == [size for size in after if size != 1]:
        kept = iter([axis for axis, size in enumerate(before) if size != 1])
        _follow(graph, node, [_Fixed(1) if size == 1 else next(kept) for size in after])


@dataclass(frozen=True, slots=True)
class _Fixed:
    """A size of a reshape that is the same for every image; beside it stand axes whose size is kept."""

    size: int


def _follow(graph: ir.Graph, node: ir.Node, sizes: Sequence[_Fixed | int]) -> None:
    """Gives a reshape a shape of fixed sizes and of what its input has along some axes."""
    name = f"{node.outputs[0].name}:size"
    made: list[ir.Node] = []
    parts: list[ir.Value] = []
    for place, size in enumerate(sizes):
        if isinstance(size, _Fixed):
            part = _register(graph, f"{name} {place}", np.array([size.size], np.int64))
        else:
            made.append(ir.node("Shape", [node.inputs[0]], {"start": size, "end": size + 1}))
            part = made[-1].outputs[0]
            part.name = f"{name} {place}"
        parts.append(part)
    shape = ir.node("Concat", parts, {"axis": 0})
    shape.outputs[0].name = f"{name}s"
    graph.insert_before(node, [*made, shape])
    node.replace_input_with(1, shape.outputs[0])


def _register(graph: ir.Graph, name: str, array: Array) -> ir.Value:
    """Returns a new weight of a graph."""
    weight = ir.Value(name=name, const_value=ir.tensor(array, name=name))
    weight.type, weight.shape = ir.TensorType(ir.DataType.from_numpy(array.dtype)), ir.Shape(array.shape)
    graph.register_initializer(weight)
    return weight


def _freeze_amounts(graph: ir.Graph, node: ir.Node, found: Trace) -> None:
    amounts = node.inputs[1]
    if amounts is None or amounts.const_value is not None or str(amounts.name) not in found.constants:
        return
    name = f"{node.outputs[0].name}:of windows"
    node.replace_input_with(1, _register(graph, name, found.constants[str(amounts.name)]))


def _freeze_padding(node: ir.Node, found: Trace) -> None:
    mode = node.attributes["auto_pad"].as_string()
    source = node.inputs[0]
    if mode not in ("SAME_UPPER", "SAME_LOWER") or source is None:
        return
    before = found.shapes[str(source.name)][2:]
    kernel = _read(node, "kernel_shape") or list(found.shapes[str(node.inputs[1].name)][2:])  # type: ignore[union-attr]
    steps = _read(node, "strides") or [1] * len(before)
    gaps = _read(node, "dilations") or [1] * len(before)
    firsts, lasts = [], []
    for size, cells, step, gap in zip(before, kernel, steps, gaps, strict=True):
        outputs = (size + step - 1) // step
        total = max(0, (outputs - 1) * step + gap * (cells - 1) + 1 - size)
        firsts.append(total // 2 if mode == "SAME_UPPER" else total - total // 2)
        lasts.append(total - firsts[-1])
    del node.attributes["auto_pad"]
    node.attributes["pads"] = ir.AttrInt64s("pads", [*firsts, *lasts])


def _read(node: ir.Node, name: str) -> list[int]:
    return list(node.attributes[name].as_ints()) if name in node.attributes else []
