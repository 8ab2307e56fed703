"""Which steps of a plan make the cells of a map coarser or finer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fullyconv.analyze.geometry import Sliding
from fullyconv.analyze.likeness import CosineSimilarity, Distance
from fullyconv.analyze.plan import (
    Add,
    BinPool,
    ChannelNorm,
    ChannelPool,
    ChannelReduce,
    ChannelRms,
    ConvAlongChannels,
    CropMap,
    Original,
    ShuffleChannels,
    SliceChannels,
    SlidingNorm,
    SlidingPool,
    SlidingStatistic,
    ToGrid,
    WindowStatistic,
)
from fullyconv.analyze.rearrangement import AlongChannels, FoldMap, Multiply, TakeChannels, UnfoldMap
from fullyconv.graph import ChannelAffine, Concat, Conv, Operation, Pad, Pair, PRelu, Softmax, Upsample, WindowPool

_ONE = (1, 1)

# Each output cell depends on input cells around the same place.
_CELL_BY_CELL = frozenset({
    Add, AlongChannels, ChannelAffine, ChannelNorm, ChannelPool, ChannelReduce, ChannelRms, Concat, ConvAlongChannels,
    CosineSimilarity, Distance, Multiply, Original, Pad, PRelu, ShuffleChannels, SliceChannels, SlidingNorm,
    SlidingPool, SlidingStatistic, Softmax, TakeChannels,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Slide:
    """How a step changes the cells of its input.

    Attributes:
        stride: cells between neighbouring outputs.
        finer: how many cells each output cell is divided into.
        ceil: how placements count along each axis, of a pool that rounds up at the end; None for others.
    """

    stride: Pair = _ONE
    finer: Pair = _ONE
    ceil: tuple[Sliding, Sliding] | None = None


def find_slide(op: Operation) -> Slide | None:
    """Returns how a step changes the cells; None where each output cell stays at the place of an input cell.

    Raises:
        LookupError: nothing is known of this kind of step.
    """
    if type(op) in _CELL_BY_CELL:
        return None
    find = _SLIDES.get(type(op))
    if find is None:
        raise LookupError(f"{type(op).__name__}: not known how it changes the cells of a map")
    slide = find(op)
    return slide if slide != Slide() else None


def _find_pool(op: WindowPool) -> Slide:
    if op.stride == _ONE or not op.ceil_mode:
        return Slide(op.stride)
    rows, columns = (
        Sliding((kernel - 1) * dilation + 1, stride, before, after, ceil=True)
        for kernel, dilation, stride, (before, after) in zip(op.kernel, op.dilation, op.stride, op.padding, strict=True)
    )
    return Slide(op.stride, ceil=(rows, columns))


_SLIDES: Mapping[type, Callable[[Any], Slide]] = {
    BinPool: lambda op: Slide(op.stride),
    Conv: lambda op: Slide(op.stride),
    CropMap: lambda op: Slide(op.step),
    FoldMap: lambda op: Slide(op.block),
    ToGrid: lambda op: Slide(op.step),
    UnfoldMap: lambda op: Slide(finer=op.block),
    Upsample: lambda op: Slide(finer=op.times),
    WindowPool: _find_pool,
    WindowStatistic: lambda op: Slide(op.stride),
}
