"""Cells that are not wanted cost nothing: a tile's block shrinks to its wanted cells, and falls into pieces.

A piece is a rectangle of cells. It reads the pixels of their windows and margins, so two pieces side by side read
what lies between them twice, and each run costs something by itself. A block is cut where that pays: around the gaps
of an L, a ring or a scatter of spots, not at every step of a slanted outline.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fullyconv.errors import OptionError
from fullyconv.grid import Grid, Pair
from fullyconv.scan.regions.cell_mask import Wanted
from fullyconv.scan.tiles import Margins, Span

# What a run costs beside its pixels, in pixels. It differs from network to network and from machine to machine; this
# much, 181x181, keeps small networks from being run on single windows, and matters little to large ones.
RUN_PX = 2**15

# A ring needs four cuts in a row of which the first three do not pay; more than 2**8 pieces of one tile never do.
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Piece:
    """A rectangle of grid cells; all spans are half-open.

    Attributes:
        rows: its grid rows, `(i0, i1)`.
        columns: its grid columns, `(j0, j1)`.
    """

    rows: Span
    columns: Span

    @property
    def cells(self) -> Pair:
        """How many `(rows, columns)` it has."""
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]


@dataclass(frozen=True, slots=True)
class PieceCost:
    """What a piece costs.

    Attributes:
        grid: windows and strides.
        margins_px: pixels outside a window that its score depends on, `((top, bottom), (left, right))`.
        run_px: what a run costs beside its pixels, in pixels.

    >>> cost = PieceCost(Grid((4, 4), (2, 2), (2, 2)), ((1, 1), (0, 0)), run_px=100)
    >>> cost.count(Piece((0, 1), (0, 3)))  # (1 + 4 + 1) * (4 + 2*2) pixels
    148
    """

    grid: Grid
    margins_px: Margins
    run_px: int = RUN_PX

    def __post_init__(self) -> None:
        if self.run_px < 0:
            raise OptionError(f"run_px: expected what a run costs, at least 0 pixels, got {self.run_px}")

    def count(self, piece: Piece) -> int:
        """Returns the cost in pixels."""
        height, width = self.grid.extent_px(piece.cells)
        (top, bottom), (left, right) = self.margins_px
        return (top + height + bottom) * (left + width + right) + self.run_px

    def floor(self, cells: int, runs: int) -> int:
        """Returns what `cells` cells in `runs` pieces cost at least: no two windows share a whole step's pixels."""
        window, stride = self.grid.window_px, self.grid.stride_px
        own = min(window[0], stride[0]) * min(window[1], stride[1])
        return cells * own + runs * self.run_px


def split_wanted(wanted: Wanted, cost: PieceCost, *, origin: Pair = (0, 0)) -> tuple[Piece, ...]:
    """Returns rectangles of cells that hold every wanted cell exactly once; none if no cell is wanted.

    They do not overlap, cost no more than the rectangle around all wanted cells does, and may hold cells that are not
    wanted: whoever runs them leaves those out of the result.

    Args:
        wanted: which cells of a block are wanted, bool `(rows, columns)`.
        cost: what a piece costs.
        origin: the block's first cell `(i, j)`; the pieces are in cells of the whole grid.
    """
    return _split(wanted, cost, origin, _DEEPEST)


def _split(wanted: Wanted, cost: PieceCost, origin: Pair, depth: int) -> tuple[Piece, ...]:
    """Returns the best of leaving the block whole and cutting it once, where its parts are split likewise."""
    if not wanted.any():
        return ()
    (top, bottom), (left, right) = _find_extent(wanted, 0), _find_extent(wanted, 1)
    inner, origin = wanted[top:bottom, left:right], (origin[0] + top, origin[1] + left)
    rows, columns = inner.shape
    whole = Piece((origin[0], origin[0] + rows), (origin[1], origin[1] + columns))
    if depth == 0 or inner.all() or cost.count(whole) <= cost.floor(int(inner.sum()), runs=2):
        return (whole,)
    axis, at = _choose_cut(inner, cost)
    second = (origin[0] + at, origin[1]) if axis == 0 else (origin[0], origin[1] + at)
    before, after = np.split(inner, [at], axis=axis)
    parts = _split(before, cost, origin, depth - 1) + _split(after, cost, second, depth - 1)
    return parts if sum(map(cost.count, parts)) < cost.count(whole) else (whole,)


def _find_extent(wanted: Wanted, axis: int) -> Span:
    places = np.flatnonzero(wanted.any(axis=1 - axis))
    return int(places[0]), int(places[-1]) + 1


def _choose_cut(wanted: Wanted, cost: PieceCost) -> tuple[int, int]:
    """Returns the axis and place of the cut whose two parts cost least, each shrunk to its wanted cells.

    Of cuts that cost the same it is the one that most cells change at: at the border of a hole, not before it.
    """
    cuts = []
    for axis in (0, 1):
        lines = np.moveaxis(wanted, axis, 0)
        changes = (lines[1:] != lines[:-1]).sum(axis=1)
        for place, key in enumerate(zip(_weigh_cuts(lines, cost, axis), -changes, strict=True), start=1):
            cuts.append((*key, axis, place))
    return min(cuts)[2:]


def _weigh_cuts(wanted: Wanted, cost: PieceCost, axis: int) -> NDArray[np.int64]:
    """Returns what the two parts cost together when the block is cut before row 1, 2 and so on.

    The block's first and last row have wanted cells, so each part begins or ends there.
    """
    before, after = _weigh_parts(wanted, cost, axis), _weigh_parts(wanted[::-1], cost, axis)[::-1]
    return before[:-1] + after[1:]


def _weigh_parts(wanted: Wanted, cost: PieceCost, axis: int) -> NDArray[np.int64]:
    """Returns what the rectangle around the wanted cells of the first 1, 2, ... rows costs."""
    count, width = wanted.shape
    filled = wanted.any(axis=1)
    last = np.maximum.accumulate(np.where(filled, np.arange(count), 0)) + 1
    first_column = np.minimum.accumulate(np.where(filled, wanted.argmax(axis=1), width))
    last_column = np.maximum.accumulate(np.where(filled, width - wanted[:, ::-1].argmax(axis=1), 0))
    lengths = []
    for along, cells in ((axis, last), (1 - axis, last_column - first_column)):
        window, stride = cost.grid.window_px[along], cost.grid.stride_px[along]
        lengths.append(window + (cells - 1) * stride + sum(cost.margins_px[along]))
    return np.asarray(lengths[0] * lengths[1] + cost.run_px)
