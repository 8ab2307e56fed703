"""Windows between those of a network's own stride: its trunk sees them on an image cut off above and at the left.

Where a layer pads, a cut image has zeros where the whole one has pixels. So such windows are compared only as far from
the border as the network sees, and elsewhere along an axis only those of the network's own stride.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from fullyconv.grid import Grid, Pair
from fullyconv.verify.outputs import Cell
from fullyconv.verify.samples import choose_cells

Margins = tuple[Pair, Pair]

# Each takes a run of the trunk over the whole image.
_MOST_SHIFTS = 5


@dataclass(frozen=True, slots=True)
class FineGrid:
    """A grid finer than the network's own.

    Attributes:
        grid: where the scores lie.
        own: where they lie at the network's own stride.
        margins_px: pixels outside a window that its score depends on, `((top, bottom), (left, right))`.
    """

    grid: Grid
    own: Grid
    margins_px: Margins

    @property
    def is_own(self) -> bool:
        """Whether it is no finer."""
        return self.grid.stride_px == self.own.stride_px

    def find_shift(self, cell: Cell) -> Pair:
        """Returns the pixel from which on the image has the cell's window at the network's own stride."""
        y, x = self.grid.origin_yx(cell[1:])
        return y % self.own.stride_px[0], x % self.own.stride_px[1]

    def find_own(self, cell: Cell) -> Cell:
        """Returns the cell on the own grid of the shifted image."""
        y, x = self.grid.origin_yx(cell[1:])
        return cell[0], y // self.own.stride_px[0], x // self.own.stride_px[1]

    def is_comparable(self, cell: Cell, size: Pair) -> bool:
        """Returns whether a cell sees the same on the whole image of `size` as on the shifted one."""
        ends = zip(
            self.grid.origin_yx(cell[1:]),
            self.find_shift(cell),
            self.grid.window_px,
            self.margins_px,
            size,
            strict=True,
        )
        return all(
            not shift or (start - before >= shift and start + window + after <= length)
            for start, shift, window, (before, after), length in ends
        )

    def list_shifts(self, cells: Sequence[Cell], size: Pair) -> Iterator[tuple[Pair, tuple[int, ...]]]:
        """Yields the shifts with the most comparable cells, and the places of those in `cells`."""
        places: dict[Pair, list[int]] = {}
        for place, cell in enumerate(cells):
            if self.is_comparable(cell, size):
                places.setdefault(self.find_shift(cell), []).append(place)
        for shift in sorted(places, key=lambda shift: -len(places[shift]))[:_MOST_SHIFTS]:
            yield shift, tuple(places[shift])

    def choose_cells(self, images: int, size: Pair, limit: int, seed: int) -> tuple[Cell, ...]:
        """Returns windows to compare, at most about `limit`: half of them anywhere, half of them of a few shifts."""
        shape = self.grid.shape(size)
        if self.is_own:
            return choose_cells(images, shape, limit, seed)
        anywhere = choose_cells(images, shape, max(1, limit // 2), seed)
        every = [self.own.stride_px[axis] // self.grid.stride_px[axis] for axis in (0, 1)]
        generator = random.Random(seed)
        shifts = {(0, 0), (every[0] - 1, every[1] - 1)}
        shifts |= {(generator.randrange(every[0]), generator.randrange(every[1])) for _ in range(_MOST_SHIFTS - 2)}
        some = [
            (image, row, column)
            for y, x in sorted(shifts)
            for image, row, column in product(range(images), range(y, shape[0], every[0]), range(x, shape[1], every[1]))
            if self.is_comparable((image, row, column), size)
        ]
        chosen = generator.sample(some, min(len(some), max(1, limit // 2)))
        return tuple(sorted({*anywhere, *chosen}))
