"""A map in fragments in one tensor, for networks that are written for images of open sizes.

All fragments lie in the batch, those of the same rows together, and have the size of the longest: `(Fy * Fx * N, C, h,
w)`. A shorter one has cells at its end that are not real. How many are real is known for each row and each column of
fragments, as values that are computed from the image's size; no operation may look at the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import gcd, lcm
from typing import Any, Generic, TypeVar

from fullyconv.analyze.geometry import Sliding
from fullyconv.graph import Pair
from fullyconv.refine.algebra import Algebra
from fullyconv.refine.edges import Edge
from fullyconv.refine.lattice import Lattice, Split

T = TypeVar("T")
Lattices = tuple[Lattice, Lattice]
_ONE = (1, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Along(Generic[T]):
    """The fragments along one axis.

    Attributes:
        fragments: how many they are; they begin at even distances.
        form: maps whose forms are equal have fragments of equal sizes: what strided operations made of the image's
            size, and by how many cells it has changed since.
        counts: how many cells of each are real, `(fragments,)`; None where all of them are.
    """

    fragments: int = 1
    form: tuple[Any, int] = (None, 0)
    counts: T | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Stack(Generic[T]):
    """A map in fragments in one tensor."""

    tensor: T
    rows: Along[T]
    columns: Along[T]

    @property
    def along(self) -> tuple[Along[T], Along[T]]:
        """Both axes."""
        return self.rows, self.columns

    @property
    def is_whole(self) -> bool:
        """Whether all cells are real."""
        return self.rows.counts is None and self.columns.counts is None


@dataclass(frozen=True, slots=True)
class Stacking(Generic[T]):
    """Writes what belongs between the operations of a network that runs on fragments.

    Attributes:
        algebra: what writes it.
        step: pixels between neighbouring scores, `(y, x)`.
    """

    algebra: Algebra[T]
    step: Pair

    def match(self, maps: Sequence[Stack[T]], lattices: Sequence[Lattices]) -> list[Stack[T]]:
        """Returns maps with the same fragments of the same size, the least that one of them has."""
        found = list(maps)
        for axis in (0, 1):
            period = lcm(*(pair[axis].period for pair in lattices))
            found = [
                self._spread(map_, pair[axis], period, axis) for map_, pair in zip(found, lattices, strict=True)
            ]
            found = self._shorten(found, axis)
        return found

    def fill(self, map_: Stack[T], edge: Edge) -> T:
        """Returns the tensor of a map, with cells that are not real as an operation takes what is beyond the end."""
        if edge.fill is None or map_.is_whole:
            return map_.tensor
        algebra = self.algebra
        rows, columns = map_.rows.fragments, map_.columns.fragments
        channels, height, width = (algebra.size(map_.tensor, axis) for axis in (1, 2, 3))
        seen = algebra.reshape(map_.tensor, [rows, columns, -1, height, width])
        marks = [self._mark(along, axis, algebra.size(map_.tensor, 2 + axis), along.counts)
                 for axis, along in enumerate(map_.along) if along.counts is not None]  # fmt: skip
        value = float("-inf") if edge.fill == "least" else edge.fill
        chosen = algebra.choose(reduce(algebra.mark_both, marks), seen, value)
        return algebra.reshape(chosen, [-1, channels, height, width])

    def average(self, map_: Stack[T], edge: Edge, kernel: Pair, stride: Pair) -> T:
        """Returns the averages of what a kernel covers of each fragment: sums, divided by how many cells that are."""
        algebra = self.algebra
        reach = [sliding.stride - 1 if sliding.ceil else 0 for sliding in edge.along]
        pads = [(sliding.before, sliding.after + more) for sliding, more in zip(edge.along, reach, strict=True)]
        around = [(0, more) for more in reach] if edge.average else pads
        sums = algebra.average(algebra.pad(self.fill(map_, edge), (pads[0], pads[1])), kernel, stride)
        cells = algebra.average(algebra.pad(self._mark_cells(map_, edge), (around[0], around[1])), kernel, stride)
        channels, height, width = (algebra.size(sums, axis) for axis in (1, 2, 3))
        apart = algebra.reshape(sums, [map_.rows.fragments * map_.columns.fragments, -1, height, width])
        return algebra.reshape(algebra.calculate("div", apart, cells), [-1, channels, height, width])

    def split(self, made: T, read: Stack[T], edge: Edge, splits: tuple[Split, Split] | None) -> Stack[T]:
        """Returns the fragments of an operation whose stride was divided by the factors of its splits.

        Args:
            made: its result; of every `factor` cells, each belongs to another phase.
            read: what it read.
            edge: how it slides.
            splits: its phases; None where it has one.
        """
        factors = _ONE if splits is None else (splits[0].factor, splits[1].factor)
        rows, columns = (self._follow(read, axis, edge.along[axis], factors[axis]) for axis in (0, 1))
        if factors[0] > 1:
            made = self._part(made, 2, (1, read.rows.fragments), factors[0])
        if factors[1] > 1:
            made = self._part(made, 3, (rows.fragments, read.columns.fragments), factors[1])
        return Stack(made, rows, columns)

    def interleave(self, map_: Stack[T]) -> T:
        """Returns `(N, C, H, W)`, whose neighbouring cells lie in neighbouring fragments."""
        rows, columns = map_.rows.fragments, map_.columns.fragments
        if rows == columns == 1:
            return map_.tensor
        algebra, x = self.algebra, map_.tensor
        channels, height, width = (algebra.size(x, axis) for axis in (1, 2, 3))
        x = algebra.transpose(algebra.reshape(x, [rows, -1, height, width]), (1, 2, 0, 3))
        x = algebra.transpose(algebra.reshape(x, [columns, -1, width]), (1, 2, 0))
        tall, wide = (algebra.calculate("mul", size, algebra.numbers(times))
                      for size, times in ((height, rows), (width, columns)))  # fmt: skip
        return algebra.reshape(x, [-1, channels, tall, wide])

    def _follow(self, read: Stack[T], axis: int, sliding: Sliding, factor: int) -> Along[T]:
        """Returns the fragments after an operation."""
        before = read.along[axis]
        if factor == 1 and sliding == Sliding():
            return before
        form = _find_form(before.form, sliding, factor)
        if factor == 1 and before.counts is None:
            return Along(before.fragments, form)
        counts = self._count_real(read, axis)
        phases = [self._count(counts, sliding, phase * sliding.stride // factor) for phase in range(factor)]
        return Along(before.fragments * factor, form, self.algebra.join(phases, 0))

    def _count_real(self, map_: Stack[T], axis: int) -> T:
        counts = map_.along[axis].counts
        return self.algebra.size(map_.tensor, 2 + axis) if counts is None else counts

    def _count(self, cells: T, sliding: Sliding, phase_cells: int) -> T:
        """Returns `Sliding.count` of cells from a phase on."""
        free = self._add(cells, sliding.before + sliding.after - sliding.kernel - phase_cells)
        if not sliding.ceil:
            placed = self._add(self._divide(free, sliding.stride), 1)
            return self.algebra.calculate("mul", placed, self.algebra.numbers(sliding.finer))
        placed = self._add(self._divide(self._add(free, sliding.stride - 1), sliding.stride), 1)
        begun = self._add(self._divide(self._add(cells, sliding.before - 1 - phase_cells), sliding.stride), 1)
        return self.algebra.calculate("min", placed, begun)

    def _add(self, a: T, number: int) -> T:
        return self.algebra.calculate("add", a, self.algebra.numbers(number)) if number else a

    def _divide(self, a: T, number: int) -> T:
        return self.algebra.calculate("div", a, self.algebra.numbers(number)) if number > 1 else a

    def _part(self, x: T, axis: int, fragments: Pair, factor: int) -> T:
        """Returns the phases along an axis as fragments, those of one phase together; zeros fill the last ones.

        Args:
            x: `(N, C, H, W)`.
            axis: 2 or 3.
            fragments: along the axes before this one, and along this one.
            factor: how many phases there are.
        """
        algebra = self.algebra
        channels, height = algebra.size(x, 1), algebra.size(x, 2)
        size = algebra.size(x, axis)
        cells = self._divide(self._add(size, factor - 1), factor)
        whole = algebra.calculate("mul", cells, algebra.numbers(factor))
        x = algebra.extend(x, 4, axis, algebra.calculate("sub", whole, size))
        width = algebra.size(x, 3)
        x = algebra.reshape(x, [*fragments, -1, cells, factor, width if axis == 2 else 1])
        x = algebra.transpose(x, (0, 4, 1, 2, 3, 5))
        return algebra.reshape(x, [-1, channels, *((cells, width) if axis == 2 else (height, cells))])

    def _mark(self, along: Along[T], axis: int, size: T, counts: T) -> T:
        """Returns which cells are real, with axes for the rows and columns of fragments, N * C, H and W."""
        marks = self.algebra.mark(counts, size)
        sizes = [along.fragments, 1, 1, size, 1] if axis == 0 else [1, along.fragments, 1, 1, size]
        return self.algebra.reshape(marks, sizes)

    def _mark_cells(self, map_: Stack[T], edge: Edge) -> T:
        """Returns ones `(Fy * Fx, 1, h, w)` for the cells that an average counts, of its padding as well if it does."""
        marks, sizes = [], []
        for axis, (along, sliding) in enumerate(zip(map_.along, edge.along, strict=True)):
            more = sliding.before + sliding.after if edge.average else 0
            sizes.append(self._add(self.algebra.size(map_.tensor, 2 + axis), more))
            counts = self._add(self._count_real(map_, axis), more)
            marks.append(self._mark(along, axis, sizes[-1], counts))
        both = self.algebra.mark_both(marks[0], marks[1])
        return self.algebra.reshape(self.algebra.cast(both, map_.tensor), [-1, 1, *sizes])

    def _spread(self, map_: Stack[T], lattice: Lattice, period: int, axis: int) -> Stack[T]:
        """Returns a map with the fragments of a longer period: cells are shifted for those that begin later."""
        step, along = self.step[axis], map_.along[axis]
        distance, own = gcd(period, step), gcd(lattice.period, step)
        places = [lattice.locate(offset) for offset in range(0, period, distance)]
        if places == [(place * own, 0) for place in range(along.fragments)]:
            return map_
        algebra, x = self.algebra, map_.tensor
        channels, height, width = (algebra.size(x, axis) for axis in (1, 2, 3))
        outer, sizes = (1, [height, width]) if axis == 0 else (map_.rows.fragments, [width, 1])
        x = algebra.reshape(x, [outer, along.fragments, -1, *sizes])
        parts, real = [], self._count_real(map_, axis)
        counts = [self._add(self._pick(real, begin // own, along), -shift) for begin, shift in places]
        for begin, shift in places:
            part = algebra.cut(x, 1, begin // own, begin // own + 1)
            parts.append(algebra.extend(algebra.cut(part, 3, shift), 5, 3, shift) if shift else part)
        x = algebra.reshape(algebra.join(parts, 1), [-1, channels, height, width])
        spread = Along(len(places), ((along.form, period), 0), algebra.join(counts, 0))
        return Stack(x, *((spread, map_.columns) if axis == 0 else (map_.rows, spread)))

    def _pick(self, counts: T, place: int, along: Along[T]) -> T:
        return counts if along.counts is None else self.algebra.cut(counts, 0, place, place + 1)

    def _shorten(self, maps: list[Stack[T]], axis: int) -> list[Stack[T]]:
        """Returns maps of the least size along an axis."""
        first = maps[0].along[axis]
        if all(map_.along[axis].form == first.form for map_ in maps):
            return maps
        algebra = self.algebra

        def find_least(values: Sequence[T]) -> T:
            return reduce(lambda a, b: algebra.calculate("min", a, b), values)

        size = find_least([algebra.size(map_.tensor, 2 + axis) for map_ in maps])
        real = [self._count_real(map_, axis) for map_ in maps]
        form = (tuple(map_.along[axis].form for map_ in maps), 0)
        least = Along(first.fragments, form, None if first.counts is None else find_least(real))
        cut = [algebra.cut(map_.tensor, 2 + axis, 0, size) for map_ in maps]
        return [
            Stack(x, *((least, map_.columns) if axis == 0 else (map_.rows, least)))
            for x, map_ in zip(cut, maps, strict=True)
        ]


def _find_form(before: tuple[Any, int], sliding: Sliding, factor: int) -> tuple[Any, int]:
    root, grown = before
    more = sliding.before + sliding.after - sliding.kernel + 1
    if sliding.stride == sliding.finer == factor == 1 and not sliding.ceil:
        return root, grown + more
    kept = sliding.before if sliding.ceil else 0  # which decides where a last placement begins
    return (root, grown + more, sliding.stride, sliding.ceil, kept, sliding.finer, factor), 0
