"""From the fields and steps of the last walk to the Plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fullyconv.analyze.build import Build
from fullyconv.analyze.factors import Kind, flatten, select
from fullyconv.analyze.fields import Field
from fullyconv.analyze.plan import Activation, Cut, FeatureMap, Output, Plan, Step
from fullyconv.analyze.selection import Selection, find_needed
from fullyconv.errors import ModelError
from fullyconv.graph import Graph, Identity, Node, Pair, Pointwise, Regroup, Shape, Softmax, Value
from fullyconv.grid import Grid


def finish_plan(
    graph: Graph, build: Build, fields: Mapping[str, Field], selection: Selection, reasons: tuple[str, ...]
) -> Plan:
    """Returns the Plan: outputs brought to the grid, what is not needed dropped, the figures of the report."""
    grid_stride = build.aim.grid_stride
    assert grid_stride is not None  # set for the last walk
    ends = [_find_activation(graph, name) for name in graph.outputs]
    outputs = tuple(
        replace(_make_output(graph, build, fields, name), activation=end.activation, activation_axis=end.axis)
        for name, end in zip(graph.outputs, ends, strict=True)
    )
    logits = tuple(
        output if end.logits == output.value else _make_output(graph, build, fields, end.logits)
        for output, end in zip(outputs, ends, strict=True)
    )
    cuts = tuple(_make_cut(grid_stride, fields[name], name) for name in selection.cuts)
    read = {output.tensor for output in (*outputs, *logits)} | {cut.tensor for cut in cuts}
    steps = _keep_needed(build.record.steps, read)
    dense_nodes = {step.node for step in steps}
    lines = [fields[name] for name in (*selection.cuts, *(output.value for output in outputs if output.tensor))]
    padding = tuple(reason for node, reason in build.record.padding if node in dense_nodes)
    approximations = tuple(how for node, how in build.record.approximations if node in dense_nodes)
    maps = tuple(_make_feature_map(fields[name], name) for name in selection.feature_maps)
    return Plan(
        grid=Grid(graph.window, grid_stride, maps[0].extent if maps else graph.window),
        steps=steps,
        cuts=cuts,
        windowed=tuple(node.name for node in graph.nodes if node.name in selection.windowed),
        outputs=outputs,
        logits=logits,
        feature_maps=maps,
        guarantee="approximation" if approximations else "feature windows" if padding else "image crops",
        padding=padding,
        reasons=reasons,
        approximations=approximations,
        layers=tuple(layer for node, layer in build.record.layers if node in dense_nodes),
        shared_flops=_find_shared_share(graph, selection),
        margins_px=_find_margins(lines, graph.window, grid_stride),
        align=build.record.align,
    )


@dataclass(frozen=True, slots=True)
class _End:
    """How an output ends: the value before its own last activation, the activation, and a softmax's axis."""

    logits: str
    activation: Activation = "none"
    axis: int = 1


def _find_activation(graph: Graph, name: str) -> _End:
    producers = {value.name: node for node in graph.nodes for value in node.outputs}
    node: Node | None = producers.get(name)
    while node is not None and isinstance(node.op, Identity | Regroup):
        node = producers.get(node.inputs[0])
    if node is None or _drop_ones(node.outputs[0]) != _drop_ones(producers[name].outputs[0]):
        return _End(name)  # an activation of another shape, such as a softmax of each of several groups
    if isinstance(node.op, Pointwise) and node.op.name == "sigmoid":
        return _End(node.inputs[0], "sigmoid")
    if isinstance(node.op, Softmax) and not node.op.log and node.outputs[0].shape[node.op.axis] > 1:
        before = node.outputs[0].shape[1 : node.op.axis]
        return _End(node.inputs[0], "softmax", 1 + sum(size > 1 for size in before))
    return _End(name)


def _make_output(graph: Graph, build: Build, fields: Mapping[str, Field], name: str) -> Output:
    value = next(value for node in graph.nodes for value in node.outputs if value.name == name)
    node = next(node for node in graph.nodes if value in node.outputs)
    field = fields.get(name)
    _check_batch(graph, value, field)
    inner = _drop_ones(value)
    if field is None or not field.is_settled or field.is_spread:
        return Output(name, "", (), (), inner, is_floating=value.is_floating)
    if not field.is_window_vector:
        field = build.pool_bins(node, field, "max", field.extent)  # bins of one cell: the cells as channels
    assert build.aim.grid_stride is not None  # set for the last walk
    field = build.bring_to_grid(node, field, build.aim.grid_stride)
    sizes = tuple(factor.size for factor in field.channels)
    order = tuple(field.channels.index(factor) for factor in field.logical_channels)
    return Output(name, field.tensor, sizes, order, inner, is_floating=value.is_floating)


def _drop_ones(value: Value) -> Shape:
    """Returns the shape of one window's values, without axes of size 1; one is left."""
    return tuple(size for size in value.shape[1:] if size > 1) or (1,)


def _check_batch(graph: Graph, value: Value, field: Field | None) -> None:
    """Scores are given image by image, so a model must give its outputs so too."""
    is_first = value.shape[:1] == (graph.batch,)
    if field is not None and graph.batch > 1:
        is_first = bool(field.axes) and {factor.kind for factor in field.axes[0]} == {Kind.BATCH}
    if not is_first:
        raise ModelError(f"the model's output {value.name}: expected the batch first, got the shape {value.shape}")


def _make_cut(grid_stride: Pair, field: Field, name: str) -> Cut:
    step = (grid_stride[0] // field.y.stride, grid_stride[1] // field.x.stride)
    sizes = tuple(factor.size for factor in field.channels)
    factors = flatten(field.axes)
    area = [factor for kind in (Kind.Y, Kind.X) for factor in select(factors, kind)]
    places = {factor: 1 + place for place, factor in enumerate((*field.channels, *area))}
    order = tuple(places.get(factor, 0) for factor in factors)
    batch_axis = next((i for i, axis in enumerate(field.axes) if select(axis, Kind.BATCH)), 0)
    order = order if 0 in order else (0, *order)  # a batch of one has no factor; it is the first axis
    return Cut(name, field.tensor, field.extent, step, sizes, order, field.shape, batch_axis)


def _make_feature_map(field: Field, name: str) -> FeatureMap:
    axes = field.find_axis(Kind.Y), field.find_axis(Kind.X)
    return FeatureMap(name, field.shape, *axes, field.extent, field.stride)


def _keep_needed(steps: list[Step], ends: set[str]) -> tuple[Step, ...]:
    needed, kept = set(ends), []
    for step in reversed(steps):
        if step.output in needed:
            kept.append(step)
            needed.update(used for used in step.inputs if isinstance(used, str))
    return tuple(reversed(kept))


def _find_shared_share(graph: Graph, selection: Selection) -> float:
    nodes = find_needed(graph)
    total = sum(node.macs for node in nodes)
    windowed = sum(node.macs for node in nodes if node.name in selection.windowed)
    return 1.0 if not total else 1 - windowed / total


def _find_margins(fields: list[Field], window: Pair, stride: Pair) -> tuple[Pair, Pair]:
    """Returns the pixels outside a window that its values depend on; the first ones rounded up to the stride."""
    margins = []
    for axis in (0, 1):
        lines = [(field.y, field.x)[axis] for field in fields]
        before = max((-line.first for line in lines), default=0)
        after = max((line.last + (line.extent - 1) * line.stride - window[axis] for line in lines), default=0)
        margins.append((-(-max(before, 0) // stride[axis]) * stride[axis], max(after, 0)))
    return margins[0], margins[1]
