"""A map in fragments: the map that a network makes of the image from each of several pixels on.

Fragments of one size lie together in the batch. Near the image's end those that begin later have a cell less, so a map
has up to two sizes along each axis, and no cell that is not real: every operation, whatever it does at a map's border,
is right on each part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import gcd, lcm

import torch
from torch import Tensor

from fullyconv.graph import Pair
from fullyconv.refine.lattice import Lattice

Offsets = tuple[int, ...]
Lattices = tuple[Lattice, Lattice]


@dataclass(frozen=True, slots=True, eq=False)
class Fragments:
    """A map in fragments.

    Attributes:
        rows: the pixel rows at which fragments begin, in parts of equal height.
        columns: the pixel columns, in parts of equal width.
        tensors: for each part of the rows one for each part of the columns, `(r * c * N, C, h, w)` with r rows and c
            columns, the rows outermost.
    """

    rows: tuple[Offsets, ...]
    columns: tuple[Offsets, ...]
    tensors: tuple[tuple[Tensor, ...], ...]

    def __iter__(self) -> Iterator[Tensor]:
        """Yields the tensors of all parts."""
        for tensors in self.tensors:
            yield from tensors

    def has_parts_of(self, other: Fragments) -> bool:
        """Returns whether both have the same fragments in the same parts, of equal sizes."""
        same = self.rows == other.rows and self.columns == other.columns
        return same and all(a.shape[2:] == b.shape[2:] for a, b in zip(self, other, strict=True))

    def fill(self, tensors: Sequence[Tensor]) -> Fragments:
        """Returns the same fragments of another map; its tensors in the order of the parts."""
        width = len(self.columns)
        lines = tuple(tuple(tensors[start : start + width]) for start in range(0, len(tensors), width))
        return Fragments(self.rows, self.columns, lines)

    def view(self, row: int, column: int) -> Tensor:
        """Returns a part as `(r, c, N, C, h, w)`."""
        sizes = (len(self.rows[row]), len(self.columns[column]))
        tensor = self.tensors[row][column]
        return tensor.view(*sizes, -1, *tensor.shape[1:])

    def cut(self, offset: Pair, lattices: Lattices) -> Tensor:
        """Returns the map `(N, C, h, w)` for windows that begin at a pixel."""
        (top, down), (left, right) = (lattice.locate(pixel) for lattice, pixel in zip(lattices, offset, strict=True))
        (row, i), (column, j) = _find(self.rows, top), _find(self.columns, left)
        return self.view(row, column)[i, j, ..., down:, right:]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The windows that are wanted, all in pixels.

    Attributes:
        step_px: between neighbouring ones, `(sy, sx)`.
        limit_px: where the last one begins, `(y, x)`.
    """

    step_px: Pair
    limit_px: Pair


def make_whole(images: Tensor) -> Fragments:
    """Returns a map, or an image `(N, C, H, W)`, as its only fragment."""
    return Fragments(((0,),), ((0,),), ((images,),))


@dataclass(frozen=True, slots=True)
class Phases:
    """Cells along an axis that belong to several fragments, one after the other.

    Attributes:
        factor: of so many cells, each belongs to another fragment.
        apart_px: pixels between where two such fragments begin.
    """

    factor: int = 1
    apart_px: int = 1


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows, or columns, of new fragments that come from one part of the old ones at one phase."""

    source: int
    phase: int
    kept: tuple[int, ...]
    offsets: Offsets


Count = Callable[[int, int], int]
"""Gives the cells of a fragment at a phase: of the part with that number, for the phase."""


def split_fragments(
    made: Fragments, phases: tuple[Phases, Phases], counts: tuple[Count, Count], limit: Pair
) -> Fragments:
    """Returns the fragments of an operation that ran at every phase: each phase becomes one.

    Args:
        made: its results.
        phases: which cells are of which, along both axes.
        counts: how many cells there are at a phase, along both axes.
        limit: where the last window begins, in pixels; later fragments serve none.
    """
    rows = _arrange(made.rows, phases[0], counts[0], limit[0])
    columns = _arrange(made.columns, phases[1], counts[1], limit[1])
    tensors = tuple(
        tuple(_gather(made, row_parts, column_parts, phases, size) for size, column_parts in _sized(columns, size_y))
        for size_y, row_parts in rows.items()
    )
    return Fragments(_list_offsets(rows), _list_offsets(columns), tensors)


def _sized(columns: Mapping[int, list[_Part]], rows: int) -> Iterator[tuple[Pair, list[_Part]]]:
    for count, parts in columns.items():
        yield (rows, count), parts


def _list_offsets(parts: Mapping[int, list[_Part]]) -> tuple[Offsets, ...]:
    return tuple(tuple(offset for part in group for offset in part.offsets) for group in parts.values())


def _arrange(old: Sequence[Offsets], phases: Phases, count: Count, limit: int) -> dict[int, list[_Part]]:
    """Returns the new parts by their number of cells."""
    parts: dict[int, list[_Part]] = {}
    for phase in range(phases.factor):
        for source, offsets in enumerate(old):
            new = [(place, offset + phase * phases.apart_px) for place, offset in enumerate(offsets)]
            kept = [(place, offset) for place, offset in new if offset <= limit]
            cells = count(source, phase)
            if kept and cells > 0:
                places, begun = zip(*kept, strict=True)
                parts.setdefault(cells, []).append(_Part(source, phase, places, begun))
    return parts


def _gather(
    made: Fragments, rows: Sequence[_Part], columns: Sequence[_Part], phases: tuple[Phases, Phases], size: Pair
) -> Tensor:
    high, wide = (sum(len(part.kept) for part in parts) for parts in (rows, columns))
    images, channels = made.view(0, 0).shape[2:4]
    out = _allocate(made.tensors[0][0], (high, wide, images, channels), size)
    top = 0
    for row in rows:
        left = 0
        for column in columns:
            phase = made.view(row.source, column.source)[
                ..., row.phase :: phases[0].factor, column.phase :: phases[1].factor
            ]
            phase = _keep(_keep(phase[..., : size[0], : size[1]], 0, row.kept), 1, column.kept)
            out[top : top + len(row.kept), left : left + len(column.kept)] = phase
            left += len(column.kept)
        top += len(row.kept)
    return out.flatten(0, 2)


def _keep(tensor: Tensor, axis: int, places: tuple[int, ...]) -> Tensor:
    """Returns some places along an axis; the first ones are a view."""
    if places == tuple(range(len(places))):
        return tensor.narrow(axis, 0, len(places))
    return tensor.index_select(axis, torch.tensor(places, device=tensor.device))


def _allocate(like: Tensor, outer: tuple[int, int, int, int], size: Pair) -> Tensor:
    """Returns `(r, c, N, C, h, w)` in the memory format of another tensor."""
    rows, columns, images, channels = outer
    if like.shape[1] > 1 and like.stride(1) == 1:
        return like.new_empty((rows, columns, images, *size, channels)).permute(0, 1, 2, 5, 3, 4)
    return like.new_empty((*outer, *size))


def match_fragments(maps: Sequence[Fragments], lattices: Sequence[Lattices], wanted: Wanted) -> list[Fragments]:
    """Returns several maps with the same fragments in the same parts, of the least size that one of them has.

    A map with fewer fragments serves several windows by each: its cells are shifted for those that begin later.

    Args:
        maps: the maps.
        lattices: where their cells lie, along both axes.
        wanted: which windows they serve.
    """
    if all(map_.has_parts_of(maps[0]) for map_ in maps[1:]):
        return list(maps)
    rows, columns = (
        _agree([(map_, lattice[axis]) for map_, lattice in zip(maps, lattices, strict=True)], wanted, axis)
        for axis in (0, 1)
    )
    return [_rebuild(map_, lattice, rows, columns) for map_, lattice in zip(maps, lattices, strict=True)]


def _agree(maps: Sequence[tuple[Fragments, Lattice]], wanted: Wanted, axis: int) -> dict[int, Offsets]:
    """Returns the offsets of all fragments along an axis, by the number of cells that every map has for them."""
    period = lcm(*(lattice.period for _, lattice in maps))
    sizes: dict[int, Offsets] = {}
    for offset in range(0, min(period, wanted.limit_px[axis] + 1), gcd(period, wanted.step_px[axis])):
        cells = min(_count(map_, lattice, offset, axis) for map_, lattice in maps)
        if cells > 0:
            sizes[cells] = (*sizes.get(cells, ()), offset)
    return sizes


def _count(map_: Fragments, lattice: Lattice, offset: int, axis: int) -> int:
    begin, shift = lattice.locate(offset)
    parts = (map_.rows, map_.columns)[axis]
    part = next((part for part, offsets in enumerate(parts) if begin in offsets), None)
    if part is None:
        return 0
    tensor = map_.tensors[part][0] if axis == 0 else map_.tensors[0][part]
    return int(tensor.shape[2 + axis]) - shift


def _rebuild(map_: Fragments, lattice: Lattices, rows: dict[int, Offsets], columns: dict[int, Offsets]) -> Fragments:
    tensors = tuple(
        tuple(
            torch.cat([map_.cut((y, x), lattice)[..., :height, :width] for y in tops for x in lefts])
            for width, lefts in columns.items()
        )
        for height, tops in rows.items()
    )
    return Fragments(tuple(rows.values()), tuple(columns.values()), tensors)


def paste(map_: Fragments, grid: Tensor, step: Pair, period: Pair) -> None:
    """Writes scores into their places on the grid.

    Args:
        map_: fragments of scores, whose cells lie a period apart.
        grid: `(N, C, Gy, Gx)`; is written.
        step: pixels between neighbouring scores of the grid.
        period: pixels between neighbouring scores of a fragment.
    """
    every = (period[0] // step[0], period[1] // step[1])
    for row, tops in enumerate(map_.rows):
        for column, lefts in enumerate(map_.columns):
            scores = map_.view(row, column)
            for i, top in enumerate(tops):
                for j, left in enumerate(lefts):
                    cells = grid[..., top // step[0] :: every[0], left // step[1] :: every[1]]
                    cells.copy_(scores[i, j, ..., : cells.shape[-2], : cells.shape[-1]])


def _find(parts: Sequence[Offsets], offset: int) -> tuple[int, int]:
    """Returns the part and the place in it of the fragment at an offset."""
    return next((part, offsets.index(offset)) for part, offsets in enumerate(parts) if offset in offsets)
