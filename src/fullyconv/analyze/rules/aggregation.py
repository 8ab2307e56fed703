"""Norms, variances and other reductions over whole axes that are no pools."""

from __future__ import annotations

from dataclasses import replace

from fullyconv.analyze.build import Build, contract, count_channels
from fullyconv.analyze.factors import Axes, Kind, flatten, select
from fullyconv.analyze.fields import Field, Refusal, drop_factors
from fullyconv.analyze.geometry import Line
from fullyconv.analyze.plan import ChannelRms, RewrittenLayer, Weight, WindowStatistic
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.analyze.rules.reduction import carry_reduction
from fullyconv.analyze.sliding import slide_statistic
from fullyconv.graph import Moments, Node, Reduce, RmsNorm, Statistic


@rule(Statistic)
def carry_statistic(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """A statistic over all channels stays within each cell; over rows, columns or both it is that of each window.

    It is taken of each window by itself, at every cell of the grid, by the classifier's own operation: sums that
    windows share, such as those of squares, would lose digits.
    Refused: over the batch, over a part of the channels.
    """
    op = node.op
    assert isinstance(op, Statistic)
    field = build.prepare(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    factors = flatten(tuple(field.axes[axis] for axis in op.axes))
    channels = select(factors, Kind.CHANNEL)
    if select(factors, Kind.BATCH) or (channels and set(channels) != set(field.channels)):
        return Refusal("takes a statistic over the batch, or over a part of the channels")
    return (_take(node, field, {factor.kind for factor in factors}, build),)


@rule(Moments)
def carry_moments(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """A variance or deviation, and the mean: both as if they stood alone; refused where one of them is."""
    op = node.op
    assert isinstance(op, Moments)
    spread = carry_statistic(replace(node, op=op.spread), inputs, build)
    mean = carry_reduction(replace(node, op=Reduce("mean", op.spread.axes, op.spread.keepdim)), inputs, build)
    if isinstance(spread, Refusal) or isinstance(mean, Refusal):
        return spread if isinstance(spread, Refusal) else mean
    return (*spread, *mean)


@rule(RmsNorm)
def carry_rms_norm(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Division by the root mean square of all channels stays within each cell.

    Refused: over rows or columns too; a scale that depends on the image.
    """
    op = node.op
    assert isinstance(op, RmsNorm)
    if inputs[1] is not None:
        return Refusal("its weights depend on the image")
    field = build.prepare(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    if op.axes != 1 or not field.is_channel_axis(len(field.axes) - 1):
        return Refusal("its mean square is that of a whole window")
    scale = Weight(node.inputs[1]) if node.inputs[1] else None
    tensor = build.emit(node, ChannelRms(count_channels(field), op.eps), (field.tensor,), (scale,))
    return (replace(field, tensor=tensor),)


def _take(node: Node, field: Field, kinds: set[Kind], build: Build) -> Field:
    op = node.op
    assert isinstance(op, Statistic)
    if node.name in build.aim.spread and _covers_window(field, kinds):
        slid = slide_statistic(node, field, op, build, over_channels=Kind.CHANNEL in kinds)
        if slid is not None:
            return slid.with_axes(_drop_axes(slid.axes, op))
    y, rows, row_step = _contract(field.y, 0, Kind.Y in kinds, build)
    x, columns, column_step = _contract(field.x, 1, Kind.X in kinds, build)
    step = WindowStatistic(op.kind, op.parameter, (rows, columns), (row_step, column_step), Kind.CHANNEL in kinds)
    tensor = build.emit(node, step, (field.tensor,))
    in_head = field.in_head or field.may_span_window(op.axes)
    if kinds & {Kind.Y, Kind.X}:
        name, kind, in_head = node.layer or node.name, f"{op.kind} of the whole window", True
        build.note_layer(node, RewrittenLayer(name, kind, node.outputs[0].shape[1:], (rows, columns)))
    axes = _drop_axes(drop_factors(field.axes, tuple(kinds)), op)
    channels = () if Kind.CHANNEL in kinds else field.channels
    return replace(field, tensor=tensor, axes=axes, channels=channels, y=y, x=x, in_head=in_head)


def _covers_window(field: Field, kinds: set[Kind]) -> bool:
    return all(kind in kinds or line.extent == 1 for kind, line in ((Kind.Y, field.y), (Kind.X, field.x)))


def _contract(line: Line, axis: int, is_done: bool, build: Build) -> tuple[Line, int, int]:
    """Returns one axis of the map after the statistic, the cells that it covers and the cells between two of them."""
    if not is_done:
        return line, 1, 1
    step = build.contraction_step(line, axis)
    return contract(line, step), line.extent, step


def _drop_axes(axes: Axes, op: Statistic) -> Axes:
    return axes if op.keepdim else tuple(axis for place, axis in enumerate(axes) if place not in op.axes)
