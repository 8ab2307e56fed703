"""Convolutions slide over the map as they are."""

from __future__ import annotations

from dataclasses import replace

from fullyconv.analyze.build import Build
from fullyconv.analyze.fields import Refusal, make_map_axes
from fullyconv.analyze.geometry import Sliding
from fullyconv.analyze.plan import Weight
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.graph import Conv, Node


@rule(Conv)
def carry_convolution(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """A convolution of a map is the same convolution of the dense map; padding is noted.

    Refused: axes that are not `(N, C, H, W)`; a weight that depends on the image; padding after the head began.
    """
    op = node.op
    assert isinstance(op, Conv)
    if any(value is not None for value in inputs[1:]):
        return Refusal("its weights depend on the image")
    field = build.prepare_map(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    weight = build.constants[node.inputs[1]].shape
    kernels = [(size - 1) * d + 1 for size, d in zip(weight[2:], op.dilation, strict=True)]
    slides = [
        Sliding(kernel, stride, before, after)
        for kernel, stride, (before, after) in zip(kernels, op.stride, op.padding, strict=True)
    ]
    lines = build.slide(node, field, (slides[0], slides[1]))
    if isinstance(lines, Refusal):
        return lines
    if field.is_spread and max(kernels) > 1:
        return Refusal("its kernel reaches beside a statistic of the window")
    bias = Weight(node.inputs[2]) if node.inputs[2] else None
    tensor = build.emit(node, op, (field.tensor,), (Weight(node.inputs[1]), bias))
    channels = build.make_channel(weight[0])
    size = (1, 1) if field.is_spread else (lines[0].extent, lines[1].extent)
    axes = make_map_axes(field.axes[0], channels, size)
    return (replace(field, tensor=tensor, axes=axes, channels=channels, y=lines[0], x=lines[1]),)
