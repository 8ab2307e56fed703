"""Branches that are decided before any image is seen: the one that is taken becomes part of the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx_ir as ir


Array = NDArray[Any]


def take_branches(model: ir.Model, constants: Mapping[str, Array]) -> bool:
    """Puts the nodes of one branch in the place of each `If` whose condition is a constant; returns whether any was.

    Exporters write such where an operation asks for the number of axes, or for sizes, which are those of a window.

    Args:
        model: changed.
        constants: what is computed and does not depend on the image, at window size.
    """
    import onnx_ir.passes.common as passes

    taken = False
    for node in list(model.graph):
        condition = node.inputs[0] if node.op_type == "If" and node.domain == "" else None
        value = _read(condition, constants) if condition is not None else None
        if value is not None and value.size == 1:
            _take(model, node, node.attributes["then_branch" if bool(value.reshape(())) else "else_branch"].as_graph())
            taken = True
    if taken:
        passes.NameFixPass()(model)
    return taken


def _read(value: ir.Value, constants: Mapping[str, Array]) -> Array | None:
    weight: Array | None = value.const_value.numpy() if value.const_value is not None else None
    return constants.get(str(value.name)) if weight is None else weight


def _take(model: ir.Model, node: ir.Node, branch: ir.Graph) -> None:
    made = list(branch.outputs)
    inner = list(branch)
    branch.outputs.clear()
    branch.remove(inner)
    model.graph.insert_before(node, inner)
    for name, weight in list(branch.initializers.items()):
        del branch.initializers[name]
        model.graph.register_initializer(weight)
    for old, new in zip(node.outputs, made, strict=True):
        name = str(old.name)
        if old.is_graph_output():
            model.graph.outputs[model.graph.outputs.index(old)] = new
        old.replace_all_uses_with(new)
        new.name, old.name = name, f"{name}:branch"
    model.graph.remove(node, safe=True)
