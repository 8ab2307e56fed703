"""Statistics of the window around each cell, as ATen calls whose cost does not grow with the window.

Everything is computed in float64: running sums are long, and a variance is a difference of means. A statistic is
that of the window centred at the cell; where that window would reach beyond the image, that of the nearest window
that does not. So on an image of one window all cells have the window's own statistic.
"""

from __future__ import annotations

from typing import Any

import torch

from fullyconv.analyze.plan import SlidingNorm, SlidingPool
from fullyconv.capture.calls import Call, Ref
from fullyconv.graph import Pair
from fullyconv.rewrite.lowering import Lowering
from fullyconv.rewrite.program import Instruction

_TO_THE_END = 2**62
_EXACT = {"dtype": torch.float64}
_FIRST = {2: [0, 0, 1, 0], 3: [1, 0]}  # a zero before the first cell of an axis, as aten.constant_pad_nd has it


class _Calls:
    """Calls in order; intermediate results get names of their own."""

    def __init__(self, name: str) -> None:
        self.made: list[Instruction] = []
        self._name = name

    def add(self, target: str, *args: Any, **kwargs: Any) -> Ref:
        """Appends a call and returns its result."""
        result = Ref(f"{self._name}/{len(self.made)}")
        self.made.append(Call(f"aten.{target}", args, kwargs, (result.name,)))
        return result

    def finish(self, result: Ref, like: str) -> list[Instruction]:
        """Returns all calls; the step's output is the result in the number type of another tensor."""
        return [*self.made, Call("aten.type_as.default", (result, Ref(like)), outputs=(self._name,))]

    def sum_boxes(self, x: Ref, extent: Pair) -> Ref:
        """Appends the sums over all windows of `extent` cells: differences of running sums."""
        for axis, size in ((2, extent[0]), (3, extent[1])):
            if size > 1:
                sums = self.add("cumsum.default", x, axis, **_EXACT)
                sums = self.add("constant_pad_nd.default", sums, _FIRST[axis])
                upper = self.add("slice.Tensor", sums, axis, size, _TO_THE_END)
                lower = self.add("slice.Tensor", sums, axis, 0, -size)
                x = self.add("sub.Tensor", upper, lower)
        return x

    def find_maxima(self, x: Ref, extent: Pair) -> Ref:
        """Appends the maxima over all windows: of windows twice as large each time, the last ones overlap."""
        for axis, size in enumerate(extent):
            reached = 1
            while reached < size:
                shift = min(reached, size - reached)
                kernel, dilation = [1, 1], [1, 1]
                kernel[axis], dilation[axis] = 2, shift
                x = self.add("max_pool2d.default", x, kernel, [1, 1], [0, 0], dilation)
                reached += shift
        return x

    def repeat_borders(self, x: Ref, extent: Pair) -> Ref:
        """Appends, for each cell whose window would reach beyond the image, the statistic of the nearest window."""
        rows, columns = extent
        pads = [(columns - 1) // 2, columns // 2, (rows - 1) // 2, rows // 2]
        return self.add("pad.default", x, pads, "replicate") if any(pads) else x


def lower_sliding_pool(low: Lowering) -> list[Instruction]:
    """Returns the pool over the window around each cell."""
    op: SlidingPool = low.op
    calls, x = _Calls(low.step.output), Ref(low.inputs[0])
    if op.kind == "max":
        pooled = calls.find_maxima(x, op.extent)
    else:
        divisor = op.extent[0] * op.extent[1] if op.divisor is None else op.divisor
        pooled = calls.add("div.Tensor", calls.sum_boxes(x, op.extent), divisor)
    return calls.finish(calls.repeat_borders(pooled, op.extent), low.inputs[0])


def lower_sliding_norm(low: Lowering) -> list[Instruction]:
    """Returns each group of channels normalised by the mean and variance of the window around each cell.

    The image's own mean is taken off first, so that squares do not swallow the variance.
    """
    op: SlidingNorm = low.op
    calls = _Calls(low.step.output)
    x = calls.add("unflatten.int", Ref(low.inputs[0]), 1, [op.groups, -1])  # (N, G, C/G, H, W)
    x = calls.add("sub.Tensor", x, calls.add("mean.dim", x, [2, 3, 4], True, **_EXACT))
    mean = calls.add("mean.dim", x, [2])
    square = calls.add("mean.dim", calls.add("mul.Tensor", x, x), [2])
    sums = calls.sum_boxes(calls.add("cat.default", [mean, square], 1), op.extent)
    means = calls.repeat_borders(calls.add("div.Tensor", sums, op.extent[0] * op.extent[1]), op.extent)
    means = calls.add("unflatten.int", means, 1, [2, op.groups, 1])
    mean, square = (calls.add("select.int", means, 1, place) for place in (0, 1))
    variance = calls.add("sub.Tensor", square, calls.add("mul.Tensor", mean, mean))
    variance = calls.add("add.Tensor", calls.add("clamp_min.default", variance, 0.0), op.eps)
    x = calls.add("mul.Tensor", calls.add("sub.Tensor", x, mean), calls.add("rsqrt.default", variance))
    x = calls.add("flatten.using_ints", x, 1, 2)
    for target, weight in zip(("mul.Tensor", "add.Tensor"), low.weights, strict=True):
        x = calls.add(target, x, weight) if weight is not None else x
    return calls.finish(x, low.inputs[0])
