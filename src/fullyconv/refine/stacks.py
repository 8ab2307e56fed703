"""A map in fragments in one tensor, for networks that are written for images of open sizes.

All fragments lie in the batch, those of the same rows together, and have the size of the longest: `(Fy * Fx * N, C, h,
w)`. A shorter one has cells at its end that are not real. How many are real is known for each row and each column of
fragments, as values that are computed from the image's size; no operation may look at the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial, reduce
from math import gcd, lcm
from typing import Any, Generic, TypeVar

from fullyconv.analyze.geometry import Sliding
from fullyconv.graph import Pair
from fullyconv.refine.algebra import Algebra
from fullyconv.refine.edges import Edge
from fullyconv.refine.lattice import Lattice, Split
from fullyconv.refine.surroundings import Ends, Kind, Surroundings

T = TypeVar("T")
Lattices = tuple[Lattice, Lattice]
_ONE = (1, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Along(Generic[T]):
    """The fragments along one axis.

    Attributes:
        fragments: how many they are; they begin at even distances.
        size: gives the number of cells of the longest, and of the tensor, `(1,)`; as arithmetic on the image's size,
            because exporters believe that shapes they have seen are those of all images.
        form: maps whose forms are equal have fragments of equal sizes: what strided operations made of the image's
            size, and by how many cells it has changed since.
        counts: how many cells of each are real, `(fragments,)`; None where all of them are.
    """

    fragments: int
    size: Callable[[], T]
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

    def begin(self, image: T) -> Stack[T]:
        """Returns an image `(N, C, H, W)` as its only fragment."""
        rows, columns = (Along(1, cache(partial(self.algebra.size, image, axis))) for axis in (2, 3))
        return Stack(image, rows, columns)

    def match(self, maps: Sequence[Stack[T]], lattices: Sequence[Lattices]) -> list[Stack[T]]:
        """Returns maps with the same fragments of the same size, the least that one of them has."""
        found = list(maps)
        for axis in (0, 1):
            period = lcm(*(pair[axis].period for pair in lattices))
            found = [self._spread(map_, pair[axis], period, axis) for map_, pair in zip(found, lattices, strict=True)]
            found = self._shorten(found, axis)
        return found

    def fill(self, map_: Stack[T], edge: Edge) -> T:
        """Returns the tensor of a map, with cells that are not real as an operation takes what is beyond the end."""
        if edge.fill is None or map_.is_whole:
            return map_.tensor
        if edge.fill == "last":
            return self.surround(map_.tensor, map_, Edge(), "replicate")
        algebra = self.algebra
        rows, columns = map_.rows.fragments, map_.columns.fragments
        channels, height, width = algebra.size(map_.tensor, 1), map_.rows.size(), map_.columns.size()
        seen = algebra.reshape(map_.tensor, [rows, columns, -1, height, width])
        marks = [self._mark(along, axis, along.size(), along.counts)
                 for axis, along in enumerate(map_.along) if along.counts is not None]  # fmt: skip
        value = float("-inf") if edge.fill == "least" else edge.fill
        chosen = algebra.choose(reduce(algebra.mark_both, marks), seen, value)
        return algebra.reshape(chosen, [-1, channels, height, width])

    def surround(self, x: T, map_: Stack[T], edge: Edge, kind: Kind) -> T:
        """Returns what an operation made of a map before it pads, padded with the last real cells.

        Args:
            x: what it made, its stride 1: `(Fy * Fx * N, C, h, w)`.
            map_: what it read.
            edge: how it slides, with the padding that is wanted.
            kind: whether the last cell is repeated, or those before it are mirrored.
        """
        surroundings = Surroundings(self.algebra, kind)
        rows, columns = (self._find_ends(along, sliding) for along, sliding in zip(map_.along, edge.along, strict=True))
        if map_.rows.counts is not None or rows.pads != (0, 0):
            x, rows = surroundings.add(x, 0, (rows, columns)), replace(rows, size=rows.padded)
        if map_.columns.counts is not None or columns.pads != (0, 0):
            x = surroundings.add(x, 1, (rows, columns))
        return x

    def average(self, map_: Stack[T], edge: Edge, kernel: Pair, stride: Pair) -> T:
        """Returns the averages of what a kernel covers of each fragment: sums, divided by how many cells that are.

        Args:
            map_: what it reads.
            edge: how it slides.
            kernel: its size.
            stride: its stride, which may be smaller than the one of `edge`.
        """
        algebra = self.algebra
        reach = [sliding.stride - 1 if sliding.ceil else 0 for sliding in edge.along]
        pads = [(sliding.before, sliding.after + more) for sliding, more in zip(edge.along, reach, strict=True)]
        around = [(0, more) for more in reach] if edge.average else pads
        sums = algebra.average(algebra.pad(self.fill(map_, edge), (pads[0], pads[1])), kernel, stride)
        cells = algebra.average(algebra.pad(self._mark_cells(map_, edge), (around[0], around[1])), kernel, stride)
        height, width = (
            self._slide(along, sliding, sliding.stride // by, reaches=True)()
            for along, sliding, by in zip(map_.along, edge.along, stride, strict=True)
        )
        channels = algebra.size(sums, 1)
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
        reaches = factors != _ONE or (edge.average is not None and not read.is_whole)
        rows, columns = (self._follow(read.along[axis], edge.along[axis], factors[axis]) for axis in (0, 1))
        loose = [self._slide(read.along[axis], edge.along[axis], factors[axis], reaches=reaches) for axis in (0, 1)]
        for axis, along in enumerate((rows, columns)):
            if factors[axis] == 1 and edge.along[axis].ceil and reaches:
                made, loose[axis] = self.algebra.cut(made, 2 + axis, 0, along.size()), along.size
        if factors[0] > 1:
            made = self._part(made, 0, (1, read.rows.fragments, factors[0]), (loose[0](), rows.size()), loose[1]())
        if factors[1] > 1:
            fragments = (rows.fragments, read.columns.fragments, factors[1])
            made = self._part(made, 1, fragments, (loose[1](), columns.size()), rows.size())
        return Stack(made, rows, columns)

    def interleave(self, map_: Stack[T]) -> T:
        """Returns `(N, C, H, W)`, whose neighbouring cells lie in neighbouring fragments."""
        rows, columns = map_.rows.fragments, map_.columns.fragments
        if rows == columns == 1:
            return map_.tensor
        algebra, x = self.algebra, map_.tensor
        channels, height, width = algebra.size(x, 1), map_.rows.size(), map_.columns.size()
        x = algebra.transpose(algebra.reshape(x, [rows, -1, height, width]), (1, 2, 0, 3))
        x = algebra.transpose(algebra.reshape(x, [columns, -1, width]), (1, 2, 0))
        tall, wide = (algebra.calculate("mul", size, algebra.numbers(times))
                      for size, times in ((height, rows), (width, columns)))  # fmt: skip
        return algebra.reshape(x, [-1, channels, tall, wide])

    def _find_ends(self, along: Along[T], sliding: Sliding) -> Ends[T]:
        """Returns where fragments end once a kernel has slid over them, before what it slides over is padded."""
        size, counts = (self._add(cells, 1 - sliding.kernel) for cells in (along.size(), _count_real(along)))
        padded = self._add(size, sliding.before + sliding.after)
        return Ends(along.fragments, size, counts, (sliding.before, sliding.after), padded)

    def _follow(self, before: Along[T], sliding: Sliding, factor: int) -> Along[T]:
        """Returns the fragments after an operation."""
        if factor == 1 and sliding == Sliding():
            return before
        form, size = _find_form(before.form, sliding, factor), self._slide(before, sliding, factor, reaches=factor > 1)
        if factor == 1 and before.counts is None:
            return Along(before.fragments, size, form)
        counts = _count_real(before)
        phases = [self._count(counts, sliding, phase * sliding.stride // factor) for phase in range(factor)]
        part = cache(lambda: self._divide(self._add(size(), factor - 1), factor))
        return Along(before.fragments * factor, part if factor > 1 else size, form, self.algebra.join(phases, 0))

    def _slide(self, before: Along[T], sliding: Sliding, factor: int, *, reaches: bool) -> Callable[[], T]:
        """Returns what gives the size of all phases together: of the operation with its stride divided.

        Where it `reaches` beyond the end for last placements, there are as many as the padding for that gives.
        """
        loose = replace(sliding, stride=sliding.stride // factor)
        if sliding.ceil and reaches:
            loose = replace(loose, after=sliding.after + sliding.stride - 1, ceil=False)
        return cache(lambda: before.size() if loose == Sliding() else self._count(before.size(), loose, 0))

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

    def _part(self, x: T, axis: int, fragments: tuple[int, int, int], sizes: tuple[T, T], other: T) -> T:
        """Returns the phases along an axis as fragments, those of one phase together; zeros fill the last ones.

        Args:
            x: `(N, C, H, W)`.
            axis: 0 for rows, 1 for columns.
            fragments: along the axis before this one, along this one, and how many phases each of them has.
            sizes: of all phases together, and of one.
            other: the size of the other axis.
        """
        algebra, (outer, before, factor), (size, cells) = self.algebra, fragments, sizes
        channels = algebra.size(x, 1)
        whole = algebra.calculate("mul", cells, algebra.numbers(factor))
        x = algebra.extend(x, 4, 2 + axis, algebra.calculate("sub", whole, size))
        x = algebra.reshape(x, [outer, before, -1, cells, factor, other if axis == 0 else 1])
        x = algebra.transpose(x, (0, 4, 1, 2, 3, 5))
        return algebra.reshape(x, [-1, channels, *((cells, other) if axis == 0 else (other, cells))])

    def _mark(self, along: Along[T], axis: int, size: T, counts: T) -> T:
        """Returns which cells are real, with axes for the rows and columns of fragments, N * C, H and W."""
        marks = self.algebra.mark(counts, size)
        sizes: list[int | T] = [along.fragments, 1, 1, size, 1] if axis == 0 else [1, along.fragments, 1, 1, size]
        return self.algebra.reshape(marks, sizes)

    def _mark_cells(self, map_: Stack[T], edge: Edge) -> T:
        """Returns ones `(Fy * Fx, 1, h, w)` for the cells that an average counts, of its padding as well if it does."""
        marks, sizes = [], []
        for axis, (along, sliding) in enumerate(zip(map_.along, edge.along, strict=True)):
            more = sliding.before + sliding.after if edge.average else 0
            sizes.append(self._add(along.size(), more))
            counts = self._add(_count_real(along), more)
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
        channels, height, width = algebra.size(x, 1), map_.rows.size(), map_.columns.size()
        outer = 1 if axis == 0 else map_.rows.fragments
        x = algebra.reshape(x, [outer, along.fragments, -1, along.size(), width if axis == 0 else 1])
        parts, real = [], _count_real(along)
        counts = [self._add(self._pick(real, begin // own, along), -shift) for begin, shift in places]
        for begin, shift in places:
            part = algebra.cut(x, 1, begin // own, begin // own + 1)
            parts.append(algebra.extend(algebra.cut(part, 3, shift), 5, 3, shift) if shift else part)
        x = algebra.reshape(algebra.join(parts, 1), [-1, channels, height, width])
        spread = Along(len(places), along.size, ((along.form, period), 0), algebra.join(counts, 0))
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

        size = find_least([map_.along[axis].size() for map_ in maps])
        real = [_count_real(map_.along[axis]) for map_ in maps]
        form = (tuple(map_.along[axis].form for map_ in maps), 0)
        least = Along(first.fragments, lambda: size, form, None if first.counts is None else find_least(real))
        cut = [algebra.cut(map_.tensor, 2 + axis, 0, size) for map_ in maps]
        return [
            Stack(x, *((least, map_.columns) if axis == 0 else (map_.rows, least)))
            for x, map_ in zip(cut, maps, strict=True)
        ]


def _count_real(along: Along[T]) -> T:
    return along.size() if along.counts is None else along.counts


def _find_form(before: tuple[Any, int], sliding: Sliding, factor: int) -> tuple[Any, int]:
    root, grown = before
    more = sliding.before + sliding.after - sliding.kernel + 1
    if sliding.stride == sliding.finer == factor == 1 and not sliding.ceil:
        return root, grown + more
    kept = sliding.before if sliding.ceil else 0  # which decides where a last placement begins
    return (root, grown + more, sliding.stride, sliding.ceil, kept, sliding.finer, factor), 0
