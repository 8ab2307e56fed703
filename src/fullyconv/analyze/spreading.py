"""Local approximations: which statistics of the window to replace by sliding ones, so that what needs them is local."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fullyconv.analyze.fields import Field, Refusal
from fullyconv.graph import (
    AdaptivePool,
    Expand,
    Graph,
    Identity,
    Moments,
    Node,
    Permute,
    Pointwise,
    Reduce,
    Regroup,
    Statistic,
    WindowPool,
)

# The names that `convert(..., approximate=...)` takes.
APPROXIMATIONS = ("squeeze-excitation", "spatial-norm")

# What a norm does with a statistic before it meets the map; a gate also mixes channels, or squashes.
_ARITHMETIC = frozenset({
    *("add", "sub", "mul", "div", "rsub", "neg", "pow", "square", "sqrt", "rsqrt", "reciprocal", "abs"),
    *("addcmul", "addcdiv", "clamp", "clamp_min", "clip", "maximum", "to", "_to_copy", "float", "type_as"),
})  # fmt: skip
_POOLS = (Reduce, Statistic, Moments, AdaptivePool, WindowPool)
_KEEPING = (Reduce, Statistic, Moments, Regroup, Permute, Expand, Identity)


def find_spread(
    graph: Graph, fields: Mapping[str, Field], refusals: Mapping[str, Refusal], approximate: frozenset[str]
) -> frozenset[str]:
    """Returns the nodes whose statistics of the window are to slide: norms, and pools that come back to the map.

    Args:
        graph: the classifier.
        fields: of one walk.
        refusals: of the same walk.
        approximate: names of the approximations that may be made.
    """
    producers = {value.name: node for node in graph.nodes for value in node.outputs}
    found: set[str] = set()
    for node in graph.nodes:
        refusal = refusals.get(node.name, Refusal(""))
        if refusal.statistics == "own" and "spatial-norm" in approximate:
            found.add(node.name)
        elif refusal.statistics == "inputs":
            origins = [_trace(name, fields, producers) for name in node.inputs]
            found.update(pool for origin in origins if origin.approximation in approximate for pool in origin.pools)
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a value of the whole window comes from.

    Attributes:
        pools: the pools of the map that it was made from; none for a map.
        approximation: the name under which they may slide.
    """

    pools: frozenset[str]
    approximation: str


def _trace(name: str, fields: Mapping[str, Field], producers: Mapping[str, Node]) -> _Origin:
    pools: set[str] = set()
    waiting, seen = [name], set()
    is_norm = True
    while waiting:
        value = waiting.pop()
        field, node = fields.get(value), producers.get(value)
        if value in seen or node is None or field is None or not (field.in_head and field.is_window_vector):
            continue
        seen.add(value)
        if _pools_map(node, fields):
            pools.add(node.name)
        else:
            is_norm = is_norm and _is_arithmetic(node)
            waiting.extend(node.inputs)
    return _Origin(frozenset(pools), "spatial-norm" if is_norm else "squeeze-excitation")


def _pools_map(node: Node, fields: Mapping[str, Field]) -> bool:
    sources = [fields[used] for used in node.inputs if used in fields]
    pools = isinstance(node.op, _POOLS)
    return pools and all(not source.in_head and not source.is_window_vector for source in sources)


def _is_arithmetic(node: Node) -> bool:
    if isinstance(node.op, Pointwise):
        return node.op.name.rstrip("*") in _ARITHMETIC
    return isinstance(node.op, _KEEPING)
