"""Means and variances, of cells and of the window around each cell, as ONNX nodes.

As for torch, those of windows are differences of running sums, in float64. A window that would reach beyond the image
is replaced by the nearest one that does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from fullyconv.analyze.plan import ChannelRms, ConvAlongChannels, SlidingNorm, SlidingStatistic
from fullyconv.graph import Pair
from fullyconv.rewrite.onnx_builder import TO_THE_END
from fullyconv.rewrite.onnx_lowering import OnnxLowering
from fullyconv.rewrite.onnx_sliding import repeat_borders

_EXACT = int(ir.DataType.DOUBLE)


def lower_spread(low: OnnxLowering) -> ir.Value:
    """Returns the variance or deviation of each group of channels over the window around each cell."""
    op: SlidingStatistic = low.op
    _, variance = _find_moments(low, _center(low, op.groups), op.extent)
    factor = _make_exact(low, op.values / (op.values - op.correction))
    result = low.add("Mul", variance, factor)
    return _finish(low, low.add("Sqrt", result) if op.kind == "deviation" else result, op.extent)


def _lower_norm(low: OnnxLowering) -> ir.Value:
    op: SlidingNorm = low.op
    build = low.builder
    x = _center(low, op.groups)
    if op.extent == (1, 1):
        mean = low.add("ReduceMean", x, build.numbers(2), keepdims=1)
        centred = low.add("Sub", x, mean)
        variance = low.add("ReduceMean", low.add("Mul", centred, centred), build.numbers(2), keepdims=1)
        deviation = low.add("Sqrt", low.add("Add", variance, low.constants.make_scalar(op.eps)))
    else:
        moments = _find_moments(low, x, op.extent)
        exact = low.add("Sqrt", low.add("Add", moments[1], _make_exact(low, op.eps)))
        mean, deviation = (low.add("Unsqueeze", _finish(low, values, op.extent), build.numbers(2))
                           for values in (moments[0], exact))  # fmt: skip
        centred = low.add("Sub", x, mean)
    y = build.reshape_channels(low.add("Div", centred, deviation), (-1,), low.x)
    for op_type, weight in zip(("Mul", "Add"), low.weights, strict=True):
        y = low.add(op_type, y, weight) if weight is not None else y
    return y


def _lower_rms(low: OnnxLowering) -> ir.Value:
    op: ChannelRms = low.op
    build = low.builder
    eps = float(np.finfo(low.image.dtype.numpy()).eps) if op.eps is None else op.eps  # type: ignore[union-attr]
    mean = low.add("ReduceMean", low.add("Mul", low.x, low.x), build.numbers(1), keepdims=1)
    y = low.add("Div", low.x, low.add("Sqrt", low.add("Add", mean, low.constants.make_scalar(eps))))
    (scale,) = low.weights
    return y if scale is None else low.add("Mul", y, low.add("Unsqueeze", scale, build.numbers(1, 2)))


def _lower_conv_along(low: OnnxLowering) -> ir.Value:
    """The channels become the depth of a volume."""
    op: ConvAlongChannels = low.op
    volume = low.builder.reshape_channels(low.x, (-1, op.length), low.x)
    made = low.add(
        "Conv", volume, *(weight for weight in low.weights if weight is not None), strides=[op.stride, 1, 1],
        pads=[op.padding, 0, 0, op.padding, 0, 0], dilations=[op.dilation, 1, 1], group=op.groups,
    )  # fmt: skip
    return low.builder.reshape_channels(made, (-1,), low.x)


def _center(low: OnnxLowering, groups: int) -> ir.Value:
    """Returns `(N, G, C/G, H, W)` without its mean over each image, so that squares do not swallow the variance."""
    split = low.builder.reshape_channels(low.x, (groups, -1), low.x)
    return low.add("Sub", split, low.add("ReduceMean", split, low.builder.numbers(2, 3, 4), keepdims=1))


def _find_moments(low: OnnxLowering, x: ir.Value, extent: Pair) -> tuple[ir.Value, ir.Value]:
    """Returns mean and variance `(N, G, H', W')` of `(N, G, C/G, H, W)` over each whole window in the image."""
    exact, channels = low.add("Cast", x, to=_EXACT), low.builder.numbers(2)
    mean = _average(low, low.add("ReduceMean", exact, channels, keepdims=0), extent)
    squares = low.add("ReduceMean", low.add("Mul", exact, exact), channels, keepdims=0)
    variance = low.add("Sub", _average(low, squares, extent), low.add("Mul", mean, mean))
    return mean, low.add("Max", variance, _make_exact(low, 0.0))


def _average(low: OnnxLowering, x: ir.Value, extent: Pair) -> ir.Value:
    build = low.builder
    for axis, size in ((2, extent[0]), (3, extent[1])):
        if size > 1:
            sums = low.add("CumSum", x, build.number(axis))
            before = [int(place == axis) for place in range(4)]
            sums = low.add("Pad", sums, build.numbers(*before, 0, 0, 0, 0), _make_exact(low, 0.0))
            upper = build.slice(sums, [axis], [size], [TO_THE_END])
            x = low.add("Sub", upper, build.slice(sums, [axis], [0], [-size]))
    return low.add("Div", x, _make_exact(low, float(extent[0] * extent[1])))


def _make_exact(low: OnnxLowering, number: float) -> ir.Value:
    name = f"number:{number:g}:double"
    return low.builder.add_weight(name, ir.tensor(np.array(number, np.float64), name=name))


def _finish(low: OnnxLowering, statistic: ir.Value, extent: Pair) -> ir.Value:
    """Returns a statistic for each cell, in the number type of the image."""
    assert low.image.dtype is not None  # as the writer made it
    return repeat_borders(low, low.add("Cast", statistic, to=int(low.image.dtype)), extent)


ONNX_MOMENTS: Mapping[type, Callable[[OnnxLowering], ir.Value]] = {
    SlidingNorm: _lower_norm,
    ChannelRms: _lower_rms,
    ConvAlongChannels: _lower_conv_along,
}
