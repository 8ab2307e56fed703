"""Sizes in the halves of an ONNX file: a trunk's are those of the image at hand, a head's those of windows."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from fullyconv.capture.onnx_trace import Trace

_SLIDING = {"Conv", "MaxPool", "AveragePool", "LpPool"}
_MEASURES = {"Shape", "Size"}


def free_sizes(graph: ir.Graph, found: Trace, image: str) -> None:
    """Changes a graph so that it runs on images of any size and is the same network for each.

    1. A reshape that keeps the last two of its axes, rows and columns, keeps them at any size.
    2. Padding by SAME is the padding that a window has.

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
            name = f"{size.name}:of windows"
            weight = ir.Value(name=name, const_value=ir.tensor(found.constants[str(size.name)], name=name))
            weight.type = ir.TensorType(ir.DataType.INT64)
            weight.shape = ir.Shape(list(found.shapes[str(size.name)]))
            graph.register_initializer(weight)
            size.replace_all_uses_with(weight)


def _free_reshape(graph: ir.Graph, node: ir.Node, found: Trace) -> None:
    source, target = node.inputs[0], node.inputs[1]
    if source is None or target is None or str(source.name) not in found.depending:
        return
    before, after = found.shapes[str(source.name)], found.shapes[str(node.outputs[0].name)]
    is_map = len(before) > 3 and len(after) > 3 and before[-2:] == after[-2:]
    if not is_map or str(target.name) in found.depending or target.const_value is None:
        return  # a shape that is computed follows the image by itself
    rank = len(before)
    size = ir.node("Shape", [source], {"start": rank - 2, "end": rank})
    lead = np.array([-1 if place == 0 else size for place, size in enumerate(after[:-2])], np.int64)
    name = f"{node.outputs[0].name}:lead"
    weight = ir.Value(name=name, const_value=ir.tensor(lead, name=name), type=ir.TensorType(ir.DataType.INT64))
    weight.shape = ir.Shape([len(lead)])
    graph.register_initializer(weight)
    shape = ir.node("Concat", [weight, size.outputs[0]], {"axis": 0})
    size.outputs[0].name, shape.outputs[0].name = f"{name}:size", f"{name}:shape"
    graph.insert_before(node, [size, shape])
    node.replace_input_with(1, shape.outputs[0])


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
