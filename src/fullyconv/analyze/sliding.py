"""Statistics of the window around each cell of a map: local approximations, made on request."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from fullyconv.analyze.build import Build, count_channels, drop_map
from fullyconv.analyze.factors import Kind
from fullyconv.analyze.fields import Field, drop_factors
from fullyconv.analyze.plan import SlidingPool, SlidingStatistic
from fullyconv.graph import Node, Operation, Statistic, WindowPool


def slide_pool(node: Node, field: Field, op: WindowPool, build: Build) -> Field:
    """Returns the pool over the window around each cell, with neither rows nor columns among its axes."""
    build.note_approximation(node, f"pools {_describe(field)}")
    return _spread(node, field, SlidingPool(op.kind, field.extent, op.divisor), build)


def slide_statistic(node: Node, field: Field, op: Statistic, build: Build, *, over_channels: bool) -> Field | None:
    """Returns a statistic of the window around each cell; None where there is no way to slide it.

    That of two neighbouring windows has most values in common: sums and sums of squares can make use of it.
    """
    channels = count_channels(field)
    groups = 1 if over_channels else channels
    values = prod(field.extent) * channels // groups
    if op.kind == "norm" and op.parameter == 2:
        step = SlidingStatistic("norm", groups, field.extent, values)
    elif op.kind in ("variance", "deviation") and values > op.parameter:
        step = SlidingStatistic(op.kind, groups, field.extent, values, op.parameter)
    else:
        return None
    build.note_approximation(node, f"takes the {op.kind} of {_describe(field)}")
    field = _spread(node, field, step, build)
    return replace(field, axes=drop_factors(field.axes, (Kind.CHANNEL,)), channels=()) if over_channels else field


def _describe(field: Field) -> str:
    return f"a sliding window of {field.extent[0]} x {field.extent[1]} cells"


def _spread(node: Node, field: Field, op: Operation, build: Build) -> Field:
    tensor = build.emit(node, op, (field.tensor,))
    y, x = field.y.widen_to_window(), field.x.widen_to_window()
    return drop_map(replace(field, tensor=tensor, y=y, x=x, is_spread=True))
