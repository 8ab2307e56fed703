"""Mean, maximum and sum over whole axes."""

from __future__ import annotations

from dataclasses import replace

from fullyconv.analyze.build import Build
from fullyconv.analyze.factors import Axes, Kind, flatten, select
from fullyconv.analyze.fields import Field, Refusal, drop_factors
from fullyconv.analyze.plan import ChannelReduce
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.analyze.rules.pooling import pool_window
from fullyconv.graph import Node, Reduce, WindowPool


@rule(Reduce)
def carry_reduction(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """A reduction over rows, columns or both is a pool of the trained size at every cell of the grid.

    Over all channels it stays within each cell. Over channels and cells, it is one after the other.
    Refused: over the batch, over a part of the channels.
    """
    op = node.op
    assert isinstance(op, Reduce)
    field = build.prepare(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    factors = flatten(tuple(field.axes[axis] for axis in op.axes))
    channels, area = select(factors, Kind.CHANNEL), select(factors, Kind.Y, Kind.X)
    if select(factors, Kind.BATCH) or (channels and set(channels) != set(field.channels)):
        return Refusal("reduces over the batch, or over a part of the channels")
    if area:
        field = pool_window(node, field, _make_pool(op, field, {factor.kind for factor in area}), build)
    if channels:
        tensor = build.emit(node, ChannelReduce(op.kind), (field.tensor,))
        axes = drop_factors(field.axes, (Kind.CHANNEL,))
        field = replace(field, tensor=tensor, axes=axes, channels=())
    return (field.with_axes(_drop_axes(field.axes, op)),)


def _make_pool(op: Reduce, field: Field, kinds: set[Kind]) -> WindowPool:
    kernel = field.y.extent if Kind.Y in kinds else 1, field.x.extent if Kind.X in kinds else 1
    if op.kind == "max":
        return WindowPool("max", kernel, (1, 1))
    return WindowPool("average", kernel, (1, 1), divisor=1 if op.kind == "sum" else None)


def _drop_axes(axes: Axes, op: Reduce) -> Axes:
    return axes if op.keepdim else tuple(axis for i, axis in enumerate(axes) if i not in op.axes)
