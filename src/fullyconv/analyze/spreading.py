"""Local approximations: which pools over the window to replace by sliding ones so that a gate becomes local."""

from __future__ import annotations

from collections.abc import Mapping

from fullyconv.analyze.fields import Field, Refusal
from fullyconv.graph import AdaptivePool, Graph, Node, Reduce, WindowPool

# The names that `convert(..., approximate=...)` takes.
APPROXIMATIONS = ("squeeze-excitation",)


def find_spread(
    graph: Graph, fields: Mapping[str, Field], refusals: Mapping[str, Refusal], approximate: frozenset[str]
) -> frozenset[str]:
    """Returns the pools over the window whose values come back to the map that they were made from.

    Args:
        graph: the classifier.
        fields: of one walk.
        refusals: of the same walk.
        approximate: names of the approximations that may be made.
    """
    producers = {value.name: node for node in graph.nodes for value in node.outputs}
    found: set[str] = set()
    for node in graph.nodes:
        refusal = refusals.get(node.name)
        if refusal is not None and refusal.approximation in approximate and refusal.approximation:
            for name in node.inputs:
                found |= _find_pools(name, fields, producers)
    return frozenset(found)


def _find_pools(name: str, fields: Mapping[str, Field], producers: Mapping[str, Node]) -> set[str]:
    """Returns the pools that a value of the whole window comes from; none for a map."""
    found: set[str] = set()
    waiting, seen = [name], set()
    while waiting:
        value = waiting.pop()
        field, node = fields.get(value), producers.get(value)
        if value in seen or node is None or field is None or not (field.in_head and field.is_window_vector):
            continue
        seen.add(value)
        sources = [fields[used] for used in node.inputs if used in fields]
        pools = isinstance(node.op, Reduce | AdaptivePool | WindowPool)
        if pools and all(not source.in_head and not source.is_window_vector for source in sources):
            found.add(node.name)
        else:
            waiting.extend(node.inputs)
    return found
