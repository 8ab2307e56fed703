"""Statistics of cells and of windows as ONNX nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx_ir as ir

from fullyconv.analyze.plan import ChannelPool, WindowStatistic
from fullyconv.errors import ModelError
from fullyconv.rewrite.onnx_builder import TO_THE_END
from fullyconv.rewrite.onnx_lowering import OnnxLowering

_NAMES = {
    ("min", 0.0): "ReduceMin",
    ("product", 0.0): "ReduceProd",
    ("norm", 1.0): "ReduceL1",
    ("norm", 2.0): "ReduceL2",
    ("logsumexp", 0.0): "ReduceLogSumExp",
}


def _lower_statistic(low: OnnxLowering) -> ir.Value:
    """Each cell of a window becomes a shifted copy of the map; the statistic runs over the copies."""
    op: WindowStatistic = low.op
    name = _NAMES.get((op.kind, op.parameter), op.kind)
    if name not in (*_NAMES.values(), "variance", "deviation"):
        raise ModelError(f"{low.node}: there is no ONNX form for {op.kind} of windows; save the network as .pt2")
    copies = []
    for row in range(op.extent[0]):
        for column in range(op.extent[1]):
            ends = [place + 1 - size or TO_THE_END for place, size in zip((row, column), op.extent, strict=True)]
            part = low.builder.slice(low.x, [2, 3], [row, column], ends, op.stride)
            copies.append(low.add("Unsqueeze", part, low.builder.numbers(1)))
    axes = (1, 2) if op.over_channels else (1,)
    taken = _take(low, name, low.add("Concat", *copies, axis=1), axes)
    return low.add("Unsqueeze", taken, low.builder.numbers(1)) if op.over_channels else taken


def _take(low: OnnxLowering, name: str, joined: ir.Value, axes: tuple[int, ...]) -> ir.Value:
    """Returns a statistic over some axes; a variance is the mean square of what is left without the mean."""
    op: WindowStatistic = low.op
    places = low.builder.numbers(*axes)
    if name not in ("variance", "deviation"):
        return low.add(name, joined, places, keepdims=0)
    centred = low.add("Sub", joined, low.add("ReduceMean", joined, places, keepdims=1))
    squares = low.add("ReduceSum", low.add("Mul", centred, centred), places, keepdims=0)
    sizes = low.add("Gather", low.add("Shape", joined), places)
    count = low.add("CastLike", low.add("ReduceProd", sizes, keepdims=0), joined)
    variance = low.add("Div", squares, low.add("Sub", count, low.constants.make_scalar(op.parameter)))
    return low.add("Sqrt", variance) if name == "deviation" else variance


def _lower_channel_pool(low: OnnxLowering) -> ir.Value:
    """The channels take the place of the columns."""
    op: ChannelPool = low.op
    pool = op.pool
    last = low.add("Transpose", low.x, perm=[0, 2, 3, 1])
    shared = {
        "kernel_shape": [1, pool.kernel],
        "strides": [1, pool.stride],
        "pads": [0, pool.padding, 0, pool.padding],
        "ceil_mode": int(pool.ceil_mode),
    }
    if pool.kind == "max":
        pooled = low.add("MaxPool", last, **shared, dilations=[1, pool.dilation])
    else:
        pooled = low.add("AveragePool", last, **shared, count_include_pad=int(pool.count_include_pad))
    return low.add("Transpose", pooled, perm=[0, 3, 1, 2])


ONNX_STATISTICS: Mapping[type, Callable[[OnnxLowering], ir.Value]] = {
    WindowStatistic: _lower_statistic,
    ChannelPool: _lower_channel_pool,
}
