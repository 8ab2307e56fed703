"""Statistics of cells and of windows as ATen calls; the operations are those that the classifier itself uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fullyconv.analyze.plan import ChannelPool, ChannelRms, WindowStatistic
from fullyconv.rewrite.lowering import Lowering
from fullyconv.rewrite.program import Instruction

Stage = tuple[str, tuple[Any, ...]]

# That of several axes is that of one axis after the other, which spares memory: the first would copy each window.
_ONE_AXIS_AT_A_TIME = frozenset({"logsumexp", "min", "product"})


def _lower_statistic(low: Lowering) -> list[Instruction]:
    """Windows are views with further axes for their rows and columns, over which the statistic is taken."""
    op: WindowStatistic = low.op
    sliding: list[Stage] = [
        ("aten.unfold.default", (2 + axis, size, stride))
        for axis, (size, stride) in enumerate(zip(op.extent, op.stride, strict=True))
        if size > 1
    ]
    alone: Stage = ("aten.unsqueeze.default", (-1,))  # an axis of one value, where there is no other
    again: list[Stage] = [("aten.unsqueeze.default", (1,))] if op.over_channels else []
    if op.kind in _ONE_AXIS_AT_A_TIME:
        stages = [stage for unfold in sliding for stage in (unfold, _reduce(op, [-1]))]
        stages += [_reduce(op, [1])] if op.over_channels else []
        return low.chain(*(stages or [alone, _reduce(op, [-1])]), *again)
    axes = [*range(4, 5 + len(sliding)), *([1] if op.over_channels else [])]
    return low.chain(alone, *sliding, _reduce(op, axes), *again)


def _reduce(op: WindowStatistic, axes: list[int]) -> Stage:
    if op.kind == "norm":
        return "aten.linalg_vector_norm.default", (op.parameter, axes)
    if op.kind in ("variance", "deviation"):
        return f"aten.{'var' if op.kind == 'variance' else 'std'}.dim", (axes, bool(op.parameter))
    if op.kind == "product":
        return "aten.prod.dim_int", (axes[0],)
    return {"min": "aten.amin.default", "logsumexp": "aten.logsumexp.default"}[op.kind], (axes,)


def _lower_rms(low: Lowering) -> list[Instruction]:
    op: ChannelRms = low.op
    return low.chain(
        ("aten.permute.default", ([0, 2, 3, 1],)),
        ("aten.rms_norm.default", ([op.channels], low.weights[0], op.eps)),
        ("aten.permute.default", ([0, 3, 1, 2],)),
    )


def _lower_channel_pool(low: Lowering) -> list[Instruction]:
    """The channels take the place of the columns; pools of volumes would not run in bfloat16."""
    pool = low.op.pool
    numbers = [[1, pool.kernel], [1, pool.stride], [0, pool.padding]]
    if pool.kind == "max":
        along: Stage = ("aten.max_pool2d.default", (*numbers, [1, pool.dilation], pool.ceil_mode))
    else:
        along = ("aten.avg_pool2d.default", (*numbers, pool.ceil_mode, pool.count_include_pad, pool.divisor))
    return low.chain(("aten.permute.default", ([0, 2, 3, 1],)), along, ("aten.permute.default", ([0, 3, 1, 2],)))


STATISTIC_LOWERINGS: Mapping[type, Callable[[Lowering], list[Instruction]]] = {
    WindowStatistic: _lower_statistic,
    ChannelRms: _lower_rms,
    ChannelPool: _lower_channel_pool,
}
