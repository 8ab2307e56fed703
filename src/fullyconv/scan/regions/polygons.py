"""A region as polygons: of a block of cells only the parts that an outline crosses are looked at cell by cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import shapely

from fullyconv.scan.placement import Placement
from fullyconv.scan.regions.cell_mask import Wanted
from fullyconv.scan.tiles import Span

# So many cells are tested one by one, rather than halved again: about what one more halving costs.
_LEAF_CELLS = 2**12

_Block = tuple[Span, Span]
_Relation = Literal["outside", "within", "crossed"]


@dataclass(frozen=True, slots=True, eq=False)
class PolygonMask:
    """A region given by polygons. What lies on an outline is inside.

    Attributes:
        area: a shapely geometry, in pixels of level 0, x to the right and y down.
        placement: the cells.
    """

    area: Any
    placement: Placement

    def __post_init__(self) -> None:
        shapely.prepare(self.area)

    def inside(self, rows: Span, columns: Span) -> Wanted:
        """Returns which cells of a block are wanted, bool `(rows, columns)`."""
        wanted = np.zeros((rows[1] - rows[0], columns[1] - columns[0]), dtype=bool)
        for (part_rows, part_columns), values in self._find(rows, columns):
            down, across = slice(*(i - rows[0] for i in part_rows)), slice(*(j - columns[0] for j in part_columns))
            wanted[down, across] = values
        return wanted

    def selects_any(self, rows: Span, columns: Span) -> bool:
        """Returns whether any cell of a block is wanted."""
        return any(np.any(values) for _, values in self._find(rows, columns))

    def _find(self, rows: Span, columns: Span) -> Iterator[tuple[_Block, Wanted | Literal[True]]]:
        """Yields parts of the block that may hold wanted cells, and which they are."""
        waiting: list[_Block] = [(rows, columns)]
        while waiting:
            block = waiting.pop()
            relation = self._relate(block)
            if relation == "within":
                yield block, True
            elif relation == "crossed":
                halves = _halve(block)
                waiting += halves
                if not halves:
                    yield block, self._test(block)

    def _relate(self, block: _Block) -> _Relation:
        """Returns how the centres of the block's windows, and half a step around them, lie to the area."""
        bounds = []
        for axis, span in enumerate(block):
            first, last = self.placement.centres(axis, span)[[0, -1]]
            half = self.placement.step_px[axis] / 2
            bounds.append((first - half, last + half))
        (top, bottom), (left, right) = bounds
        box = shapely.box(left, top, right, bottom)
        if not shapely.intersects(self.area, box):
            return "outside"
        return "within" if shapely.contains(self.area, box) else "crossed"

    def _test(self, block: _Block) -> Wanted:
        y, x = np.meshgrid(*(self.placement.centres(axis, span) for axis, span in enumerate(block)), indexing="ij")
        return np.asarray(shapely.intersects_xy(self.area, x, y))


def _halve(block: _Block) -> list[_Block]:
    """Returns the block's halves along its longer side; none if it is small."""
    rows, columns = block
    height, width = rows[1] - rows[0], columns[1] - columns[0]
    if height * width <= _LEAF_CELLS:
        return []
    if height > width:
        middle = rows[0] + height // 2
        return [((rows[0], middle), columns), ((middle, rows[1]), columns)]
    middle = columns[0] + width // 2
    return [(rows, (columns[0], middle)), (rows, (middle, columns[1]))]
