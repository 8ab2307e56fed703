"""A map whose fragments lie in one another, each cell at the place of its window.

It holds the same cells as its fragments do apart. What pads or looks at neighbours does so at the distance of a
fragment's own cells, and no end needs care: where the map ends, each of its fragments does.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fullyconv.graph import Pair
from fullyconv.refine.fragments import Count, Fragments, Phases, make_whole, split_fragments
from fullyconv.refine.lattice import Split

WHOLE = (Phases(), Phases())


@dataclass(frozen=True, slots=True, eq=False)
class Interleaved:
    """A map whose fragments lie in one another.

    Attributes:
        tensor: `(N, C, H, W)`.
        phases: which cells are of which fragment, along both axes; by default all are of one.
    """

    tensor: Tensor
    phases: tuple[Phases, Phases] = WHOLE

    @property
    def hole(self) -> Pair:
        """How many cells it is from one cell of a fragment to the next, `(y, x)`."""
        return self.phases[0].factor, self.phases[1].factor

    def divide(self, limit: Pair) -> Fragments:
        """Returns its fragments.

        Args:
            limit: where the last window begins, in pixels; later fragments serve none.
        """
        whole = make_whole(self.tensor)
        if self.hole == (1, 1):
            return whole
        counts = (_count_along(self, 0), _count_along(self, 1))
        return split_fragments(whole, self.phases, counts, limit)


def _count_along(map_: Interleaved, axis: int) -> Count:
    size, factor = int(map_.tensor.shape[2 + axis]), map_.hole[axis]
    return lambda _, phase: -(-(size - phase) // factor)


def trim(maps: list[Tensor]) -> list[Tensor]:
    """Returns maps `(N, C, H, W)` with the same fragments, of the least size that one of them has."""
    if all(map_.shape[2:] == maps[0].shape[2:] for map_ in maps[1:]):
        return maps
    height, width = (min(int(map_.shape[axis]) for map_ in maps) for axis in (2, 3))
    return [map_[..., :height, :width] for map_ in maps]


def follow_phases(
    before: tuple[Phases, Phases], splits: tuple[Split, Split], limit: Pair
) -> tuple[Phases, Phases] | None:
    """Returns the phases of what an operation makes at every one of its own; None where fragments lie better apart.

    Args:
        before: of what it reads.
        splits: how it becomes fragments, along both axes.
        limit: where the last window begins, in pixels. Where fragments begin later, they would be computed for none.
    """
    rows, columns = (_follow(*axis) for axis in zip(before, splits, limit, strict=True))
    return None if rows is None or columns is None else (rows, columns)


def _follow(before: Phases, split: Split, limit: int) -> Phases | None:
    if split.factor == 1:
        return before
    is_first = before.factor == 1
    after = Phases(before.factor * split.factor, split.phase_px if is_first else before.apart_px)
    in_turn = is_first or split.phase_px == before.factor * before.apart_px
    return after if in_turn and (after.factor - 1) * after.apart_px <= limit else None
