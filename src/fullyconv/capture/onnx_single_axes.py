"""Slices along several axes become slices along one axis each, so that each can be followed by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx_ir as ir


def divide_slices(model: ir.Model) -> None:
    """Divides each slice along several axes whose places are weights; the last part keeps the output's name."""
    for node in list(model.graph):
        if node.op_type == "Slice" and node.domain == "":
            places = [_read(value) for value in node.inputs[1:]]
            if len(places) > 1 and None not in places and len(places[0] or []) > 1:
                _divide(model, node, [place for place in places if place is not None])


def _read(value: ir.Value | None) -> list[int] | None:
    if value is None or value.const_value is None or not value.is_initializer():
        return None
    return [int(number) for number in value.const_value.numpy().reshape(-1)]


def _divide(model: ir.Model, node: ir.Node, places: list[list[int]]) -> None:
    import onnx_ir as ir

    starts, ends = places[:2]
    axes = places[2] if len(places) > 2 else list(range(len(starts)))
    steps = places[3] if len(places) > 3 else [1] * len(starts)
    source, output = node.inputs[0], node.outputs[0]
    assert source is not None  # a slice is of something
    for place, numbers in enumerate(zip(starts, ends, axes, steps, strict=True)):
        constants = [_make(model, f"{output.name}:{kind}{place}", number)
                     for kind, number in zip(("start", "end", "axis", "step"), numbers, strict=True)]  # fmt: skip
        part = ir.node("Slice", [source, *constants], name=f"{node.name}:{place}" if node.name else None)
        source = part.outputs[0]
        source.name, source.type = f"{output.name}:part{place}", output.type
        model.graph.insert_before(node, part)
    name = output.name
    if output.is_graph_output():
        model.graph.outputs[model.graph.outputs.index(output)] = source
    output.replace_all_uses_with(source)
    model.graph.remove(node, safe=True)
    source.name = name


def _make(model: ir.Model, name: str, number: int) -> ir.Value:
    import onnx_ir as ir

    array = np.array([number], np.int64)
    value = ir.Value(name=name, const_value=ir.tensor(array, name=name), type=ir.TensorType(ir.DataType.INT64))
    value.shape = ir.Shape([1])
    model.graph.register_initializer(value)
    return value
