"""Operations that work value by value, with constants or with other values of the image."""

from __future__ import annotations

from dataclasses import replace

from fullyconv.analyze.build import Build, join_lines
from fullyconv.analyze.factors import Axes, Kind
from fullyconv.analyze.fields import Field, Refusal, layout_for
from fullyconv.analyze.plan import AffineFold, Layout, Original, Weight
from fullyconv.analyze.rule import Inputs, Outcome, rule
from fullyconv.analyze.rules.channels import take_channels
from fullyconv.analyze.spans import describe_axis
from fullyconv.graph import Gather, Node, Pointwise, Shape

# x + c, x - c, x * c and x / c are linear in x; c - x and c / x are not told apart here, so they are not folded.
_COMMUTATIVE = ("add", "mul")
_LINEAR = (*_COMMUTATIVE, "sub", "div")


@rule(Pointwise)
def carry_pointwise(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """A value-by-value operation is done on the dense tensors.

    1. One value and numbers: as it is, whatever its axes.
    2. A value and a constant that is the same at all positions: the constant in the dense tensor's order.
    3. A constant that differs between positions: where the operation is linear, it waits to be folded into the
       linear layer that follows.
    4. Several values of the image: cell by cell, where all are maps of one geometry.

    Where channels are missing they are repeated. Refused: a non-linear use of a constant that differs between
    positions; a value of the whole window that meets the map.
    """
    shape = node.outputs[0].shape
    fields = [value for value in inputs if value is not None]
    constants = [name for name, value in zip(node.inputs, inputs, strict=True) if value is None]
    shapes = [(build.constants[name].shape, value.axes) for name in constants for value in fields]
    if any(_varies_over(*pair, Kind.BATCH) for pair in shapes):
        return Refusal("a constant has a value for each image of the batch")
    if len(fields) > 1 and any(_varies_over(*pair, Kind.Y, Kind.X) for pair in shapes):
        return Refusal("a constant that differs between positions meets several values")
    if len(fields) == 1:
        over_positions = [
            name for name in constants if _varies_over(build.constants[name].shape, fields[0].axes, Kind.Y, Kind.X)
        ]
        if over_positions or fields[0].affine:
            if fields[0].shape != shape:
                return Refusal("a constant broadcasts the value to a larger one")
            return _defer(node, inputs, constants, build)
    return _apply(node, inputs, build)


def _apply(node: Node, inputs: Inputs, build: Build) -> Outcome:
    met = build.meet(node, [value for value in inputs if value is not None])
    if isinstance(met, Refusal):
        return met
    leader = _find_leader(met)
    if leader.shape != node.outputs[0].shape or not all(_lies_on(value, leader) for value in met):
        met = [_broadcast(node, value, build) for value in met]
        leader = _find_leader(met)
    if leader.shape != node.outputs[0].shape or not all(_lies_on(value, leader) for value in met):
        return Refusal("its values broadcast to other axes")
    waiting = iter(met)
    operands: list[str | Weight] = []
    for name, value in zip(node.inputs, inputs, strict=True):
        if value is not None:
            operands.append(next(waiting).tensor)
        else:
            operands.append(Weight(name, _lay_out(build.constants[name].shape, leader)))
    tensor = build.emit(node, Original(), tuple(operands))
    y, x = join_lines(met)
    in_head = any(value.in_head for value in met)
    return (replace(leader, tensor=tensor, y=y, x=x, in_head=in_head),)


def _find_leader(met: list[Field]) -> Field:
    return max(met, key=lambda value: (len(value.axes), not value.is_spread, len(value.channels), value.shape))


def _broadcast(node: Node, field: Field, build: Build) -> Field:
    """Returns a prepared field with its axes of size 1 repeated, as channels, to the shape of the node's output."""
    shape = node.outputs[0].shape
    if field.is_spread:
        return field
    field = field.with_axes(((),) * (len(shape) - len(field.axes)) + field.axes)
    for axis, size in enumerate(shape):
        if not field.axes[axis] and size > 1:
            field = take_channels(node, field, Gather(axis, (0,) * size), build)
    return field


def _defer(node: Node, inputs: Inputs, constants: list[str], build: Build) -> Outcome:
    op, value = node.op, next(value for value in inputs if value is not None)
    assert isinstance(op, Pointwise)
    if op.name not in _LINEAR or (inputs[0] is None and op.name not in _COMMUTATIVE):
        return Refusal("a constant that differs between positions comes before an operation that is not linear")
    if len(constants) + len(op.scalars) != 1:
        return Refusal("several constants differ between positions")
    shape = build.constants[constants[0]].shape if constants else ()
    fold = AffineFold(op, tuple(constants), _lay_out(shape, value))
    return (replace(value, affine=(*value.affine, fold)),)


def _lay_out(shape: Shape, field: Field) -> Layout:
    padded = (1,) * (len(field.axes) - len(shape)) + shape
    return layout_for(field, padded)


def _varies_over(shape: Shape, axes: Axes, *kinds: Kind) -> bool:
    aligned = zip(reversed(shape), reversed(axes), strict=False)
    return any(size > 1 and any(factor.kind in kinds for factor in axis) for size, axis in aligned)


def _lies_on(value: Field, leader: Field) -> bool:
    """Returns whether the dense tensors broadcast as the values do: same axes, or all channels missing.

    A statistic of the window around each cell has no rows and columns among its axes, but in its tensor.
    """
    axes: Axes = ((),) * (len(leader.axes) - len(value.axes)) + value.axes
    for mine, other in zip(axes, leader.axes, strict=True):
        kinds, others = describe_axis(mine), describe_axis(other)
        if value.is_spread and not leader.is_spread:
            others = tuple(pair for pair in others if pair[0] not in (Kind.Y, Kind.X))
        if kinds != others and not (
            not value.channels and kinds == tuple(k for k in others if k[0] is not Kind.CHANNEL)
        ):
            return False
    return True
