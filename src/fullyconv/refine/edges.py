"""What a step of a plan makes of a map's end: how many cells, and what it takes those beyond the end for.

Where the fragments of a map lie in one tensor, the shorter ones end before the tensor does. An operation that looks
beyond a map's end must find there what it finds beyond the tensor's: the cells are filled with what it pads with, or
with the map's last cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fullyconv.analyze.geometry import Sliding
from fullyconv.analyze.plan import BinPool, CropMap, SlidingNorm, SlidingPool, SlidingStatistic, ToGrid, WindowStatistic
from fullyconv.analyze.rearrangement import FoldMap, UnfoldMap
from fullyconv.graph import Conv, Operation, Pad, Pair, Upsample, WindowPool
from fullyconv.refine.surroundings import KINDS

_ONE = (1, 1)
_STILL = Sliding()


@dataclass(frozen=True, slots=True)
class Edge:
    """What a step makes of a map's end.

    Attributes:
        rows: how many rows it makes of how many.
        columns: the same for columns.
        fill: what it takes cells beyond the end for, "least" for less than all numbers, "last" for the last cell; None
            where it looks at none, or where what carries it out asks for them (`Stacking.surround`).
        average: whether it divides by how many cells its kernel covers; True or False for whether padding counts.
    """

    rows: Sliding = _STILL
    columns: Sliding = _STILL
    fill: float | Literal["least", "last"] | None = None
    average: bool | None = None

    @property
    def along(self) -> tuple[Sliding, Sliding]:
        """Both axes."""
        return self.rows, self.columns


def find_edge(op: Operation, kernel: Pair = _ONE) -> Edge:
    """Returns what a step makes of a map's end.

    Args:
        op: its operation; one that is not known to slide works cell by cell, as `find_slide` makes sure.
        kernel: of a convolution, which its weight knows.
    """
    if isinstance(op, Conv):
        rows, columns = _slide(op, kernel)
        return Edge(rows, columns, 0.0 if _reads_beyond(rows, columns) else None)
    find = _EDGES.get(type(op))
    return Edge() if find is None else find(op)


def _slide(op: Conv | WindowPool, kernel: Pair) -> tuple[Sliding, Sliding]:
    is_ceil = isinstance(op, WindowPool) and op.ceil_mode
    rows, columns = (
        Sliding((size - 1) * dilation + 1, stride, before, after, is_ceil and stride > 1)
        for size, dilation, stride, (before, after) in zip(kernel, op.dilation, op.stride, op.padding, strict=True)
    )
    return rows, columns


def _reads_beyond(*along: Sliding) -> bool:
    return any(sliding.after > 0 or sliding.ceil for sliding in along)


def _find_pool(op: WindowPool) -> Edge:
    rows, columns = _slide(op, op.kernel)
    if op.kind == "max":
        return Edge(rows, columns, "least" if _reads_beyond(rows, columns) else None)
    is_ceil = rows.ceil or columns.ceil
    counts = is_ceil or (not op.count_include_pad and any(sliding.pads for sliding in (rows, columns)))
    average = op.count_include_pad if counts and op.divisor is None else None
    return Edge(rows, columns, 0.0 if counts or _reads_beyond(rows, columns) else None, average)


def _find_pad(op: Pad) -> Edge:
    rows, columns = (Sliding(1, 1, before, after) for before, after in op.pads[2:])
    assert op.mode == "constant" or op.mode in KINDS  # its rule refuses what wraps around
    return Edge(rows, columns, op.value if op.mode == "constant" and _reads_beyond(rows, columns) else None)


def _find_enlargement(op: Upsample) -> Edge:
    assert op.times is not None  # its rule refuses that
    rows, columns = (Sliding(finer=times) for times in op.times)
    return Edge(rows, columns, None if op.kind == "nearest" else "last")


def _find_sliding(op: SlidingNorm | SlidingPool | SlidingStatistic) -> Edge:
    """Variances take the mean of the whole map off first: of all its cells, which must be like the real ones."""
    rows, columns = (Sliding(size, 1, (size - 1) // 2, size // 2) for size in op.extent)
    centres = isinstance(op, SlidingNorm) or (isinstance(op, SlidingStatistic) and op.kind != "norm")
    return Edge(rows, columns, "last" if centres else None)


def _find_kernel(extent: Pair, stride: Pair) -> Edge:
    return Edge(Sliding(extent[0], stride[0]), Sliding(extent[1], stride[1]))


def _find_crop(op: CropMap) -> Edge:
    rows, columns = (
        Sliding(1, step, -before, -after) for before, after, step in zip(op.before, op.after, op.step, strict=True)
    )
    return Edge(rows, columns)


_EDGES: Mapping[type, Callable[[Any], Edge]] = {
    BinPool: lambda op: _find_kernel(op.extent, op.stride),
    CropMap: _find_crop,
    FoldMap: lambda op: _find_kernel(op.block, op.block),
    Pad: _find_pad,
    SlidingNorm: _find_sliding,
    SlidingPool: _find_sliding,
    SlidingStatistic: _find_sliding,
    ToGrid: lambda op: _find_kernel(_ONE, op.step),
    UnfoldMap: lambda op: Edge(Sliding(finer=op.block[0]), Sliding(finer=op.block[1])),
    Upsample: _find_enlargement,
    WindowPool: _find_pool,
    WindowStatistic: lambda op: _find_kernel(op.extent, op.stride),
}
