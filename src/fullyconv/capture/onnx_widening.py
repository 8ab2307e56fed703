"""ONNX models in float16 as the same models in float32: weights stay as they are, sums are no longer rounded.

Scores of float16 tell a right conversion from a wrong one badly: the unit of float16 is 1e-3, that of float32 6e-8.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fullyconv.capture.onnx_model import OnnxModel

if TYPE_CHECKING:
    import onnx_ir as ir

# Attributes by which nodes say the number type of what they give.
_TYPES = ("to", "dtype")


def widen_source(source: OnnxModel) -> OnnxModel:
    """Returns a classifier in float32 where it is in float16; any other as it is."""
    if source.dtype != "float16":
        return source
    return replace(source, model=widen_model(source.model), dtype="float32", was_updated=False)


def widen_model(model: ir.Model) -> ir.Model:
    """Returns a copy of a model with float32 wherever it has float16."""
    import onnx_ir as ir

    copy = ir.Model(model.graph.clone(), ir_version=model.ir_version)
    for graph in _list_graphs(copy):
        for value in graph.initializers.values():
            if value.const_value is not None and value.const_value.dtype == ir.DataType.FLOAT16:
                array = value.const_value.numpy().astype(np.float32)
                value.const_value = ir.tensor(array, name=value.name)
        made = (value for node in graph for value in node.outputs)
        for value in (*graph.inputs, *graph.initializers.values(), *made):
            if value.dtype == ir.DataType.FLOAT16:
                value.dtype = ir.DataType.FLOAT
        for node in graph:
            _widen_attributes(node)
    return copy


def _widen_attributes(node: ir.Node) -> None:
    import onnx_ir as ir

    for name, attribute in list(node.attributes.items()):
        if name in _TYPES and attribute.type == ir.AttributeType.INT and attribute.as_int() == ir.DataType.FLOAT16:
            node.attributes[name] = ir.AttrInt64(name, int(ir.DataType.FLOAT))
        elif attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype == ir.DataType.FLOAT16:
            node.attributes[name] = ir.AttrTensor(name, ir.tensor(attribute.as_tensor().numpy().astype(np.float32)))


def _list_graphs(model: ir.Model) -> Iterator[ir.Graph]:
    yield model.graph
    yield from model.graph.subgraphs()
