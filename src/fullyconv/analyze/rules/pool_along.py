"""Pools whose kernel slides along one axis, such as the sums over neighbouring channels of a response norm."""

from __future__ import annotations

from dataclasses import replace

from fullyconv.analyze.build import Build, count_channels
from fullyconv.analyze.fields import Refusal
from fullyconv.analyze.geometry import Sliding
from fullyconv.analyze.plan import ChannelPool
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.graph import Node, PoolAlong, WindowPool


@rule(PoolAlong)
def carry_pool_along(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """A pool along all channels stays within each cell; refused: along anything else."""
    op = node.op
    assert isinstance(op, PoolAlong)
    field = build.prepare(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    if not field.is_channel_axis(op.axis):
        return Refusal("pools along an axis that is not the channels")
    reach = (op.kernel - 1) * op.dilation + 1
    pooled = Sliding(reach, op.stride, op.padding, op.padding, op.ceil_mode).count(count_channels(field))
    channels = build.make_channel(pooled)
    tensor = build.emit(node, ChannelPool(op), (field.tensor,))
    axes = (*field.axes[: op.axis], channels, *field.axes[op.axis + 1 :])
    return (replace(field, tensor=tensor, axes=axes, channels=channels),)


def narrow_pool(pool: WindowPool, rank: int) -> PoolAlong | None:
    """Returns a pool over the last two of `rank` axes as one along one axis, None where it reaches along both.

    None too where it pads the two ends by different amounts.
    """
    numbers = zip(pool.kernel, pool.stride, pool.padding, strict=True)
    reaching = [place for place, each in enumerate(numbers) if each != (1, 1, (0, 0))]
    if len(reaching) != 1 or len(set(pool.padding[reaching[0]])) > 1:
        return None
    (place,) = reaching
    return PoolAlong(
        pool.kind,
        rank - 2 + place,
        pool.kernel[place],
        pool.stride[place],
        pool.padding[place][0],
        pool.dilation[place],
        pool.ceil_mode,
        pool.count_include_pad,
        pool.divisor,
    )
