"""Steps that put values elsewhere, or work along a part of the channels, as ONNX nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from fullyconv.analyze.rearrangement import (
    AlongChannels,
    FoldMap,
    Multiply,
    MultiplyMatrices,
    TakeChannels,
    UnfoldMap,
)
from fullyconv.errors import ModelError
from fullyconv.graph import Upsample
from fullyconv.rewrite.onnx_lowering import OnnxLowering


def _lower_fold(low: OnnxLowering) -> ir.Value:
    """What fills no block at the map's end is cut off."""
    rows, columns = low.op.block
    build, block = low.builder, low.builder.numbers(rows, columns)
    cells = low.add("Div", build.size(low.x), block)
    whole = build.slice(low.x, [2, 3], [0, 0], low.add("Mul", cells, block))
    y, x = (build.slice(cells, [0], [place], [place + 1]) for place in (0, 1))
    shape = [low.add("Shape", low.x, start=1, end=2), y, build.numbers(rows), x, build.numbers(columns)]
    split = low.add("Reshape", whole, low.add("Concat", build.numbers(0), *shape, axis=0))
    moved = low.add("Transpose", split, perm=[0, 1, 3, 5, 2, 4])
    return low.add("Reshape", moved, low.add("Concat", build.numbers(0, -1), cells, axis=0))


def _lower_unfold(low: OnnxLowering) -> ir.Value:
    rows, columns = low.op.block
    build = low.builder
    split = build.reshape_channels(low.x, (-1, rows, columns), low.x)
    moved = low.add("Transpose", split, perm=[0, 1, 4, 2, 5, 3])
    size = low.add("Mul", build.size(low.x), build.numbers(rows, columns))
    return low.add("Reshape", moved, low.add("Concat", build.numbers(0, -1), size, axis=0))


def _lower_upsampling(low: OnnxLowering) -> ir.Value:
    """The coefficient of cubic interpolation is the one that PyTorch has."""
    op: Upsample = low.op
    assert op.times is not None  # its rule refuses that
    array = np.array((1, 1, *op.times), np.float32)
    scales = low.builder.add_weight(f"{low.step.output}:scales", ir.tensor(array, name="scales"))
    if op.kind == "nearest":
        how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return low.add("Resize", low.x, None, scales, mode="nearest", **how)
    return low.add("Resize", low.x, None, scales, mode=op.kind, cubic_coeff_a=-0.75)


def _lower_take(low: OnnxLowering) -> ir.Value:
    """On an axis of its own: OpenVINO folds a permuting Gather of channels into the next Conv the wrong way round."""
    op: TakeChannels = low.op
    span = op.span
    split = low.builder.reshape_channels(low.x, (span.outer, span.size, span.inner), low.x)
    taken = low.add("Gather", split, low.weights[0], axis=2)
    return low.builder.reshape_channels(taken, (-1,), low.x)


def _lower_along(low: OnnxLowering) -> ir.Value:
    op: AlongChannels = low.op
    names = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}
    if op.kind not in names:
        raise ModelError(f"{low.node}: there is no ONNX form for {op.kind} along channels; save the network as .pt2")
    if op.span.is_whole:
        return low.add(names[op.kind], low.x, axis=1)
    split = low.builder.reshape_channels(low.x, (op.span.outer, op.span.size, op.span.inner), low.x)
    return low.builder.reshape_channels(low.add(names[op.kind], split, axis=2), (-1,), low.x)


def _lower_multiply(low: OnnxLowering) -> ir.Value:
    return low.add("Mul", *low.inputs)


def _lower_products(low: OnnxLowering) -> ir.Value:
    """The rows and columns of a map go before the matrices."""
    op: MultiplyMatrices = low.op
    sizes = (op.groups, op.rows, op.inner), (op.groups, op.inner, op.columns)
    first, second = (
        low.add("Transpose", low.builder.reshape_channels(value, size, value), perm=[0, 4, 5, 1, 2, 3])
        for value, size in zip(low.inputs, sizes, strict=True)
    )
    moved = low.add("Transpose", low.add("MatMul", first, second), perm=[0, 3, 4, 5, 1, 2])
    return low.builder.reshape_channels(moved, (-1,), low.x)


ONNX_REARRANGEMENTS: Mapping[type, Callable[[OnnxLowering], ir.Value]] = {
    FoldMap: _lower_fold,
    UnfoldMap: _lower_unfold,
    Upsample: _lower_upsampling,
    TakeChannels: _lower_take,
    AlongChannels: _lower_along,
    Multiply: _lower_multiply,
    MultiplyMatrices: _lower_products,
}
