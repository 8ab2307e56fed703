"""Operations that only re-order the book-keeping: reshaping, transposing, and doing nothing."""

from __future__ import annotations

from dataclasses import replace

from fullyconv.analyze.build import Build
from fullyconv.analyze.factors import regroup
from fullyconv.analyze.fields import Field, Refusal, make_map_axes
from fullyconv.analyze.plan import RepeatChannels
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.graph import Expand, Identity, Node, Permute, Regroup, Shape


@rule(Identity)
def carry_identity(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Dropout at evaluation, copies and the like change nothing."""
    return (get_field(inputs),)


@rule(Expand)
def carry_expand(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """An axis of size 1 is repeated.

    1. A value of each cell that has no channels gets them: the dense tensor's only channel is repeated.
    2. A statistic of the window around each cell has its rows and columns already.

    Refused: anything else, such as a value of the whole window for each cell of the map.
    """
    field = get_field(inputs)
    grown = _find_grown(field, node.outputs[0].shape)
    if field.is_spread and len(field.axes) == 4 and set(grown) <= {2, 3}:
        axes = make_map_axes(field.axes[0], field.axes[1], field.extent)
        return (replace(field, axes=axes, is_spread=False),)
    if len(grown) == 1 and not field.channels:
        return _repeat(node, field, grown[0], build)
    return Refusal("a value of the whole window is spread over the map", "inputs")


def _find_grown(field: Field, shape: Shape) -> list[int]:
    """Returns the axes of `shape` that are larger than the value's, or new."""
    first = len(shape) - len(field.axes)
    return [axis for axis, size in enumerate(shape) if axis < first or size != field.shape[axis - first]]


def _repeat(node: Node, field: Field, axis: int, build: Build) -> Outcome:
    ready = build.prepare(node, field)
    if isinstance(ready, Refusal):
        return ready
    shape = node.outputs[0].shape
    channels = build.make_channel(shape[axis])
    axes = [*(() for _ in range(len(shape) - len(ready.axes))), *ready.axes]
    axes[axis] = channels
    tensor = build.emit(node, RepeatChannels(shape[axis]), (ready.tensor,))
    return (replace(ready, tensor=tensor, axes=tuple(axes), channels=channels),)


@rule(Permute)
def carry_permute(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Axes trade places; the dense tensor stays."""
    op = node.op
    assert isinstance(op, Permute)
    field = get_field(inputs)
    return (field.with_axes(tuple(field.axes[axis] for axis in op.order)),)


@rule(Regroup)
def carry_regroup(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Factors are shared out among the new axes; the dense tensor stays.

    Refused: a reshape that splits the batch, the rows or the columns.
    """
    field = get_field(inputs)
    regrouping = regroup(field.axes, node.outputs[0].shape)
    if regrouping is None:
        return Refusal("its reshape splits the batch, the rows or the columns")
    channels = field.channels
    for whole, parts in regrouping.splits:
        if whole in channels:
            place = channels.index(whole)
            channels = (*channels[:place], *parts, *channels[place + 1 :])
    return (replace(field, axes=regrouping.axes, channels=channels),)
