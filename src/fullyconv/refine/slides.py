"""Which steps of a plan make the cells of a map coarser or finer."""

from __future__ import annotations

from dataclasses import dataclass

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
from fullyconv.analyze.rearrangement import AlongChannels, FoldMap, Multiply, MultiplyMatrices, TakeChannels, UnfoldMap
from fullyconv.graph import ChannelAffine, Concat, Conv, Operation, Pad, Pair, PRelu, Softmax, Upsample, WindowPool
from fullyconv.refine.edges import find_edge

_ONE = (1, 1)

# Each output cell depends on input cells around the same place.
_CELL_BY_CELL = frozenset({
    Add, AlongChannels, ChannelAffine, ChannelNorm, ChannelPool, ChannelReduce, ChannelRms, Concat, ConvAlongChannels,
    CosineSimilarity, Distance, Multiply, MultiplyMatrices, Original, Pad, PRelu, ShuffleChannels, SliceChannels,
    SlidingNorm, SlidingPool, SlidingStatistic, Softmax, TakeChannels,
})  # fmt: skip

# Its edge says how each of these slides.
_SLIDING = frozenset({BinPool, Conv, CropMap, FoldMap, ToGrid, UnfoldMap, Upsample, WindowPool, WindowStatistic})


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
    if type(op) not in _SLIDING:
        raise LookupError(f"{type(op).__name__}: not known how it changes the cells of a map")
    rows, columns = find_edge(op).along  # a convolution's kernel does not matter for its stride
    ceil = (rows, columns) if rows.ceil or columns.ceil else None
    slide = Slide((rows.stride, columns.stride), (rows.finer, columns.finer), ceil)
    return slide if slide != Slide() else None
