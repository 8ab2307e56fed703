"""Fully connected layers: contractions over channels, or over channels and the window's rows and columns."""

from __future__ import annotations

from math import prod

from fullyconv.analyze.build import Build, contract, count_channels
from fullyconv.analyze.factors import Axis, Kind, select
from fullyconv.analyze.fields import Field, Refusal
from fullyconv.analyze.plan import Layout, RewrittenLayer, ShiftedBias, Weight
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.graph import Conv, Dense, Node, Pair


@rule(Dense)
def carry_dense(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """A fully connected layer is a convolution.

    1. Over channels only: a 1x1 convolution.
    2. Over channels, rows and columns, flattened in any order: a convolution whose kernel is the trained feature
       map's size, its weights re-ordered. An adaptive average pooling and per-position scales fold into it.
    3. Over channels and one of rows and columns: a kernel of one row, or of one column.

    Refused: weights that depend on the image; an axis that leaves channels out, or mixes the batch in.
    """
    if any(value is not None for value in inputs[1:]):
        return Refusal("its weights depend on the image")
    field = get_field(inputs)
    factors = field.axes[-1]
    if set(select(factors, Kind.CHANNEL)) != set(field.channels) or select(factors, Kind.BATCH):
        return Refusal("reads a part of the channels at a time, or the batch")
    kinds = {factor.kind for factor in factors}
    if field.bins and any(select(axis, Kind.Y, Kind.X) for axis in field.axes[:-1]):
        ready = build.settle(node, field)
        return ready if isinstance(ready, Refusal) else carry_dense(node, (ready, *inputs[1:]), build)
    if field.affine and {Kind.Y, Kind.X} - kinds and any(select(a, Kind.Y, Kind.X) for a in field.axes[:-1]):
        return Refusal("a scale and shift for each position comes before it, and it reads only some positions")
    covered = tuple(
        line.extent if kind in kinds or field.bins else 1 for kind, line in ((Kind.Y, field.y), (Kind.X, field.x))
    )
    return (_convolve(node, field, (covered[0], covered[1]), build),)


def _convolve(node: Node, field: Field, kernel: Pair, build: Build) -> Field:
    outputs, features = build.constants[node.inputs[1]].shape
    weight = _make_kernel(node, field, outputs, kernel)
    steps = [
        build.contraction_step(line, axis) if size > 1 else 1
        for axis, (line, size) in enumerate(zip((field.y, field.x), kernel, strict=True))
    ]
    bias = _make_bias(node, field, weight)
    op = Conv((steps[0], steps[1]), ((0, 0), (0, 0)), (1, 1), 1)
    tensor = build.emit(node, op, (field.tensor,), (weight, bias))
    _note(node, field, (outputs, features), kernel, build)
    y, x = (
        contract(line, step) if size > 1 else line
        for line, size, step in zip((field.y, field.x), kernel, steps, strict=True)
    )
    channels = build.make_channel(outputs)
    in_head = field.in_head or max(kernel) > 1 or len(field.axes) <= 2  # a vector has left the map
    return Field(tensor, (*field.axes[:-1], channels), channels, y, x, in_head=in_head)


def _make_kernel(node: Node, field: Field, outputs: int, kernel: Pair) -> Weight:
    """Returns the trained matrix `(K, F)` as a kernel `(K, C, kh, kw)`, in the dense tensor's channel order."""
    factors = field.axes[-1]
    inner: Axis = (*field.channels, *select(factors, Kind.Y), *select(factors, Kind.X))
    view = (outputs, *(factor.size for factor in factors))
    order = (0, *(1 + factors.index(factor) for factor in inner))
    full = tuple(view[i] for i in order)
    rows, columns = (prod(factor.size for factor in select(factors, kind)) for kind in (Kind.Y, Kind.X))
    layout = Layout(view, order, full, (outputs, count_channels(field), rows, columns))
    bins = ((rows, kernel[0]), (columns, kernel[1])) if field.bins else None
    return Weight(node.inputs[1], layout, bins, field.affine)


def _make_bias(node: Node, field: Field, weight: Weight) -> Weight | ShiftedBias | None:
    if field.affine:
        return ShiftedBias(node.inputs[2], weight)
    return Weight(node.inputs[2]) if node.inputs[2] else None


def _note(node: Node, field: Field, old_shape: Pair, kernel: Pair, build: Build) -> None:
    folded = ["adaptive pooling folded in"] if field.bins else []
    folded += ["scale and shift folded in"] if field.affine else []
    new_shape = (old_shape[0], count_channels(field), *kernel)
    name = node.layer or node.name
    build.note_layer(node, RewrittenLayer(name, "linear", old_shape, new_shape, ", ".join(folded)))
