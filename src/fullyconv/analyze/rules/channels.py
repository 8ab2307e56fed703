"""Operations along the channels that put them in another order, or work on each cell by itself."""

from __future__ import annotations

from dataclasses import replace

from fullyconv.analyze.build import Build, join_lines
from fullyconv.analyze.enlargement import enlarge_map, find_repetition
from fullyconv.analyze.factors import Axis, Kind, flatten, select
from fullyconv.analyze.fields import Field, Refusal
from fullyconv.analyze.rearrangement import AlongChannels, Indices, TakeChannels
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.analyze.spans import describe_axis, find_span, make_span
from fullyconv.graph import Concat, Gather, Node, Opaque, Stack, Upsample


@rule(Gather)
def carry_gather(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Channels by their numbers, in any order: a flip, a roll, a repetition. An axis of size 1 can be repeated too.

    So can each row or column. Refused: rows, columns or the batch in another order.
    """
    op = node.op
    assert isinstance(op, Gather)
    field = build.prepare(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    if field.axes[op.axis] and find_span(field, op.axis) is None:
        return _repeat_cells(node, field, op, build)
    return (take_channels(node, field, op, build),)


def _repeat_cells(node: Node, field: Field, op: Gather, build: Build) -> Outcome:
    times = find_repetition(op, field.shape[op.axis])
    places = field.find_axis(Kind.Y), field.find_axis(Kind.X)
    if times is None or op.axis not in places:
        return Refusal("puts rows, columns or the batch in another order")
    both = tuple(times if place == op.axis else 1 for place in places)
    larger = enlarge_map(node, field, Upsample("nearest", (both[0], both[1])), build)
    if isinstance(larger, Refusal):
        return larger
    cells = replace(field.axes[op.axis][0], size=len(op.indices))
    return (larger.with_axes((*field.axes[: op.axis], (cells,), *field.axes[op.axis + 1 :])),)


def take_channels(node: Node, field: Field, op: Gather, build: Build) -> Field:
    """Returns a prepared field with the channels of one axis by their numbers."""
    span = make_span(field, op.axis)
    tensor = build.emit(node, TakeChannels(span), (field.tensor,), (Indices(op.indices),))
    taken = build.make_channel(len(op.indices))
    return _put(replace(field, tensor=tensor), op.axis, taken)


@rule(Stack)
def carry_stack(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """A new axis of channels; refused: constants among the parts, axes that differ."""
    op = node.op
    assert isinstance(op, Stack)
    if any(value is None for value in inputs):
        return Refusal("joins a constant to the map")
    met = build.meet(node, [value for value in inputs if value is not None])
    if isinstance(met, Refusal):
        return met
    if len({tuple(map(describe_axis, value.axes)) for value in met}) > 1:
        return Refusal("stacks values whose axes are of different kinds")
    tensor = build.emit(node, Concat(1), tuple(value.tensor for value in met))
    new = build.make_channel(len(met))
    axes = (*met[0].axes[: op.axis], new, *met[0].axes[op.axis :])
    y, x = join_lines(met)
    in_head = any(value.in_head for value in met)
    return (replace(met[0], tensor=tensor, axes=axes, channels=(*new, *met[0].channels), y=y, x=x, in_head=in_head),)


@rule("aten.cumsum", "aten.glu")
def carry_along(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Sums so far, or one half of the channels gated by the other; refused: along rows or columns."""
    assert isinstance(node.op, Opaque)
    attributes = dict(node.op.attributes)
    field = build.prepare(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    if attributes.get("dtype") is not None:
        return Refusal("changes the number type")
    dim = attributes["dim"]
    assert isinstance(dim, int)
    axis = dim % max(len(field.axes), 1)
    span = find_span(field, axis)
    if span is None:
        return Refusal("works along an axis that is not channels")
    kind = node.source.removeprefix("aten.")
    tensor = build.emit(node, AlongChannels(kind, span), (field.tensor,))  # type: ignore[arg-type]
    if kind == "cumsum":
        return (replace(field, tensor=tensor),)
    return (_put(replace(field, tensor=tensor), axis, build.make_channel(span.size // 2)),)


def _put(field: Field, axis: int, new: Axis) -> Field:
    """Returns a prepared field with other channels along one axis; the dense tensor has them already."""
    axes = (*field.axes[:axis], new, *field.axes[axis + 1 :])
    return replace(field, axes=axes, channels=select(flatten(axes), Kind.CHANNEL))
