"""Statistics of the window around each cell, as ATen calls whose cost does not grow with the window.

Statistics are computed in float64: running sums are long, and a variance is a difference of means. A statistic is
that of the window centred at the cell; where that window would reach beyond the image, that of the nearest window
that does not. So on an image of one window all cells have the window's own statistic.
"""

from __future__ import annotations

from typing import Any

import torch

from fullyconv.analyze.plan import SlidingNorm, SlidingPool, SlidingStatistic
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

    def average_boxes(self, x: Ref, extent: Pair, divisor: int | None = None) -> Ref:
        """Appends the averages over all windows, whose sum a divisor may take in place of the number of cells."""
        return self.add("div.Tensor", self.sum_boxes(x, extent), divisor or extent[0] * extent[1])

    def find_maxima(self, x: Ref, extent: Pair) -> Ref:
        """Appends the maxima over all windows: of windows twice as large each time, the last ones overlap."""
        for axis, size in ((2, extent[0]), (3, extent[1])):
            reached = 1
            while reached < size:
                shift = min(reached, size - reached)
                later = self.add("slice.Tensor", x, axis, shift, _TO_THE_END)
                x = self.add("maximum.default", self.add("slice.Tensor", x, axis, 0, -shift), later)
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
    pooled = calls.find_maxima(x, op.extent) if op.kind == "max" else calls.average_boxes(x, op.extent, op.divisor)
    return calls.finish(calls.repeat_borders(pooled, op.extent), low.inputs[0])


def lower_sliding_norm(low: Lowering) -> list[Instruction]:
    """Returns each group of channels normalised by the mean and variance of the window around each cell.

    The image's own mean is taken off first, so that squares do not swallow the variance.
    """
    op: SlidingNorm = low.op
    calls, like = _Calls(low.step.output), Ref(low.inputs[0])
    x = calls.add("unflatten.int", like, 1, [op.groups, -1])  # (N, G, C/G, H, W)
    x = calls.add("sub.Tensor", x, calls.add("mean.dim", x, [2, 3, 4], True))
    mean, variance = _find_moments(calls, x, op.extent)
    scale = calls.add("rsqrt.default", calls.add("add.Tensor", variance, op.eps))
    mean, scale = (_spread(calls, statistic, like, op) for statistic in (mean, scale))
    x = calls.add("mul.Tensor", calls.add("sub.Tensor", x, mean), scale)
    x = calls.add("flatten.using_ints", x, 1, 2)
    for target, weight in zip(("mul.Tensor", "add.Tensor"), low.weights, strict=True):
        x = calls.add(target, x, weight) if weight is not None else x
    return calls.finish(x, low.inputs[0])


def lower_sliding_statistic(low: Lowering) -> list[Instruction]:
    """Returns a statistic of each group of channels over the window around each cell."""
    op: SlidingStatistic = low.op
    calls, like = _Calls(low.step.output), Ref(low.inputs[0])
    x = calls.add("unflatten.int", like, 1, [op.groups, -1])
    if op.kind == "norm":
        square = _average_squares(calls, calls.add("to.dtype", x, torch.float64), op.extent)
        result = calls.add("mul.Tensor", calls.add("clamp_min.default", square, 0.0), op.values)
    else:
        x = calls.add("sub.Tensor", x, calls.add("mean.dim", x, [2, 3, 4], True))
        _, variance = _find_moments(calls, x, op.extent)
        result = calls.add("mul.Tensor", variance, op.values / (op.values - op.correction))
    result = result if op.kind == "variance" else calls.add("sqrt.default", result)
    return calls.finish(calls.repeat_borders(result, op.extent), low.inputs[0])


def _find_moments(calls: _Calls, x: Ref, extent: Pair) -> tuple[Ref, Ref]:
    """Appends mean and variance `(N, G, H', W')` of `x` `(N, G, C/G, H, W)` over each whole window in the image."""
    exact = calls.add("to.dtype", x, torch.float64)
    mean = calls.average_boxes(calls.add("mean.dim", exact, [2]), extent)
    square = _average_squares(calls, exact, extent)
    variance = calls.add("sub.Tensor", square, calls.add("mul.Tensor", mean, mean))
    return mean, calls.add("clamp_min.default", variance, 0.0)


def _average_squares(calls: _Calls, exact: Ref, extent: Pair) -> Ref:
    square = calls.add("mean.dim", calls.add("mul.Tensor", exact, exact), [2])
    return calls.average_boxes(square, extent)


def _spread(calls: _Calls, statistic: Ref, like: Ref, op: SlidingNorm) -> Ref:
    """Appends a statistic `(N, G, H', W')` as one `(N, G, 1, H, W)` for each cell, in another tensor's number type."""
    spread = calls.repeat_borders(calls.add("type_as.default", statistic, like), op.extent)
    return calls.add("unsqueeze.default", spread, 2)
