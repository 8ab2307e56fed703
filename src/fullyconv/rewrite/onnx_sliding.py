"""Statistics of the window around each cell as ONNX nodes: local approximations, made on request.

A statistic is that of the window centred at the cell; where that window would reach beyond the image, that of the
nearest window that does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

import onnx_ir as ir

from fullyconv.analyze.plan import SlidingPool, SlidingStatistic
from fullyconv.graph import Pair
from fullyconv.rewrite.onnx_lowering import OnnxLowering


def _lower_pool(low: OnnxLowering) -> ir.Value:
    op: SlidingPool = low.op
    name = "MaxPool" if op.kind == "max" else "AveragePool"
    pooled = low.add(name, low.x, kernel_shape=list(op.extent))
    if op.kind == "average" and op.divisor is not None:
        pooled = low.add("Mul", pooled, low.constants.make_scalar(prod(op.extent) / op.divisor))
    return repeat_borders(low, pooled, op.extent)


def _lower_statistic(low: OnnxLowering) -> ir.Value:
    """The root of a mean of squares, of each channel or of all of them; variances elsewhere."""
    op: SlidingStatistic = low.op
    if op.kind != "norm":
        from fullyconv.rewrite.onnx_moments import lower_spread

        return lower_spread(low)
    per_cell = op.values // prod(op.extent)
    square = low.add("Mul", low.x, low.x)
    if per_cell > 1:
        square = low.add("ReduceMean", square, low.builder.numbers(1), keepdims=1)
    mean = low.add("AveragePool", square, kernel_shape=list(op.extent))
    root = low.add("Sqrt", low.add("Mul", mean, low.constants.make_scalar(op.values)))
    return repeat_borders(low, root, op.extent)


def repeat_borders(low: OnnxLowering, statistic: ir.Value, extent: Pair) -> ir.Value:
    """Returns a statistic of all whole windows as one for each cell: near the border, that of the nearest window."""
    if low.surround is not None:
        return low.surround(statistic, "replicate")
    rows, columns = extent
    pads = [0, 0, (rows - 1) // 2, (columns - 1) // 2, 0, 0, rows // 2, columns // 2]
    return low.add("Pad", statistic, low.builder.numbers(*pads), mode="edge") if any(pads) else statistic


ONNX_SLIDING: Mapping[type, Callable[[OnnxLowering], ir.Value]] = {
    SlidingPool: _lower_pool,
    SlidingStatistic: _lower_statistic,
}
