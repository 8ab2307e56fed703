"""Transposed convolutions: each cell becomes several, and kernels may overlap there."""

from __future__ import annotations

from dataclasses import replace

from fullyconv.analyze.build import Build
from fullyconv.analyze.fields import Refusal, make_map_axes
from fullyconv.analyze.plan import Add, Layout, Weight
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.analyze.rules.patches import add_up_columns
from fullyconv.graph import Conv, Node
from fullyconv.patches import TransposedConv


@rule(TransposedConv)
def carry_transposed(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """A 1x1 convolution makes a column of what each cell adds, and the columns are added up.

    Where the kernel is as large as the stride nothing overlaps, and columns become blocks of cells.
    Refused: axes that are not `(N, C, H, W)`; a weight that depends on the image; after the head began; what adding up
    columns refuses.
    """
    op = node.op
    assert isinstance(op, TransposedConv)
    if any(value is not None for value in inputs[1:]):
        return Refusal("its weights depend on the image")
    field = build.prepare_map(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    if field.in_head or field.is_spread:
        return Refusal("makes cells finer after the head began")
    inner, outputs, *kernel = build.constants[node.inputs[1]].shape
    view = (op.groups, inner // op.groups, outputs, *kernel)
    columns = op.groups * outputs * kernel[0] * kernel[1]
    layout = Layout(view, (0, 2, 3, 4, 1), (*view[:1], *view[2:], view[1]), (columns, view[1], 1, 1))
    conv = Conv((1, 1), ((0, 0), (0, 0)), (1, 1), op.groups)
    tensor = build.emit(node, conv, (field.tensor,), (Weight(node.inputs[1], layout), None))
    laid = replace(field, tensor=tensor, channels=build.make_channel(columns))
    made = add_up_columns(node, laid, op.patches, op.size, build)
    if isinstance(made, Refusal):
        return made
    channels = build.make_channel(op.groups * outputs)
    tensor = made.tensor
    if node.inputs[2]:
        bias = Layout((op.groups * outputs,), (0,), (op.groups * outputs,), (op.groups * outputs, 1, 1))
        tensor = build.emit(node, Add(), (tensor, Weight(node.inputs[2], bias)))
    axes = make_map_axes(field.axes[0], channels, made.extent)
    return (replace(made, tensor=tensor, axes=axes, channels=channels),)
