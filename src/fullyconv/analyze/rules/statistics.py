"""Normalisations by a value's own mean and variance: of each cell, or of the window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from fullyconv.analyze.build import Build, count_channels
from fullyconv.analyze.factors import Kind, flatten, select
from fullyconv.analyze.fields import Field, Refusal, layout_for
from fullyconv.analyze.plan import ChannelNorm, SlidingNorm, Weight
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.graph import GroupNorm, Node, Norm, Pair, Shape


@dataclass(frozen=True, slots=True)
class _Statistics:
    """What a normalisation does to a field that has its channels in order.

    Attributes:
        groups: groups of neighbouring channels; each has statistics of its own.
        extent: cells of one window over which the statistics run.
        eps: what is added to the variance.
        weight_shape: of scale and shift, as they meet the field's axes from `weight_axis` on.
        weight_axis: see above.
        axes: those that the statistics run over.
    """

    groups: int
    extent: Pair
    eps: float
    weight_shape: Shape
    weight_axis: int
    axes: range


@rule(Norm)
def carry_layer_norm(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Layer normalisation over the last axes.

    1. Over channels, all of them or groups of them: stays within each cell.
    2. Over rows or columns too: its statistics are the window's, and slide where that approximation was asked for.

    Refused: statistics over the batch; a scale or shift for each position.
    """
    op = node.op
    assert isinstance(op, Norm)
    field = _prepare(node, inputs, build)
    if isinstance(field, Refusal):
        return field
    if op.axes == 1 and field.is_channel_axis(len(field.axes) - 1):
        weights = tuple(Weight(name) if name else None for name in node.inputs[1:])
        tensor = build.emit(node, ChannelNorm(count_channels(field), op.eps), (field.tensor,), weights)
        return (replace(field, tensor=tensor),)
    kept = len(field.axes) - op.axes
    if select(flatten(field.axes[kept:]), Kind.BATCH):
        return Refusal("its statistics run over the batch")
    groups = prod(factor.size for factor in select(flatten(field.axes[:kept]), Kind.CHANNEL))
    statistics = _Statistics(
        groups, _find_extent(field, kept), op.eps, field.shape[kept:], kept, range(kept, len(field.axes))
    )
    return _normalise(node, field, statistics, build)


@rule(GroupNorm)
def carry_group_norm(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Group normalisation, by what lies behind axis 1.

    1. Channels only: stays within each cell.
    2. Rows or columns: its statistics are the window's, and slide where that approximation was asked for.

    Refused: axes in which channels and rows or columns stand before the groups.
    """
    op = node.op
    assert isinstance(op, GroupNorm)
    field = _prepare(node, inputs, build)
    if isinstance(field, Refusal):
        return field
    if select(field.axes[0], Kind.CHANNEL, Kind.Y, Kind.X) or select(flatten(field.axes[1:]), Kind.BATCH):
        return Refusal("its statistics run over the batch")
    if select(field.axes[1], Kind.Y, Kind.X):
        return Refusal("its groups are parts of an axis with rows or columns in it")
    shape = (field.shape[1], *(1 for _ in field.axes[2:]))
    axes = range(1, len(field.axes))
    return _normalise(node, field, _Statistics(op.groups, _find_extent(field, 1), op.eps, shape, 1, axes), build)


def _prepare(node: Node, inputs: Inputs, build: Build) -> Field | Refusal:
    """Returns the prepared field of a norm whose scale and shift are constants."""
    if any(value is not None for value in inputs[1:]):
        return Refusal("its weights depend on the image")
    return build.prepare(node, get_field(inputs))


def _find_extent(field: Field, kept: int) -> Pair:
    """Returns the cells of a window that the axes from `kept` on run over."""
    kinds = {factor.kind for factor in flatten(field.axes[kept:])}
    return field.y.extent if Kind.Y in kinds else 1, field.x.extent if Kind.X in kinds else 1


def _normalise(node: Node, field: Field, statistics: _Statistics, build: Build) -> Outcome:
    """Returns the field after the normalisation; over one cell it is exact, over more it slides or is refused."""
    weights = _lay_out_weights(node, field, statistics, build)
    if isinstance(weights, Refusal):
        return weights
    extent = statistics.extent
    in_head = field.in_head or field.may_span_window(statistics.axes)
    if extent != (1, 1):
        if field.in_head or node.name not in build.aim.spread:
            return Refusal("its statistics are those of a whole window", "" if field.in_head else "own")
        build.note_approximation(node, f"normalises over a sliding window of {extent[0]} x {extent[1]} cells")
    tensor = build.emit(node, SlidingNorm(statistics.groups, extent, statistics.eps), (field.tensor,), weights)
    y = field.y.widen_to_window() if extent[0] > 1 else field.y
    x = field.x.widen_to_window() if extent[1] > 1 else field.x
    return (replace(field, tensor=tensor, y=y, x=x, in_head=in_head),)


def _lay_out_weights(
    node: Node, field: Field, statistics: _Statistics, build: Build
) -> tuple[Weight | None, ...] | Refusal:
    """Returns scale and shift `(C, 1, 1)`, in the order of the field's channels."""
    # Axes that are kept have sizes of 1, so that a scale is repeated for each group.
    layout = layout_for(field, (1,) * statistics.weight_axis + statistics.weight_shape)
    names = node.inputs[1:]
    if layout.shape[1:] != (1, 1):
        arranged = [layout.arrange(build.read_constant(name)) for name in names if name]
        if any((values != values[:, :1, :1]).any() for values in arranged):
            return Refusal("has a scale or shift for each position of the window")
    layout = replace(layout, first_cell=True)
    return tuple(Weight(name, layout) if name else None for name in names)
