"""Which feature maps are made of others, cell by cell: patches of those others say all that theirs would."""

from __future__ import annotations

from collections.abc import Sequence

from fullyconv.graph import (
    AdaptivePool,
    Conv,
    DepthToSpace,
    Graph,
    Node,
    Opaque,
    Pad,
    SpaceToDepth,
    Upsample,
    WindowPool,
)
from fullyconv.patches import Overlap, Patches, TransposedConv

# What reads other cells, or pads, or counts cells anew: a patch of its input is not enough for a patch of it.
_SLIDING = (
    *(AdaptivePool, Conv, DepthToSpace, Opaque, Overlap, Pad, Patches),
    *(SpaceToDepth, TransposedConv, Upsample, WindowPool),
)


def find_derived(graph: Graph, names: Sequence[str]) -> frozenset[str]:
    """Returns those of some values that are made of the others, and of constants, without sliding over cells.

    Args:
        graph: the classifier.
        names: of values of its trunk, where windows are cut.
    """
    producers = {value.name: node for node in graph.nodes for value in node.outputs}
    return frozenset(name for name in names if _is_made_of(name, {*names} - {name}, graph, producers))


def _is_made_of(name: str, others: set[str], graph: Graph, producers: dict[str, Node]) -> bool:
    known, waiting = others | graph.constants.keys() | {""}, [name]
    while waiting:
        node = producers.get(waiting.pop())  # None for the image
        if node is None or isinstance(node.op, _SLIDING):
            return False
        waiting.extend({*node.inputs} - known)
        known.update(node.inputs)
    return True
