"""Products of two vectors with a matrix between them, as a bilinear layer has them."""

from __future__ import annotations

from dataclasses import replace

from fullyconv.analyze.build import Build, count_channels, join_lines
from fullyconv.analyze.fields import Field, Refusal
from fullyconv.analyze.plan import Add, ChannelReduce, Layout, Weight
from fullyconv.analyze.rearrangement import Indices, Multiply, Span, TakeChannels
from fullyconv.analyze.rule import Inputs, Outcome, rule
from fullyconv.analyze.spans import describe_axis
from fullyconv.graph import Conv, Node


@rule("aten.bilinear")
def carry_bilinear(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """For each output, a 1x1 convolution of the second value times the first one, summed over its channels.

    Refused: a constant among the two; a weight that depends on the image; along rows or columns, or a part of the
    channels; values of different axes.
    """
    if any(value is None for value in inputs[:2]) or any(value is not None for value in inputs[2:]):
        return Refusal("is no product of two values of the image by constant weights")
    met = build.meet(node, [value for value in inputs if value is not None])
    if isinstance(met, Refusal):
        return met
    if any(not value.is_channel_axis(len(value.axes) - 1) for value in met):
        return Refusal("multiplies along an axis that is not all channels")
    rest = {(value.is_spread, tuple(map(describe_axis, value.axes[:-1]))) for value in met}
    if len(rest) > 1:
        return Refusal("multiplies values whose axes are of different kinds")
    tensor = _multiply(node, met, build)
    channels = build.make_channel(build.constants[node.inputs[2]].shape[0])
    y, x = join_lines(met)
    in_head = any(value.in_head or (len(value.axes) <= 2 and not value.is_spread) for value in met)
    axes = (*met[0].axes[:-1], channels)
    return (replace(met[0], tensor=tensor, axes=axes, channels=channels, y=y, x=x, in_head=in_head),)


def _multiply(node: Node, met: list[Field], build: Build) -> str:
    outputs, first, second = build.constants[node.inputs[2]].shape
    assert (first, second) == (count_channels(met[0]), count_channels(met[1]))
    layout = Layout((outputs * first, second), (0, 1), (outputs * first, second), (outputs * first, second, 1, 1))
    conv = Conv((1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    rows = build.emit(node, conv, (met[1].tensor,), (Weight(node.inputs[2], layout), None))
    places = Indices(tuple(range(first)) * outputs)
    repeated = build.emit(node, TakeChannels(Span(1, first, 1)), (met[0].tensor,), (places,))
    product = build.emit(node, Multiply(), (rows, repeated))
    total = build.emit(node, ChannelReduce("sum", outputs), (product,))
    if len(node.inputs) < 4:
        return total
    bias = Weight(node.inputs[3], Layout((outputs,), (0,), (outputs,), (outputs, 1, 1)))
    return build.emit(node, Add(), (total, bias))
