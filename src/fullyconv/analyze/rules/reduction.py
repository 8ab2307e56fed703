"""Mean, maximum and sum over whole axes."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from fullyconv.analyze.build import Build, contract, count_channels
from fullyconv.analyze.factors import Axes, Axis, Kind, flatten, select
from fullyconv.analyze.fields import Field, Refusal, drop_factors
from fullyconv.analyze.plan import ChannelReduce, Weight
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.analyze.rules.pooling import pool_window
from fullyconv.graph import Conv, Node, Pointwise, Reduce, WindowPool


@rule(Reduce)
def carry_reduction(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """A reduction over rows, columns or both is a pool of the trained size at every cell of the grid.

    Over channels, or some factors of them, it stays within each cell. Over channels and cells, it is one after
    the other. Of a map times a constant for each position, it is a convolution of each channel by that constant.
    Refused: over the batch; of whole numbers and truth values over rows or columns.
    """
    op = node.op
    assert isinstance(op, Reduce)
    weighed = _weigh(node, op, get_field(inputs), build)
    if weighed is not None:
        return (replace(weighed, axes=_drop_axes(weighed.axes, op)),)
    field = build.prepare(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    factors = flatten(tuple(field.axes[axis] for axis in op.axes))
    in_head = field.in_head or field.may_span_window(op.axes)
    channels, area = select(factors, Kind.CHANNEL), select(factors, Kind.Y, Kind.X)
    if select(factors, Kind.BATCH):
        return Refusal("reduces over the batch")
    if area and not node.outputs[0].is_floating:
        return Refusal("pools whole numbers or truth values, which no pool takes")
    if area:
        field = pool_window(node, field, _make_pool(op, field, {factor.kind for factor in area}), build)
    if channels:
        field = _reduce_channels(node, field, channels, build)
    return (replace(field, axes=_drop_axes(field.axes, op), in_head=field.in_head or in_head),)


def _weigh(node: Node, op: Reduce, field: Field, build: Build) -> Field | None:
    """Returns a sum or mean over the window of a map that a constant was multiplied with; None for anything else."""
    factors = flatten(tuple(field.axes[axis] for axis in op.axes))
    area = [factor.size for factor in select(flatten(field.axes), Kind.Y, Kind.X)]
    is_whole = len(factors) == len(area) and {factor.kind for factor in factors} <= {Kind.Y, Kind.X}
    if op.kind == "max" or len(field.affine) != 1 or field.bins or field.parts or field.is_spread or not is_whole:
        return None
    fold, extent = field.affine[0], [cells for cells in field.extent if cells > 1]
    if not isinstance(fold.op, Pointwise) or fold.op.name != "mul" or not fold.constants or area != extent:
        return None
    if {build.constants[fold.constants[0]].dtype, node.outputs[0].dtype} != {build.dtype}:
        return None  # products of two number types, which no convolution takes
    channels = count_channels(field)
    sizes = (*(factor.size for factor in field.channels), *extent)
    full = (*fold.layout.full[: len(fold.layout.full) - len(sizes)], *sizes)
    kernel = Weight(fold.constants[0], replace(fold.layout, full=full, shape=(channels, 1, *field.extent)))
    lines = field.y, field.x
    rows, columns = (build.contraction_step(line, axis) if line.extent > 1 else 1 for axis, line in enumerate(lines))
    conv = Conv((rows, columns), ((0, 0), (0, 0)), (1, 1), channels)
    tensor = build.emit(node, conv, (field.tensor,), (kernel, None))
    if op.kind == "mean":
        tensor = build.emit(node, WindowPool("average", (1, 1), (1, 1), divisor=prod(extent)), (tensor,))
    axes = drop_factors(field.axes, (Kind.Y, Kind.X))
    return Field(tensor, axes, field.channels, contract(field.y, rows), contract(field.x, columns), in_head=True)


def _reduce_channels(node: Node, field: Field, reduced: Axis, build: Build) -> Field:
    op = node.op
    assert isinstance(op, Reduce)
    kept = tuple(factor for factor in field.channels if factor not in reduced)
    field = build.arrange_channels(node, field, (*kept, *reduced))
    step = ChannelReduce(op.kind, prod(factor.size for factor in kept))
    axes = tuple(tuple(factor for factor in axis if factor not in reduced) for axis in field.axes)
    return replace(field, tensor=build.emit(node, step, (field.tensor,)), axes=axes, channels=kept)


def _make_pool(op: Reduce, field: Field, kinds: set[Kind]) -> WindowPool:
    kernel = field.y.extent if Kind.Y in kinds else 1, field.x.extent if Kind.X in kinds else 1
    if op.kind == "max":
        return WindowPool("max", kernel, (1, 1))
    return WindowPool("average", kernel, (1, 1), divisor=1 if op.kind == "sum" else None)


def _drop_axes(axes: Axes, op: Reduce) -> Axes:
    return axes if op.keepdim else tuple(axis for i, axis in enumerate(axes) if i not in op.axes)
