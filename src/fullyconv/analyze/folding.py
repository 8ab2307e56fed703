"""Rows and columns folded into channels, and channels unfolded into rows and columns."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from fullyconv.analyze.factors import Axis, Factor, Kind
from fullyconv.analyze.fields import Field, Refusal, replace_factors
from fullyconv.analyze.geometry import Line, Sliding
from fullyconv.analyze.rearrangement import FoldMap, UnfoldMap
from fullyconv.graph import Node, Pair

if TYPE_CHECKING:
    from fullyconv.analyze.build import Build


def fold_map(node: Node, field: Field, inner: tuple[Axis, Axis], build: Build) -> Field:
    """Returns a settled field on a map with fewer, larger cells; its axes are those from before.

    Args:
        node: the node that folds.
        field: settled.
        inner: for rows and columns, a channel factor that counts the cells which become one, or none.
        build: records the step.
    """
    rows, columns = (prod(factor.size for factor in part) for part in inner)
    tensor = build.emit(node, FoldMap((rows, columns)), (field.tensor,))
    y, x = (
        line.slide(Sliding(size, size, folds=True)) if size > 1 else line
        for line, size in ((field.y, rows), (field.x, columns))
    )
    return replace(field, tensor=tensor, channels=(*field.channels, *inner[0], *inner[1]), y=y, x=x)


def unfold_map(node: Node, field: Field, inner: tuple[Axis, Axis], build: Build) -> Field | Refusal:
    """Returns a settled field on a map with more, smaller cells; its axes are those from before.

    Windows still lie where they lay: the smaller cells of one larger cell are not the same network.
    Refused: cells smaller than a pixel.

    Args:
        node: the node that unfolds.
        field: settled.
        inner: for rows and columns, the channel factors that count the new cells within a cell.
        build: records the steps.
    """
    rows, columns = (prod(factor.size for factor in part) for part in inner)
    lines = refine_lines((field.y, field.x), (rows, columns))
    if isinstance(lines, Refusal):
        return lines
    moved = (*inner[0], *inner[1])
    kept = tuple(factor for factor in field.channels if factor not in moved)
    field = build.arrange_channels(node, field, (*kept, *moved))
    tensor = build.emit(node, UnfoldMap((rows, columns)), (field.tensor,))
    return replace(field, tensor=tensor, channels=kept, y=lines[0], x=lines[1])


def refine_lines(lines: tuple[Line, Line], cells: Pair) -> tuple[Line, Line] | Refusal:
    """Returns rows and columns when each cell becomes `cells` of them; refused: cells smaller than a pixel."""
    if any(line.stride % count for line, count in zip(lines, cells, strict=True)):
        return Refusal("makes cells smaller than a pixel")
    return lines[0].refine(cells[0]), lines[1].refine(cells[1])


def restore_map(node: Node, field: Field, build: Build) -> Field | Refusal:
    """Returns a settled field whose axes have Y and X by themselves where channels followed them directly.

    A reshape merges `(rows, cells within a row)` into one axis of rows, as a pixel shuffle by hand does.
    """
    axes = field.axes
    inner: dict[Kind, Axis] = {Kind.Y: (), Kind.X: ()}
    for axis in field.axes:
        rest = axis[1:]
        if rest and axis[0].kind in inner and all(factor.kind is Kind.CHANNEL for factor in rest):
            inner[axis[0].kind] = rest
            axes = replace_factors(axes, axis, (Factor(axis[0].kind, prod(factor.size for factor in axis)),))
    if axes == field.axes:
        return field
    unfolded = unfold_map(node, field, (inner[Kind.Y], inner[Kind.X]), build)
    return unfolded if isinstance(unfolded, Refusal) else unfolded.with_axes(axes)
