"""Regions of a program that torch.export keeps as graphs of their own: put in line, or refused.

A `with torch.autocast(...)` or `torch.set_grad_enabled(...)` inside a forward becomes a higher-order operation that
calls a graph. Gradients change no value, and switched-off autocast is plain arithmetic, so those are put in line.
Switched on, it decides number types while it runs; branches and loops decide by data. Neither can be followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram

from fullyconv.errors import FollowError

_GRAD, _AUTOCAST = "wrap_with_set_grad_enabled", "wrap_with_autocast"

# What these operations take before the graph that they call.
_SETTINGS = {_GRAD: 1, _AUTOCAST: 4}


def inline_regions(program: ExportedProgram) -> None:
    """Puts the regions of a program in line, those within regions too; the program is changed.

    Raises:
        FollowError: a region cannot be followed; the message names it.
    """
    graph_module = program.graph_module
    while regions := list(_find_regions(graph_module.graph)):
        for node in regions:
            _inline(graph_module, node)
    graph_module.recompile()


def _find_regions(graph: fx.Graph) -> Iterator[fx.Node]:
    for node in graph.nodes:
        if isinstance(node.target, torch._ops.HigherOrderOperator):
            yield node


def _inline(graph_module: fx.GraphModule, node: fx.Node) -> None:
    settings, region, arguments = _take_apart(node)
    if node.target.name() == _AUTOCAST and settings[2]:  # type: ignore[union-attr]
        raise FollowError(
            f"{node.name} (torch.autocast): expected a forward that leaves number types alone, got one that "
            "switches autocast on; take it out and run the network under autocast instead"
        )
    body = graph_module.get_submodule(str(region.target))
    assert isinstance(body, fx.GraphModule)
    outputs = _copy_body(graph_module.graph, body, node, arguments)
    for user in list(node.users):  # getitem: a region returns a tuple
        user.replace_all_uses_with(outputs[user.args[1]])
        graph_module.graph.erase_node(user)
    graph_module.graph.erase_node(node)
    if not region.users:
        graph_module.graph.erase_node(region)


def _take_apart(node: fx.Node) -> tuple[Any, fx.Node, Any]:
    """Returns an operation's settings, the node of the graph that it calls, and what it calls it with."""
    name = node.target.name()  # type: ignore[union-attr]
    if name not in _SETTINGS:
        raise FollowError(
            f"{node.name} (torch.{name}): expected a forward that does the same for every image, got one whose "
            "steps depend on data",
            reads_values=True,
        )
    count = _SETTINGS[name]
    region = node.args[count]
    assert isinstance(region, fx.Node)
    return node.args[:count], region, node.args[count + 1 :]


def _copy_body(graph: fx.Graph, body: fx.GraphModule, before: fx.Node, arguments: Any) -> Any:
    """Returns the outputs of a region's operations, copied to `before`."""
    inputs = [inner for inner in body.graph.nodes if inner.op == "placeholder"]
    copies: dict[fx.Node, Any] = dict(zip(inputs, arguments, strict=True))
    with graph.inserting_before(before):
        for inner in body.graph.nodes:
            if inner.op == "get_attr":
                copies[inner] = _move_attribute(graph, before, body, inner)
            elif inner.op == "call_function":
                copies[inner] = graph.node_copy(inner, lambda used: copies[used])
    (result,) = body.graph.output_node().args
    return fx.map_arg(result, lambda used: copies[used])


def _move_attribute(graph: fx.Graph, before: fx.Node, body: fx.GraphModule, inner: fx.Node) -> fx.Node:
    """Returns a node for a graph within a region, kept under a name of its own in the module that calls it."""
    owner, name = before.graph.owning_module, f"{before.name}_{inner.target}"
    assert owner is not None
    owner.add_module(name, body.get_submodule(str(inner.target)))
    return graph.get_attr(name)
