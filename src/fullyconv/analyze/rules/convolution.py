"""Convolutions slide over the map as they are."""

from __future__ import annotations

from dataclasses import replace

from fullyconv.analyze.build import Build, contract
from fullyconv.analyze.fields import Field, Refusal, make_map_axes
from fullyconv.analyze.geometry import Sliding
from fullyconv.analyze.plan import Layout, RewrittenLayer, Weight
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.graph import Conv, Node


@rule(Conv)
def carry_convolution(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Convolution.

    1. Of a map: the same convolution of the dense map; padding is noted.
    2. Of all bins of an adaptive average pool at once: the pool folds into its kernel, as into a linear layer's.

    Refused: axes that are not `(N, C, H, W)`; a weight that depends on the image; padding after the head began.
    """
    op = node.op
    assert isinstance(op, Conv)
    if any(value is not None for value in inputs[1:]):
        return Refusal("its weights depend on the image")
    if _covers_bins(node, op, get_field(inputs), build):
        return (_fold_bins(node, get_field(inputs), build),)
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


def _covers_bins(node: Node, op: Conv, field: Field, build: Build) -> bool:
    """Returns whether it reads all bins of a waiting adaptive pool, like a linear layer after a flatten."""
    kernel = build.constants[node.inputs[1]].shape[2:]
    plain = op.padding == ((0, 0), (0, 0)) and op.dilation == (1, 1) and op.groups == 1
    return plain and field.bins == kernel and field.is_standard() and not field.affine


def _fold_bins(node: Node, field: Field, build: Build) -> Field:
    field = build.order_channels(node, field)
    shape = build.constants[node.inputs[1]].shape
    layout = Layout(shape, (0, 1, 2, 3), shape, shape)
    kernel = Weight(node.inputs[1], layout, ((shape[2], field.y.extent), (shape[3], field.x.extent)))
    steps = build.contraction_step(field.y, 0), build.contraction_step(field.x, 1)
    bias = Weight(node.inputs[2]) if node.inputs[2] else None
    tensor = build.emit(node, Conv(steps, ((0, 0), (0, 0)), (1, 1), 1), (field.tensor,), (kernel, bias))
    note = RewrittenLayer(
        node.layer or node.name, "convolution", shape, (*shape[:2], *field.extent), "adaptive pooling folded in"
    )
    build.note_layer(node, note)
    channels = build.make_channel(shape[0])
    axes = make_map_axes(field.axes[0], channels, (1, 1))
    return Field(tensor, axes, channels, contract(field.y, steps[0]), contract(field.x, steps[1]), in_head=True)
