"""1-D convolutions along the channels of each cell, as gates of channels by their neighbours have them."""

from __future__ import annotations

from dataclasses import replace

from fullyconv.analyze.build import Build
from fullyconv.analyze.factors import Kind
from fullyconv.analyze.fields import Refusal
from fullyconv.analyze.geometry import Sliding
from fullyconv.analyze.plan import ConvAlongChannels, Layout, Weight
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.graph import Conv1d, Node


@rule(Conv1d)
def carry_convolution_along_channels(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """A 1-D convolution along an axis that is channels stays within each cell; so does its padding.

    Refused: along rows or columns; a weight that depends on the image; padding of one end more than of the other.
    """
    op = node.op
    assert isinstance(op, Conv1d)
    if any(value is not None for value in inputs[1:]):
        return Refusal("its weights depend on the image")
    padding, after = op.padding
    if padding != after:
        return Refusal("pads one end more than the other")
    field = build.prepare(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    kinds = [{factor.kind for factor in axis} for axis in field.axes]
    if len(kinds) != 3 or not kinds[0] <= {Kind.BATCH} or not (kinds[1] | kinds[2]) <= {Kind.CHANNEL}:
        return Refusal("slides along an axis that is not all channels")
    shape = build.constants[node.inputs[1]].shape
    plain = (*shape, 1, 1)
    weight = Weight(node.inputs[1], Layout(plain, (0, 1, 2, 3, 4), plain, plain))
    bias = Weight(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    step = ConvAlongChannels(field.shape[2], op.stride, padding, op.dilation, op.groups)
    tensor = build.emit(node, step, (field.tensor,), (weight, bias))
    sliding = Sliding((shape[2] - 1) * op.dilation + 1, op.stride, padding, padding)
    channels, line = build.make_channel(shape[0]), build.make_channel(sliding.count(field.shape[2]))
    return (replace(field, tensor=tensor, axes=(field.axes[0], channels, line), channels=(*channels, *line)),)
