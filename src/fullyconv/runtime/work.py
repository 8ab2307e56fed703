"""How much is to be run, as far as that is known."""

from __future__ import annotations

from dataclasses import dataclass

from fullyconv.grid import Pair


@dataclass(frozen=True, slots=True)
class Work:
    """What a network is to be run on.

    Attributes:
        image_px: `(height, width)` of one run, a whole image or a tile of it; None where nobody knows.
        total_px: pixels of all runs together; None where nobody knows.
    """

    image_px: Pair | None = None
    total_px: int | None = None
