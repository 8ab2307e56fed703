"""ONNX models in a wider number type: weights stay as they are, sums are no longer rounded.

Scores of float16 tell a right conversion from a wrong one badly: the unit of float16 is 1e-3, that of float32 6e-8.
Those of float64 tell it best.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from fullyconv.capture.onnx_model import OnnxModel

if TYPE_CHECKING:
    import onnx_ir as ir

Wide = Literal["float32", "float64"]

# What becomes one of these.
_NARROWER = {"float32": ("FLOAT16",), "float64": ("FLOAT16", "FLOAT")}
_NAMES = {"float32": "FLOAT", "float64": "DOUBLE"}

# Attributes by which nodes say the number type of what they give.
_TYPES = ("to", "dtype")


def widen_source(source: OnnxModel, dtype: Wide = "float32") -> OnnxModel:
    """Returns a classifier in a number type where it is in a narrower one; any other as it is."""
    narrower = {"float16", "float32"} if dtype == "float64" else {"float16"}
    if source.dtype not in narrower:
        return source
    return replace(source, model=widen_model(source.model, dtype), dtype=dtype, was_updated=False)


def widen_model(model: ir.Model, dtype: Wide = "float32") -> ir.Model:
    """Returns a copy of a model with a number type wherever it has a narrower one."""
    import onnx_ir as ir

    copy = ir.Model(model.graph.clone(), ir_version=model.ir_version)
    for graph in _list_graphs(copy):
        for value in graph.initializers.values():
            if value.const_value is not None:
                value.const_value = _widen_tensor(value.const_value, value.name, dtype)
        made = (value for node in graph for value in node.outputs)
        for value in (*graph.inputs, *graph.initializers.values(), *made):
            if value.dtype is not None and value.dtype.name in _NARROWER[dtype]:
                value.type = ir.TensorType(ir.DataType[_NAMES[dtype]])  # a copied value has the type of the other
        for node in graph:
            _widen_attributes(node, dtype)
    return copy


def _widen_tensor(tensor: ir.TensorProtocol, name: str | None, dtype: Wide) -> ir.TensorProtocol:
    import onnx_ir as ir

    if tensor.dtype.name not in _NARROWER[dtype]:
        return tensor
    return ir.tensor(tensor.numpy().astype(dtype), name=name)


def _widen_attributes(node: ir.Node, dtype: Wide) -> None:
    import onnx_ir as ir

    for name, attribute in list(node.attributes.items()):
        if name in _TYPES and attribute.type == ir.AttributeType.INT:
            if ir.DataType(attribute.as_int()).name in _NARROWER[dtype]:
                node.attributes[name] = ir.AttrInt64(name, int(ir.DataType[_NAMES[dtype]]))
        elif attribute.type == ir.AttributeType.TENSOR:
            node.attributes[name] = ir.AttrTensor(name, _widen_tensor(attribute.as_tensor(), None, dtype))


def _list_graphs(model: ir.Model) -> Iterator[ir.Graph]:
    yield model.graph
    yield from model.graph.subgraphs()
