"""Which parts of the graph run densely, which on windows, and where windows are cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fullyconv.analyze.factors import Axis, Kind
from fullyconv.analyze.fields import Field
from fullyconv.graph import Graph, Identity, Node, Pad, Pair, Permute, Regroup, Select, Slice, Split, Unbind

# What only moves values, or puts constants around them: there is no arithmetic in it to share.
_ARRANGING = (Identity, Pad, Permute, Regroup, Select, Slice, Split, Unbind)


@dataclass(frozen=True, slots=True)
class Selection:
    """The parts of a graph.

    Attributes:
        windowed: names of the nodes that run on windows.
        cuts: values with a field that those nodes read.
        feature_maps: values of the trunk that the head reads.
    """

    windowed: frozenset[str]
    cuts: tuple[str, ...]
    feature_maps: tuple[str, ...]


def select_parts(graph: Graph, fields: Mapping[str, Field], stride: Pair) -> Selection:
    """Returns the least that must run on windows: what has no field, back to settled fields.

    A map that a reshape folded to cells further apart than windows are, as one partitioned for attention, is
    cut before that. So is one that was only arranged: nothing is lost, what the head pads is then each window's
    own border as in a crop, and three parts of a tensor are one cut. So is one with cells of padding alone, as one
    padded to whole blocks for attention: on the image those cells are other windows' own.

    Args:
        graph: the classifier.
        fields: of the last walk.
        stride: pixels between neighbouring windows.
    """

    def can_cut(name: str) -> bool:
        field = fields.get(name)
        fits = field is not None and not (stride[0] % field.period[0] or stride[1] % field.period[1])
        return field is not None and _is_settled(field) and (fits or not field.is_folded) and not pads_cells(field)

    def pads_cells(field: Field) -> bool:
        return field.y.pads_cells(graph.window[0]) or field.x.pads_cells(graph.window[1])

    def is_arranged(name: str) -> bool:
        node = producers.get(name)
        if node is None or not isinstance(node.op, _ARRANGING):
            return False
        return can_cut(node.inputs[0]) or is_arranged(node.inputs[0])

    producers = {value.name: node for node in graph.nodes for value in node.outputs}
    windowed: set[str] = set()
    cuts: dict[str, None] = {}
    waiting = [name for name in graph.outputs if not _is_settled(fields.get(name))]
    while waiting:
        name = waiting.pop()
        if can_cut(name) and not is_arranged(name):
            cuts[name] = None
        elif name in producers and producers[name].name not in windowed:
            node = producers[name]
            windowed.add(node.name)
            waiting.extend(reversed([used for used in node.inputs if used in producers or used in fields]))
    maps = _find_feature_maps(graph, fields, producers, windowed)
    return Selection(frozenset(windowed), tuple(cuts), maps)


def find_needed(graph: Graph) -> list[Node]:
    """Returns the nodes that the outputs depend on, in order."""
    producers = {value.name: node for node in graph.nodes for value in node.outputs}
    needed: set[str] = set()
    waiting = list(graph.outputs)
    while waiting:
        node = producers.get(waiting.pop())
        if node is not None and node.name not in needed:
            needed.add(node.name)
            waiting.extend(node.inputs)
    return [node for node in graph.nodes if node.name in needed]


def _is_settled(field: Field | None) -> bool:
    # A statistic of the window around each cell has more cells than the value has: windows cut the map before it.
    return field is not None and field.is_settled and not field.is_spread


def _find_feature_maps(
    graph: Graph, fields: Mapping[str, Field], producers: Mapping[str, Node], windowed: set[str]
) -> tuple[str, ...]:
    def in_head(name: str, node: Node) -> bool:
        field = fields.get(name)
        return node.name in windowed or field is None or field.in_head

    found: dict[str, None] = {}
    for node in find_needed(graph):
        if in_head(node.outputs[0].name, node):
            trunk = [name for name in node.inputs if name in fields and not _is_head(name, fields, producers, windowed)]
            found.update(dict.fromkeys(map_ for name in trunk for map_ in _step_back(name, fields, producers)))
    for name in graph.outputs:
        if not _is_head(name, fields, producers, windowed):
            found.update(dict.fromkeys(_step_back(name, fields, producers)))
    return tuple(found)


def _is_head(name: str, fields: Mapping[str, Field], producers: Mapping[str, Node], windowed: set[str]) -> bool:
    field = fields.get(name)
    return field is None or field.in_head or (name in producers and producers[name].name in windowed)


def _step_back(name: str, fields: Mapping[str, Field], producers: Mapping[str, Node]) -> list[str]:
    """Returns the latest values at or before `name` that are maps of the trunk with rows and columns of their own."""
    field = fields[name]
    if name not in producers or (field.is_settled and not field.in_head and _has_own_axes(field)):
        return [name]
    used = [before for before in producers[name].inputs if before in fields]
    return [map_ for before in used for map_ in _step_back(before, fields, producers)]


def _has_own_axes(field: Field) -> bool:
    def is_plain(axis: Axis) -> bool:
        return len(axis) == 1 or all(factor.kind in (Kind.BATCH, Kind.CHANNEL) for factor in axis)

    return all(is_plain(axis) for axis in field.axes)
