"""Weights that onnxruntime is lent, instead of a file with them within.

A model as bytes is there three times while it is opened: the message, the bytes, and what onnxruntime parses of them.
Each session of the same network does that anew. Lent arrays are read where they lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx_ir as ir

Array = NDArray[Any]

# Smaller weights may be sizes and scales, which onnxruntime looks into before it has the others.
_SMALL_BYTES = 1024

_LENDABLE = frozenset({"float16", "float32", "float64", "bool", "int8", "int16", "int32", "int64", "uint8"})

# What a file would be called; onnxruntime never looks for it, because all that is in it is lent.
_NOWHERE = "lent"


@dataclass(frozen=True, slots=True)
class Lent:
    """A model in two parts.

    Attributes:
        content: the file, without large weights.
        outputs: the names of its outputs.
        arrays: the large weights by name.
    """

    content: bytes
    outputs: tuple[str, ...]
    arrays: dict[str, Array]


def lend_weights(model: ir.Model, extra_outputs: Sequence[str] = ()) -> Lent:
    """Returns a model, which is not changed, with its large weights apart.

    Args:
        model: the model.
        extra_outputs: values of its graph that are to be outputs too.
    """
    import onnx
    import onnx_ir as ir

    graph = model.graph.clone(allow_outer_scope_values=True)
    twin = ir.Model(graph, ir_version=model.ir_version, functions=list(model.functions.values()))
    arrays = {}
    for name, value in graph.initializers.items():
        if value.const_value is not None:
            value.const_value, array = _part(value.const_value, name)
            arrays.update({} if array is None else {name: array})
    proto = ir.to_proto(twin)
    known = {value.name for value in proto.graph.output}
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in extra_outputs if name not in known)
    return Lent(proto.SerializeToString(), tuple(value.name for value in proto.graph.output), arrays)


def _part(tensor: ir.TensorProtocol, name: str) -> tuple[ir.TensorProtocol, Array | None]:
    """Returns a weight as it stands in the file, and its array where that is to be lent."""
    import onnx_ir as ir

    if tensor.nbytes >= _SMALL_BYTES and (array := tensor.numpy()).dtype.name in _LENDABLE:
        place = ir.ExternalTensor(_NOWHERE, 0, array.nbytes, tensor.dtype, name=name, shape=ir.Shape(array.shape))
        return place, np.ascontiguousarray(array)
    is_outside = isinstance(tensor, ir.ExternalTensor)
    return ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=name) if is_outside else tensor, None
