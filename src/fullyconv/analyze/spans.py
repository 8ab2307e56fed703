"""Ranges of neighbouring channels that an axis of a value stands for."""

from __future__ import annotations

from math import prod

from fullyconv.analyze.factors import Axes, Axis, Kind, flatten, select
from fullyconv.analyze.fields import Field
from fullyconv.analyze.rearrangement import Span


def find_span(field: Field, axis: int) -> Span | None:
    """Returns the channels along an axis of a prepared field, None where it has none or anything else."""
    factors = field.axes[axis]
    return make_span(field, axis) if factors and select(factors, Kind.CHANNEL) == factors else None


def make_span(field: Field, axis: int) -> Span:
    """Returns the channels along an axis of a prepared field; at an axis of size 1, where new ones would lie.

    The dense tensor has its channels in the order of the axes, so those of one axis are neighbours.
    """
    return Span(
        _count(field.axes[:axis]), prod(factor.size for factor in field.axes[axis]), _count(field.axes[axis + 1 :])
    )


def describe_axis(axis: Axis) -> tuple[tuple[Kind, int], ...]:
    """Returns the kinds and sizes along an axis, neighbouring channel factors as one."""
    described: list[tuple[Kind, int]] = []
    for factor in axis:
        if described and factor.kind is described[-1][0] is Kind.CHANNEL:
            described[-1] = (factor.kind, described[-1][1] * factor.size)
        else:
            described.append((factor.kind, factor.size))
    return tuple(described)


def _count(axes: Axes) -> int:
    return prod(factor.size for factor in select(flatten(axes), Kind.CHANNEL))
