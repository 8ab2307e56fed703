"""Joining, splitting, slicing and padding along one axis."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from fullyconv.analyze.build import Build, count_channels, join_lines
from fullyconv.analyze.factors import Axes, Factor, Kind, measure, select
from fullyconv.analyze.fields import Field, Refusal, make_map_axes
from fullyconv.analyze.folding import restore_map
from fullyconv.analyze.geometry import Sliding
from fullyconv.analyze.plan import CropMap, SliceChannels
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.analyze.rules.channels import take_channels
from fullyconv.analyze.spans import describe_axis, find_span
from fullyconv.graph import Concat, Gather, Node, Pad, Select, Slice, Split, Unbind


@rule(Concat)
def carry_concat(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Concatenation.

    1. Of channels of maps of one geometry, or of some factors of them: done on the dense tensors.
    2. Of flattened maps of any kind: waits for the linear layer that follows, which reads each by itself.

    Refused: constants among the parts; an axis that is not channels; other axes that differ.
    """
    op = node.op
    assert isinstance(op, Concat)
    if any(value is None for value in inputs):
        return Refusal("joins a constant to the map")
    parts = [value for value in inputs if value is not None]
    flat = op.axis == 1 and all(len(value.axes) == 2 and not value.is_spread for value in parts)
    if flat and not all(map(_is_vector, parts)):
        return (_join_flat(parts, build),)
    met = build.meet(node, parts)
    if isinstance(met, Refusal):
        return met
    rest = {_describe_others(value.axes, op.axis) for value in met}
    joined = [value.axes[op.axis] for value in met]
    if len(rest) > 1 or any(select(axis, Kind.CHANNEL) != axis for axis in joined):
        return Refusal("joins along an axis that is not the channels")
    first = [_put_first(node, value, op.axis, build) for value in met]
    channels = build.make_channel(sum(value.shape[op.axis] for value in met))
    tensor = build.emit(node, Concat(1), tuple(value.tensor for value in first))
    axes = (*met[0].axes[: op.axis], channels, *met[0].axes[op.axis + 1 :])
    kept = first[0].channels[len(joined[0]) :]
    y, x = join_lines(met)
    in_head = any(value.in_head for value in met)
    return (replace(met[0], tensor=tensor, axes=axes, channels=(*channels, *kept), y=y, x=x, in_head=in_head),)


@rule(Split)
def carry_split(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Splitting channels gives slices of the dense tensor; refused: along another axis."""
    op = node.op
    assert isinstance(op, Split)
    field = build.prepare(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    parts, start = [], 0
    for size in op.sizes:
        part = _slice_channels(node, field, Slice(op.axis, start, start + size, 1), build)
        if isinstance(part, Refusal):
            return part
        parts.append(part)
        start += size
    return tuple(parts)


@rule(Slice)
def carry_slice(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """A slice of channels, or of rows or columns, is the same slice of the dense tensor.

    Rows and columns that are cut off at a window's end are cut off at the image's end.
    Refused: the batch; an axis that holds several of them.
    """
    op = node.op
    assert isinstance(op, Slice)
    part = _take(node, inputs, op, build)
    return part if isinstance(part, Refusal) else (part,)


@rule(Select)
def carry_select(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """One index is a slice of one, without its axis; refused like a slice."""
    op = node.op
    assert isinstance(op, Select)
    outcome = _take(node, inputs, Slice(op.axis, op.index, op.index + 1, 1), build)
    if isinstance(outcome, Refusal):
        return outcome
    return (_drop_axis(outcome, op.axis),)


@rule(Unbind)
def carry_unbind(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Each place of an axis of channels, without the axis; refused like a slice."""
    op = node.op
    assert isinstance(op, Unbind)
    parts = []
    for place in range(len(node.outputs)):
        part = _take(node, inputs, Slice(op.axis, place, place + 1, 1), build)
        if isinstance(part, Refusal):
            return part
        parts.append(_drop_axis(part, op.axis))
    return tuple(parts)


@rule(Pad)
def carry_pad(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Padding rows, columns and channels is done on the dense tensor, at the image's border, and noted.

    So is padding some factors of the channels with a number. Padding that wraps around repeats channels.
    Refused: axes of other kinds; after the head began; rows and columns that wrap around.
    """
    op = node.op
    assert isinstance(op, Pad)
    field = build.prepare(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    if op.mode == "circular":
        return _wrap(node, field, op, build)
    padded = [axis for axis, pad in enumerate(op.pads) if pad != (0, 0)]
    if len(padded) == 1 and _is_part(field, padded[0]) and op.mode == "constant":
        return (_pad_part(node, field, op, padded[0], build),)
    places = _find_places(field, op)
    if any(pad != (0, 0) and axis not in places for axis, pad in enumerate(op.pads)):
        return Refusal("pads axes that are not channels, rows and columns")
    channels, y, x = ((0, 0) if place is None else op.pads[place] for place in places)
    lines = build.slide(node, field, (Sliding(1, 1, *y), Sliding(1, 1, *x)))
    if isinstance(lines, Refusal):
        return lines
    tensor = build.emit(node, replace(op, pads=((0, 0), channels, y, x)), (field.tensor,))
    longer = field.channels if channels == (0, 0) else build.make_channel(count_channels(field) + sum(channels))
    axes = list(field.axes)
    sizes = (longer, *make_map_axes((), (), (lines[0].extent, lines[1].extent))[2:])
    for place, pad, axis in zip(places, (channels, y, x), sizes, strict=True):
        if place is not None and pad != (0, 0):
            axes[place] = axis
    return (replace(field, tensor=tensor, axes=tuple(axes), channels=longer, y=lines[0], x=lines[1]),)


def _wrap(node: Node, field: Field, op: Pad, build: Build) -> Outcome:
    for axis, (before, after) in enumerate(op.pads):
        if (before, after) != (0, 0):
            if find_span(field, axis) is None:
                return Refusal("wraps around the window")
            size = field.shape[axis]
            places = tuple(place % size for place in range(-before, size + after))
            field = take_channels(node, field, Gather(axis, places), build)
    return (field,)


def _is_part(field: Field, axis: int) -> bool:
    return find_span(field, axis) is not None and not field.is_channel_axis(axis)


def _pad_part(node: Node, field: Field, op: Pad, axis: int, build: Build) -> Field:
    first = _put_first(node, field, axis, build)
    rest = first.channels[len(field.axes[axis]) :]
    each = prod(factor.size for factor in rest)
    before, after = op.pads[axis]
    pads = ((0, 0), (before * each, after * each), (0, 0), (0, 0))
    tensor = build.emit(node, replace(op, pads=pads), (first.tensor,))
    longer = build.make_channel(field.shape[axis] + before + after)
    axes = (*field.axes[:axis], longer, *field.axes[axis + 1 :])
    return replace(first, tensor=tensor, axes=axes, channels=(*longer, *rest))


def _find_places(field: Field, op: Pad) -> tuple[int | None, int | None, int | None]:
    """Returns the axes that are all channels, rows and columns; of those of size 1, one that is padded."""
    if field.is_standard():  # where they have their places even if there is only one of them
        return 1, 2, 3
    channels = [axis for axis in range(len(field.axes)) if field.is_channel_axis(axis)]
    padded = [axis for axis in channels if op.pads[axis] != (0, 0)]
    return next(iter(padded or channels), None), field.find_axis(Kind.Y), field.find_axis(Kind.X)


def _is_vector(value: Field) -> bool:
    return value.is_window_vector and value.is_settled


def _drop_axis(field: Field, axis: int) -> Field:
    return field.with_axes((*field.axes[:axis], *field.axes[axis + 1 :]))


def _join_flat(parts: list[Field], build: Build) -> Field:
    joint = build.make_channel(sum(value.shape[1] for value in parts))
    axes = (parts[0].axes[0], joint)
    return replace(parts[0], tensor="", axes=axes, channels=joint, bins=None, affine=(), parts=tuple(parts))


def _take(node: Node, inputs: Inputs, op: Slice, build: Build) -> Field | Refusal:
    field = build.prepare(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    if (op.start, op.stop, op.step) == (0, field.shape[op.axis], 1):
        return field
    if {factor.kind for factor in field.axes[op.axis]} == {Kind.CHANNEL}:
        return _slice_channels(node, field, op, build)
    if len(field.axes[op.axis]) > 1:
        restored = restore_map(node, field, build)
        if isinstance(restored, Refusal):
            return restored
        field = build.order_channels(node, restored)
    for kind in (Kind.Y, Kind.X):
        if field.find_axis(kind) == op.axis:
            return _crop(node, field, op, kind, build)
    return Refusal("slices the batch, or an axis that holds several others")


def _slice_channels(node: Node, field: Field, op: Slice, build: Build) -> Field | Refusal:
    axis = field.axes[op.axis]
    if not axis or len(select(axis, Kind.CHANNEL)) != len(axis):
        return Refusal("takes a part of an axis that is not channels")
    first = field.channels.index(axis[0])
    outer = prod(factor.size for factor in field.channels[:first])
    inner = prod(factor.size for factor in field.channels[first + len(axis) :])
    step = SliceChannels(outer, measure((axis,))[0], inner, op.start, op.stop, op.step)
    tensor = build.emit(node, step, (field.tensor,))
    kept = build.make_channel(len(range(op.start, op.stop, op.step)))
    axes = (*field.axes[: op.axis], kept, *field.axes[op.axis + 1 :])
    channels = (*field.channels[:first], *kept, *field.channels[first + len(axis) :])
    return replace(field, tensor=tensor, axes=axes, channels=channels)


def _crop(node: Node, field: Field, op: Slice, kind: Kind, build: Build) -> Field | Refusal:
    after = field.shape[op.axis] - op.stop
    sliding = Sliding(1, op.step, -op.start, -after)
    whole = Sliding()
    slides = (sliding, whole) if kind is Kind.Y else (whole, sliding)
    lines = build.slide(node, field, slides)
    if isinstance(lines, Refusal):
        return lines
    y, x = slides
    crop = CropMap((-y.before, -x.before), (-y.after, -x.after), (y.stride, x.stride))
    tensor = build.emit(node, crop, (field.tensor,))
    extent = lines[0].extent if kind is Kind.Y else lines[1].extent
    kept = (Factor(kind, extent),) if extent > 1 else ()
    axes = (*field.axes[: op.axis], kept, *field.axes[op.axis + 1 :])
    return replace(field, tensor=tensor, axes=axes, y=lines[0], x=lines[1])


def _describe_others(axes: Axes, axis: int) -> tuple[object, ...]:
    return tuple(() if i == axis else describe_axis(factors) for i, factors in enumerate(axes))


def _put_first(node: Node, field: Field, axis: int, build: Build) -> Field:
    """Returns the field with the channels of one axis outermost, so that more of them can follow."""
    mine = field.axes[axis]
    rest = tuple(factor for factor in field.channels if factor not in mine)
    return build.arrange_channels(node, field, (*mine, *rest))
