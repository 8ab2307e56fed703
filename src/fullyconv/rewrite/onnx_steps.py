"""Steps of a plan as ONNX nodes: one short function for each kind of step, which returns the step's output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from fullyconv.analyze.plan import (
    Add,
    BinPool,
    ChannelNorm,
    ChannelReduce,
    CropMap,
    Original,
    ShuffleChannels,
    SliceChannels,
    ToGrid,
)
from fullyconv.errors import ModelError
from fullyconv.graph import ChannelAffine, Concat, Conv, Pad, Softmax, WindowPool
from fullyconv.refine.surroundings import KINDS
from fullyconv.rewrite.kernels import find_bin
from fullyconv.rewrite.onnx_builder import TO_THE_END
from fullyconv.rewrite.onnx_lowering import OnnxLowering, spell_pads
from fullyconv.rewrite.onnx_moments import ONNX_MOMENTS
from fullyconv.rewrite.onnx_rearrangement import ONNX_REARRANGEMENTS
from fullyconv.rewrite.onnx_sliding import ONNX_SLIDING
from fullyconv.rewrite.onnx_statistics import ONNX_STATISTICS

_PAD_MODES = {"replicate": "edge", "circular": "wrap"}


def lower_to_onnx(low: OnnxLowering) -> ir.Value:
    """Appends the nodes of a step and returns its output.

    Raises:
        ModelError: there is no way to write the step in ONNX.
    """
    lowering = _LOWERINGS.get(type(low.op))
    if lowering is None:
        raise ModelError(f"{low.node}: there is no ONNX form for {type(low.op).__name__}; save the network as .pt2")
    return lowering(low)


def _lower_conv(low: OnnxLowering) -> ir.Value:
    op: Conv = low.op
    inputs = [low.x, *low.weights] if low.weights[-1] is not None else [low.x, *low.weights[:-1]]
    return low.add(
        "Conv",
        *inputs,
        strides=list(op.stride),
        pads=spell_pads(op.padding),
        dilations=list(op.dilation),
        group=op.groups,
    )


def _lower_pool(low: OnnxLowering) -> ir.Value:
    """An average by another divisor, such as a sum, is an average that counts all of the kernel, times its cells."""
    op: WindowPool = low.op
    shared = {
        "kernel_shape": list(op.kernel),
        "strides": list(op.stride),
        "pads": spell_pads(op.padding),
        "ceil_mode": int(op.ceil_mode),
    }
    if op.kind == "max":
        return low.add("MaxPool", low.x, **shared, dilations=list(op.dilation))
    if op.divisor is None:
        return low.add("AveragePool", low.x, **shared, count_include_pad=int(op.count_include_pad))
    mean = low.add("AveragePool", low.x, **shared, count_include_pad=1)
    return low.add("Mul", mean, low.constants.make_scalar(op.kernel[0] * op.kernel[1] / op.divisor))


def _lower_batch_norm(low: OnnxLowering) -> ir.Value:
    mean, variance, weight, bias = low.weights
    return low.add("BatchNormalization", low.x, weight, bias, mean, variance, epsilon=low.op.eps)


def _lower_softmax(low: OnnxLowering) -> ir.Value:
    return low.add("LogSoftmax" if low.op.log else "Softmax", low.x, axis=1)


def _lower_concat(low: OnnxLowering) -> ir.Value:
    return low.add("Concat", *low.inputs, axis=1)


def _lower_add(low: OnnxLowering) -> ir.Value:
    total = low.x
    for part in low.inputs[1:]:
        total = low.add("Add", total, part)
    return total


def _lower_pad(low: OnnxLowering) -> ir.Value:
    op, x = low.op, low.x
    assert isinstance(op, Pad)
    if low.surround is not None and op.mode in KINDS:
        x, op = low.surround(x, KINDS[op.mode]), replace(op, pads=(*op.pads[:2], (0, 0), (0, 0)))
        if op.pads[1] == (0, 0):
            return x
    pads = [before for before, _ in op.pads] + [after for _, after in op.pads]
    value = low.constants.make_scalar(op.value) if op.mode == "constant" else None
    inputs = [x, low.builder.numbers(*pads), *([value] if value is not None else [])]
    return low.add("Pad", *inputs, mode=_PAD_MODES.get(op.mode, op.mode))


def _lower_channel_norm(low: OnnxLowering) -> ir.Value:
    """The operator wants a scale in any case."""
    op: ChannelNorm = low.op
    given = low.weights[0]
    scale = given if given is not None else low.constants.make_array(np.ones(op.channels), "scale")
    weights = [scale, *([low.weights[1]] if low.weights[1] is not None else [])]
    if op.blocks == 1:
        last = low.add("Transpose", low.x, perm=[0, 2, 3, 1])
        normal = low.add("LayerNormalization", last, *weights, axis=-1, epsilon=op.eps)
        return low.add("Transpose", normal, perm=[0, 3, 1, 2])
    split = low.builder.reshape_channels(low.x, (op.blocks, op.channels), low.x)
    last = low.add("Transpose", split, perm=[0, 1, 3, 4, 2])
    normal = low.add("LayerNormalization", last, *weights, axis=-1, epsilon=op.eps)
    joined = low.add("Transpose", normal, perm=[0, 1, 4, 2, 3])
    return low.builder.reshape_channels(joined, (op.blocks * op.channels,), low.x)


def _lower_channel_reduce(low: OnnxLowering) -> ir.Value:
    op: ChannelReduce = low.op
    name = {"mean": "ReduceMean", "max": "ReduceMax", "sum": "ReduceSum"}[op.kind]
    if op.kept == 1:
        return low.add(name, low.x, low.builder.numbers(1), keepdims=1)
    split = low.builder.reshape_channels(low.x, (op.kept, -1), low.x)
    return low.add(name, split, low.builder.numbers(2), keepdims=0)


def _lower_shuffle(low: OnnxLowering) -> ir.Value:
    op: ShuffleChannels = low.op
    axes = len(op.sizes)
    split = low.builder.reshape_channels(low.x, op.sizes, low.x)
    moved = low.add("Transpose", split, perm=[0, *(1 + place for place in op.order), axes + 1, axes + 2])
    return low.builder.reshape_channels(moved, (-1,), low.x)


def _lower_slice(low: OnnxLowering) -> ir.Value:
    op: SliceChannels = low.op
    if op.outer == op.inner == 1:
        return low.builder.slice(low.x, [1], [op.start], [op.stop], [op.step])
    split = low.builder.reshape_channels(low.x, (op.outer, op.size, op.inner), low.x)
    part = low.builder.slice(split, [2], [op.start], [op.stop], [op.step])
    return low.builder.reshape_channels(part, (-1,), low.x)


def _lower_crop(low: OnnxLowering) -> ir.Value:
    op: CropMap = low.op
    return low.builder.slice(low.x, [2, 3], op.before, [-after or TO_THE_END for after in op.after], op.step)


def _lower_bins(low: OnnxLowering) -> ir.Value:
    """One pool for each bin: its kernel is the bin, on the map without what lies outside of it in every window."""
    op: BinPool = low.op
    parts = []
    for row in range(op.bins[0]):
        for column in range(op.bins[1]):
            spans = [find_bin(place, op.bins[axis], op.extent[axis]) for axis, place in ((0, row), (1, column))]
            ends = [stop - op.extent[axis] or TO_THE_END for axis, (_, stop) in enumerate(spans)]
            part = low.builder.slice(low.x, [2, 3], [start for start, _ in spans], ends)
            kernel = [stop - start for start, stop in spans]
            name = "MaxPool" if op.kind == "max" else "AveragePool"
            parts.append(low.add(name, part, kernel_shape=kernel, strides=list(op.stride)))
    return low.add("Concat", *parts, axis=1)


def _lower_to_grid(low: OnnxLowering) -> ir.Value:
    op: ToGrid = low.op
    stepped = low.builder.slice(low.x, [2, 3], [0, 0], [TO_THE_END] * 2, op.step) if op.step != (1, 1) else low.x
    return low.builder.slice(stepped, [2, 3], [0, 0], low.builder.count_windows(low.image, low.window, op.stride_px))


def _lower_original(low: OnnxLowering) -> ir.Value:
    """The node itself; what the graph does not name among its inputs are settings, which stay."""
    waiting = list(zip(low.node.inputs, low.inputs, strict=True))
    inputs: list[ir.Value | None] = []
    for value in low.original.inputs:
        if value is None:
            inputs.append(None)
        elif waiting and waiting[0][0] == value.name:
            inputs.append(waiting.pop(0)[1])
        else:
            inputs.append(low.constants.add_plain(str(value.name)))
    return low.builder.copy(low.original, inputs)


_LOWERINGS: Mapping[type, Callable[[OnnxLowering], ir.Value]] = {
    Conv: _lower_conv,
    WindowPool: _lower_pool,
    ChannelAffine: _lower_batch_norm,
    Softmax: _lower_softmax,
    Concat: _lower_concat,
    Add: _lower_add,
    Pad: _lower_pad,
    ChannelNorm: _lower_channel_norm,
    ChannelReduce: _lower_channel_reduce,
    ShuffleChannels: _lower_shuffle,
    SliceChannels: _lower_slice,
    CropMap: _lower_crop,
    BinPool: _lower_bins,
    ToGrid: _lower_to_grid,
    Original: _lower_original,
    **ONNX_REARRANGEMENTS,
    **ONNX_STATISTICS,
    **ONNX_SLIDING,
    **ONNX_MOMENTS,
}
