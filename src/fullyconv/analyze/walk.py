"""Graph -> Plan: one walk over the nodes finds the grid, a second one decides."""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm

from fullyconv.analyze.build import Build
from fullyconv.analyze.factors import Factor, Kind, flatten
from fullyconv.analyze.fields import Field, Refusal, make_map_axes
from fullyconv.analyze.finish import finish_plan
from fullyconv.analyze.geometry import Line
from fullyconv.analyze.plan import Plan
from fullyconv.analyze.rule import find_rule
from fullyconv.analyze.selection import Selection, select_parts
from fullyconv.errors import ModelError
from fullyconv.graph import Conv, Graph, Node, Pair, WindowPool


@dataclass(frozen=True, slots=True)
class Walk:
    """What one walk found.

    Attributes:
        build: the steps recorded.
        fields: of the values that are the same for each window.
        refusals: the reason, for each node whose rule refused it; nodes that come after such a node have none.
        strides: nominal pixels between neighbouring cells of each value, wherever it runs.
    """

    build: Build
    fields: dict[str, Field]
    refusals: dict[str, str]
    strides: dict[str, Pair]


def make_plan(graph: Graph) -> Plan:
    """Returns how the classifier becomes a dense network. Never refuses: what is not local runs on windows.

    Raises:
        ModelError: the image is not `(N, C, height, width)`.
    """
    if len(graph.image.shape) != 4:
        raise ModelError(f"the model's input: expected (N, C, height, width), got {graph.image.shape}")
    first = _walk(graph, None)
    stride = _find_grid_stride(graph, first)
    second = _walk(graph, stride)
    selection = select_parts(graph, second.fields)
    return finish_plan(graph, second.build, second.fields, selection, _explain(graph, second, selection))


def _walk(graph: Graph, grid_stride: Pair | None) -> Walk:
    build = Build(graph.window, graph.constants, grid_stride)
    walk = Walk(build, {graph.image.name: _make_image_field(graph, build)}, {}, {graph.image.name: (1, 1)})
    for node in graph.nodes:
        _handle(node, walk)
        strides = _find_strides(node, walk)
        walk.strides.update(dict.fromkeys((value.name for value in node.outputs), strides))
    return walk


def _make_image_field(graph: Graph, build: Build) -> Field:
    batch, channels = graph.image.shape[:2]
    batch_axis = (Factor(Kind.BATCH, batch),) if batch > 1 else ()
    channel_axis = build.make_channel(channels)
    lines = Line(graph.window[0]), Line(graph.window[1])
    axes = make_map_axes(batch_axis, channel_axis, graph.window)
    return Field(graph.image.name, axes, channel_axis, *lines)


def _handle(node: Node, walk: Walk) -> None:
    known = walk.build.constants.keys() | {""}
    if any(name not in walk.fields and name not in known for name in node.inputs):
        return
    inputs = tuple(walk.fields.get(name) for name in node.inputs)
    mark = walk.build.mark()
    try:
        outcome = find_rule(node)(node, inputs, walk.build)
    except LookupError as error:
        outcome = Refusal(str(error))
    if isinstance(outcome, Refusal):
        walk.build.forget(mark)
        walk.refusals[node.name] = outcome.reason
        return
    for value, field in zip(node.outputs, outcome, strict=False):
        if field.shape != value.shape and _drops_batch(field):
            raise AssertionError(f"{node}: the rule gives {field.shape}, the model {value.shape}")
        walk.fields[value.name] = field


def _drops_batch(field: Field) -> bool:
    return any(factor.kind is Kind.BATCH for factor in flatten(field.axes))


def _find_strides(node: Node, walk: Walk) -> Pair:
    """Returns the nominal stride of a node's outputs: its field's, or the inputs' times what the operation adds."""
    field = walk.fields.get(node.outputs[0].name)
    if field is not None:
        return field.stride
    strides = [walk.strides[name] for name in node.inputs if name in walk.strides] or [(1, 1)]
    y, x = max(s[0] for s in strides), max(s[1] for s in strides)
    if isinstance(node.op, Conv | WindowPool):
        return y * node.op.stride[0], x * node.op.stride[1]
    return y, x


def _find_grid_stride(graph: Graph, walk: Walk) -> Pair:
    selection = select_parts(graph, walk.fields)
    strides = [walk.strides[name] for name in graph.outputs]
    strides += [walk.fields[name].stride for name in selection.cuts]
    return lcm(*(stride[0] for stride in strides)), lcm(*(stride[1] for stride in strides))


def _explain(graph: Graph, walk: Walk, selection: Selection) -> tuple[str, ...]:
    """Returns the reasons of the refusals that made part of the network run on windows."""
    return tuple(
        f"{node}: {walk.refusals[node.name]}"
        for node in graph.nodes
        if node.name in selection.windowed and node.name in walk.refusals
    )
