"""What every region answers: which of a block of grid cells are wanted.

A cell is wanted if the centre of its window lies in the region. So a heat map fills just the shape that was drawn,
whatever the window's size; with "any overlap" it would swell by half a window all around. Whoever wants windows that
only touch draws the region larger.

A grid may have 10**10 cells: no region ever makes the mask of all of them, each answers block by block.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fullyconv.scan.tiles import Span

Wanted = NDArray[np.bool_]


class CellMask(Protocol):
    """Which cells of a score map are wanted."""

    def inside(self, rows: Span, columns: Span) -> Wanted:
        """Returns which cells of a block are wanted, bool `(rows, columns)`."""
        ...

    def selects_any(self, rows: Span, columns: Span) -> bool:
        """Returns whether any cell of a block is wanted, in memory and time that hardly grow with the block."""
        ...
