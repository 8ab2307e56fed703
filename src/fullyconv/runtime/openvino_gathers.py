"""Puts what a Gather picks by constant numbers behind an axis of its own.

OpenVINO moves a Gather that reorders channels into the weights of the convolution behind it, by the inverse order
(seen in 2026.4). An axis of size 1 before the channels keeps the two apart, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto


def lift_gathers(proto: ModelProto) -> None:
    """Changes each Gather of a list of constant numbers along any axis but the first; its outputs stay the same.

    Args:
        proto: of opset 13 or newer.
    """
    _lift_all(proto.graph, frozenset(), "fullyconv:lifted")


def _lift_all(graph: GraphProto, outer: Set[str], prefix: str) -> None:
    import numpy as np
    from onnx import numpy_helper

    lists = outer | set(_find_lists(graph))
    nodes = []
    for place, node in enumerate(graph.node):
        name = f"{prefix}:{place}"
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _lift_all(attribute.g, lists, name)
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
        if node.op_type == "Gather" and axis != 0 and node.input[1] in lists:
            new = axis if axis > 0 else axis - 1
            graph.initializer.append(numpy_helper.from_array(np.array([new]), f"{name}:axis"))
            nodes += _lift(node, axis + 1 if axis > 0 else axis, name)
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _lift(node: NodeProto, axis: int, name: str) -> list[NodeProto]:
    """Returns a Gather along `axis`, the number that its axis has when there is one more before it."""
    from onnx import helper

    return [
        helper.make_node("Unsqueeze", [node.input[0], f"{name}:axis"], [f"{name}:apart"]),
        helper.make_node("Gather", [f"{name}:apart", node.input[1]], [f"{name}:picked"], axis=axis),
        helper.make_node("Squeeze", [f"{name}:picked", f"{name}:axis"], list(node.output), node.name),
    ]


def _find_lists(graph: GraphProto) -> Iterator[str]:
    """Yields the names of constants that have one axis."""
    yield from (weight.name for weight in graph.initializer if len(weight.dims) == 1)
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value" and len(attribute.t.dims) == 1:
                yield node.output[0]
