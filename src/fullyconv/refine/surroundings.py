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
            made = self._replace(seen, rows, 1, [columns.size])
            return algebra.reshape(made, [-1, channels, rows.padded, columns.size])
        seen = algebra.reshape(x, [rows.fragments * columns.fragments, -1, columns.size])
        made = self._replace(seen, columns, rows.fragments, [])
        return algebra.reshape(made, [-1, channels, rows.size, columns.padded])

    def _replace(self, x: T, along: Ends[T], times: int, others: list[int | T]) -> T:
        """Returns `(fragments, R, padded, ...)` of `(fragments, R, size, ...)`.

        Cells are moved before what lies beside them, by one axis, which runtimes do quickly, and taken as wholes.

        Args:
            x: the map.
            along: where its fragments end.
            times: how often they come one after the other.
            others: the sizes of the axes after the cells.
        """
        algebra, order, count = self.algebra, (0, 2, 1, 3)[: 3 + len(others)], times * along.fragments
        cells = algebra.calculate("mul", along.size, algebra.numbers(count))
        flat = algebra.reshape(algebra.transpose(x, order), [cells, -1, *others])
        taken = algebra.take(flat, self._find_places(along, times))
        return algebra.transpose(algebra.reshape(taken, [count, along.padded, -1, *others]), order)

    def _find_places(self, along: Ends[T], times: int) -> T:
        """Returns where each cell's value lies among the cells of all fragments, `(times * fragments * padded,)`.

        Cells further beyond the end than they are wanted, and those of fragments without any, lie somewhere.
        """
        algebra = self.algebra
        last = algebra.reshape(algebra.calculate("sub", along.counts, algebra.numbers(1)), [-1, 1])
        places = algebra.calculate("sub", algebra.count_up(along.padded), algebra.numbers(along.pads[0]))
        if self.kind == "reflect":
            places = self._measure(places, last)
        inside = algebra.calculate("max", algebra.calculate("min", places, last), algebra.numbers(0))
        begins = algebra.calculate("mul", algebra.numbers(*range(times * along.fragments)), along.size)
        found = algebra.calculate("add", inside, algebra.reshape(begins, [times, along.fragments, 1]))
        return algebra.reshape(found, [-1])

    def _measure(self, places: T, last: T) -> T:
        """Returns places mirrored at the first cell and at the last."""
        algebra = self.algebra
        after = algebra.calculate("max", places, algebra.calculate("sub", algebra.numbers(0), places))
        beyond = algebra.calculate("sub", after, last)
        away = algebra.calculate("max", beyond, algebra.calculate("sub", algebra.numbers(0), beyond))
        return algebra.calculate("sub", last, away)
