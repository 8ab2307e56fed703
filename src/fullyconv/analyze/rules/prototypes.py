"""How near each cell's channels are to constant vectors: by their angle, or by their distance."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from fullyconv.analyze.build import Build
from fullyconv.analyze.factors import Axes, Axis
from fullyconv.analyze.fields import Field, Refusal
from fullyconv.analyze.likeness import CosineSimilarity, Distance
from fullyconv.analyze.plan import Layout, Weight
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.graph import Node, Opaque, Operation, Shape


@rule("aten.cosine_similarity")
def carry_cosine(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """The cosine between all channels and constant vectors is a 1x1 convolution of unit vectors.

    Refused: vectors that depend on the image; along rows or columns, or a part of the channels; constants that do
    not hold one value for each channel, that differ along an axis of the map, or of another number type.
    """
    assert isinstance(node.op, Opaque)
    if all(value is not None for value in inputs):
        return Refusal("compares values of the image with each other")
    place = 0 if inputs[0] is not None else 1
    field = build.prepare(node, get_field(inputs, place))
    if isinstance(field, Refusal):
        return field
    attributes, vectors = dict(node.op.attributes), build.constants[node.inputs[1 - place]]
    if vectors.dtype != node.outputs[0].dtype:
        return Refusal("compares vectors of different number types")
    rank, shape = len(node.outputs[0].shape) + 1, vectors.shape
    axes: Axes = ((),) * (rank - len(field.axes)) + field.axes
    shape = (1,) * (rank - len(shape)) + shape
    dim = int(attributes["dim"]) % rank  # type: ignore[call-overload]
    if not _fits(field, axes, shape, dim):
        return Refusal("compares something else than all channels with constant vectors")
    others = tuple(axis for axis in range(rank) if axis != dim)
    count = prod(shape[axis] for axis in others)
    ordered = Layout(shape, (*others, dim), tuple(shape[axis] for axis in (*others, dim)), (count, shape[dim], 1, 1))
    step = CosineSimilarity(float(attributes["eps"]))  # type: ignore[arg-type]
    found = _compare(node, field, step, Weight(vectors.name, ordered), build)
    new = {axis: build.make_channel(shape[axis]) for axis in others}
    channels = tuple(factor for axis in others for factor in new[axis])
    return (replace(found, axes=tuple(axes[axis] or new[axis] for axis in others), channels=channels),)


def _fits(field: Field, axes: Axes, shape: Shape, dim: int) -> bool:
    whole = bool(axes[dim]) and set(axes[dim]) == set(field.channels)
    size = prod(factor.size for factor in axes[dim])
    spread = any(axis and count > 1 for i, (axis, count) in enumerate(zip(axes, shape, strict=True)) if i != dim)
    return whole and shape[dim] == size and not spread


@rule("aten.cdist")
def carry_distance(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Distances of all channels from constant vectors stay within each cell.

    Refused: vectors that depend on the image, or differ within the batch; along rows or columns, or a part of the
    channels.
    """
    assert isinstance(node.op, Opaque)
    if inputs[0] is None or inputs[1] is not None:
        return Refusal("takes distances from values of the image")
    field = build.prepare(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    shape = build.constants[node.inputs[1]].shape
    if len(shape) > len(field.axes) or any(size > 1 for size in shape[:-2]):
        return Refusal("takes distances from other vectors for each value of an axis")
    if not field.axes[-1] or not field.is_channel_axis(len(field.axes) - 1):
        return Refusal("takes distances along an axis that is not all channels")
    matrix = shape[-2:]
    step = Distance(float(dict(node.op.attributes)["p"]))  # type: ignore[arg-type]
    vectors = Weight(node.inputs[1], Layout(matrix, (0, 1), matrix, matrix))
    channels: Axis = build.make_channel(matrix[0])
    found = _compare(node, field, step, vectors, build)
    return (replace(found, axes=(*field.axes[:-1], channels), channels=channels),)


def _compare(node: Node, field: Field, step: Operation, vectors: Weight, build: Build) -> Field:
    """Returns the field after a step over all channels; its axes are those from before."""
    tensor = build.emit(node, step, (field.tensor,), (vectors,))
    left_map = len(field.axes) <= 2 and not field.is_spread
    return replace(field, tensor=tensor, in_head=field.in_head or left_map)
