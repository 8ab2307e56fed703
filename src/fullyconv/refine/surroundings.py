"""Cells beyond the ends of fragments, taken from their own cells: the last one repeated, or the last ones mirrored.

Fragments of several sizes lie in one tensor, so what a runtime pads with would be cells that are not real.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from fullyconv.graph import Pair
from fullyconv.refine.algebra import Algebra

T = TypeVar("T")
Kind = Literal["replicate", "reflect"]

# By what torch calls padding of that kind.
KINDS: Mapping[str, Kind] = {"replicate": "replicate", "reflect": "reflect"}


@dataclass(frozen=True, slots=True, eq=False)
class Ends(Generic[T]):
    """Where fragments end along one axis, and how far cells beyond that are wanted.

    Attributes:
        fragments: how many they are.
        size: cells of each in the tensor, `(1,)`.
        counts: how many of them are real, `(fragments,)` or `(1,)` where they are all alike.
        pads: how many cells are added before and after; negative numbers crop.
        padded: cells of each in the tensor after that, `(1,)`.
    """

    fragments: int
    size: T
    counts: T
    pads: Pair
    padded: T


@dataclass(frozen=True, slots=True)
class Surroundings(Generic[T]):
    """Writes what surrounds the real cells of fragments.

    Attributes:
        algebra: what writes it.
        kind: whether the last cell is repeated, or those before it are mirrored.
    """

    algebra: Algebra[T]
    kind: Kind

    def add(self, x: T, axis: int, ends: tuple[Ends[T], Ends[T]]) -> T:
        """Returns fragments with further cells along one axis, those that are not real among them replaced.

        Args:
            x: `(Fy * Fx * N, C, h, w)`.
            axis: 0 for rows, 1 for columns.
            ends: along both axes; `h` and `w` are their sizes.
        """
        algebra, (rows, columns), channels = self.algebra, ends, self.algebra.size(x, 1)
        if axis == 0:
            seen = algebra.reshape(x, [rows.fragments, -1, rows.size, columns.size])
            moved = self._replace(algebra.transpose(seen, (0, 2, 1, 3)), rows, [-1, columns.size])
            return algebra.reshape(algebra.transpose(moved, (0, 2, 1, 3)), [-1, channels, rows.padded, columns.size])
        seen = algebra.reshape(x, [rows.fragments, columns.fragments, -1, columns.size])
        moved = self._replace(algebra.transpose(seen, (1, 3, 0, 2)), columns, [rows.fragments, -1])
        return algebra.reshape(algebra.transpose(moved, (2, 0, 3, 1)), [-1, channels, rows.size, columns.padded])

    def _replace(self, x: T, along: Ends[T], others: list[int | T]) -> T:
        """Returns `(fragments, padded, ...)` of `(fragments, size, ...)`, whose other axes have the sizes `others`."""
        algebra = self.algebra
        cells = algebra.calculate("mul", along.size, algebra.numbers(along.fragments))
        taken = algebra.take(algebra.reshape(x, [cells, *others]), self._find_places(along))
        return algebra.reshape(taken, [along.fragments, along.padded, *others])

    def _find_places(self, along: Ends[T]) -> T:
        """Returns where each cell's value lies among the cells of all fragments, `(fragments * padded,)`.

        Cells further beyond the end than they are wanted, and those of fragments without any, lie somewhere.
        """
        algebra = self.algebra
        zero, one = algebra.numbers(0), algebra.numbers(1)
        last = algebra.reshape(algebra.calculate("sub", along.counts, one), [-1, 1])
        places = algebra.calculate("sub", algebra.count_up(along.padded), algebra.numbers(along.pads[0]))
        if self.kind == "reflect":
            places = self._measure(places, last)
        inside = algebra.calculate("max", algebra.calculate("min", places, last), zero)
        begins = algebra.calculate("mul", algebra.numbers(*range(along.fragments)), along.size)
        found = algebra.calculate("add", inside, algebra.reshape(begins, [along.fragments, 1]))
        return algebra.reshape(found, [-1])

    def _measure(self, places: T, last: T) -> T:
        """Returns places mirrored at the first cell and at the last."""
        algebra = self.algebra
        after = algebra.calculate("max", places, algebra.calculate("sub", algebra.numbers(0), places))
        beyond = algebra.calculate("sub", after, last)
        away = algebra.calculate("max", beyond, algebra.calculate("sub", algebra.numbers(0), beyond))
        return algebra.calculate("sub", last, away)
