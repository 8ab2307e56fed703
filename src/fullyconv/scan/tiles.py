"""Cut the grid, not the image: which tile owns which scores, and which pixels it reads for them.

A tile owns a block of neighbouring grid cells. It reads the pixels of their windows, and around them the
margin that a score depends on beyond its window, rounded up to the stride, so that every tile begins at a
multiple of the stride and, where the image goes on, ends at window + k*stride. On a finer grid tiles begin at multiples
of the network's own stride still: what it makes of the image's end depends on where it began. At the image's border the
margin is clipped, so that a network's own border padding happens exactly where a run over the whole image
has it. Every cell is owned once; nothing is blended; tiled equals whole.

One axis, window 4, stride 2, margin 1, cells 2 and 3 of an image of 14 pixels:

    pixels  0 1 2 3 4 5 6 7 8 9 10 11 12 13
    windows         [-- 2 --]
                        [-- 3 --]
    tile        [2 ...              12)         4 - 2 to 10 + 2: of its own four cells it owns 1 and 2
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isqrt

from fullyconv.errors import OptionError
from fullyconv.grid import Grid, Pair

Margins = tuple[Pair, Pair]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Tile:
    """One piece of work: pixels to read, and which of their scores to keep. All spans are half-open.

    Attributes:
        rows: the grid rows that the tile owns, `(i0, i1)`.
        columns: the grid columns that the tile owns, `(j0, j1)`.
        y_px: the pixel rows that it reads, `(y0, y1)`.
        x_px: the pixel columns that it reads, `(x0, x1)`.
        offset_cells: where the owned block begins in the tile's own grid, `(i, j)`.
    """

    rows: Span
    columns: Span
    y_px: Span
    x_px: Span
    offset_cells: Pair

    @property
    def size(self) -> Pair:
        """The pixels it reads, `(height, width)`."""
        return self.y_px[1] - self.y_px[0], self.x_px[1] - self.x_px[0]

    @property
    def cells(self) -> int:
        """How many grid cells it owns."""
        return (self.rows[1] - self.rows[0]) * (self.columns[1] - self.columns[0])


@dataclass(frozen=True, slots=True)
class TilePlan:
    """The tiles of one image, in reading order; iterate to get them.

    Attributes:
        grid: the network's grid.
        image_size: `(height, width)` in pixels, at least the window.
        margins_px: pixels outside a window that its score depends on, `((top, bottom), (left, right))`.
        tile_cells: the most cells a tile owns, `(rows, columns)`; the last ones own what is left.
        begin_px: tiles begin at multiples of it, itself one of the grid's stride, `(y, x)`; None for the grid's stride.

    >>> grid = Grid(window_px=(4, 4), stride_px=(2, 2), feature_window=(2, 2))
    >>> plan = TilePlan(grid, (4, 14), ((1, 1), (1, 1)), tile_cells=(1, 2))
    >>> [(tile.columns, tile.x_px, tile.offset_cells[1]) for tile in plan]
    [((0, 2), (0, 8), 0), ((2, 4), (2, 12), 1), ((4, 6), (6, 14), 1)]
    """

    grid: Grid
    image_size: Pair
    margins_px: Margins
    tile_cells: Pair
    begin_px: Pair | None = None

    def __post_init__(self) -> None:
        self.grid.shape(self.image_size)
        if min(self.tile_cells) < 1 or min(min(pair) for pair in self.margins_px) < 0:
            raise OptionError(
                "expected tiles of at least 1x1 cells and margins of at least 0 pixels, "
                f"got {self.tile_cells} and {self.margins_px}"
            )

    def __iter__(self) -> Iterator[Tile]:
        """Returns the tiles, left to right, top to bottom."""
        return (self[index] for index in range(len(self)))

    def __len__(self) -> int:
        return self._count(0) * self._count(1)

    def __getitem__(self, index: int) -> Tile:
        """Returns the tile at a position of that order, from 0 on.

        Raises:
            IndexError: there are not so many.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        row, column = divmod(index, self._count(1))
        return self.cut(self._block(0, row), self._block(1, column))

    def cut(self, rows: Span, columns: Span) -> Tile:
        """Returns the tile that owns just these cells, wherever they lie among those of the plan."""
        y_px, x_px = self._read(rows, 0), self._read(columns, 1)
        stride_y, stride_x = self.grid.stride_px
        offset = rows[0] - y_px[0] // stride_y, columns[0] - x_px[0] // stride_x
        return Tile(rows=rows, columns=columns, y_px=y_px, x_px=x_px, offset_cells=offset)

    def _count(self, axis: int) -> int:
        return -(-self.grid.shape(self.image_size)[axis] // self.tile_cells[axis])

    def _block(self, axis: int, number: int) -> Span:
        start = number * self.tile_cells[axis]
        return start, min(start + self.tile_cells[axis], self.grid.shape(self.image_size)[axis])

    def _read(self, block: Span, axis: int) -> Span:
        window, stride = self.grid.window_px[axis], self.grid.stride_px[axis]
        before, after = (_round_up(margin, stride) for margin in self.margins_px[axis])
        start = block[0] * stride - before
        start -= start % (self.begin_px or self.grid.stride_px)[axis]
        stop = (block[1] - 1) * stride + window + after
        return max(0, start), min(self.image_size[axis], stop)


def plan_tiles(
    grid: Grid, image_size: Pair, margins_px: Margins, *, tile_px: int, begin_px: Pair | None = None
) -> TilePlan:
    """Returns a plan whose tiles read at most `tile_px` pixels each, and are about equal and about square.

    A tile owns at least one cell, so it reads at least a window and its margins, however small `tile_px` is.

    Raises:
        ImageError: the image is smaller than the window.
        OptionError: a margin is negative.
    """
    shape = grid.shape(image_size)
    plan = TilePlan(grid, image_size, margins_px, shape, begin_px)
    if image_size[0] * image_size[1] <= tile_px:
        return plan
    rows, height = _fit(plan, 0, isqrt(tile_px))
    columns, width = _fit(plan, 1, tile_px // height)
    rows, _ = _fit(plan, 0, tile_px // width)  # what a narrow image leaves unused makes the tiles taller
    return replace(plan, tile_cells=(_even(shape[0], rows), _even(shape[1], columns)))


def _fit(plan: TilePlan, axis: int, length_px: int) -> tuple[int, int]:
    """Returns how many cells fit in `length_px` along `axis`, and the pixels that they then read."""
    window, stride = plan.grid.window_px[axis], plan.grid.stride_px[axis]
    begin = (plan.begin_px or plan.grid.stride_px)[axis]
    around = begin - stride + sum(_round_up(margin, stride) for margin in plan.margins_px[axis])
    if plan.image_size[axis] <= length_px:
        return plan.tile_cells[axis], plan.image_size[axis]
    cells = max(1, min(plan.tile_cells[axis], (length_px - window - around) // stride + 1))
    return cells, min(plan.image_size[axis], window + around + (cells - 1) * stride)


def _even(cells: int, most: int) -> int:
    """Returns the block length that cuts `cells` into as many blocks as `most` does, but equal ones."""
    blocks = -(-cells // most)
    return -(-cells // blocks)


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step
