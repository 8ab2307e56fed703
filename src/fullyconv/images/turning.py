"""Images that are stored lying or mirrored, read upright."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fullyconv.grid import Pair
from fullyconv.images.region_source import Fetcher
from fullyconv.images.source import PerPixel, Pixels

# The orientation tag of TIFF and EXIF: whether rows and columns are exchanged, and then which axes run backwards.
_TURNS = {
    2: (False, False, True), 3: (False, True, True), 4: (False, True, False),
    5: (True, False, False), 6: (True, False, True), 7: (True, True, True), 8: (True, True, False),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Turn:
    """How a stored image becomes upright.

    Attributes:
        is_sideways: whether rows and columns are exchanged, first of all.
        is_flipped: which axes `(y, x)` then run backwards.
    """

    is_sideways: bool = False
    is_flipped: tuple[bool, bool] = (False, False)

    def turn_size(self, size: Pair) -> Pair:
        """Returns what becomes of a `(height, width)`."""
        return (size[1], size[0]) if self.is_sideways else size

    def turn_scale(self, scale: PerPixel | None) -> PerPixel | None:
        """Returns what becomes of a scale `(y, x)`."""
        return (scale[1], scale[0]) if scale is not None and self.is_sideways else scale


def find_turn(orientation: int) -> Turn:
    """Returns how an image with this orientation tag becomes upright."""
    is_sideways, down, across = _TURNS.get(orientation, (False, False, False))
    return Turn(is_sideways, (down, across))


class TurnedFetcher:
    """Fetches regions of an image as it is upright.

    Args:
        fetcher: of the image as it is stored.
        turn: how it becomes upright.
        sizes: `(height, width)` of the upright levels.
    """

    def __init__(self, fetcher: Fetcher, turn: Turn, sizes: Sequence[Pair]) -> None:
        self._fetcher, self._turn, self._sizes = fetcher, turn, sizes

    def fetch(self, level: int, origin_yx: Pair, size: Pair) -> Pixels:
        """Returns the chosen bands of a region of the upright image."""
        y, x = (
            whole - start - length if is_flipped else start
            for whole, start, length, is_flipped in zip(
                self._sizes[level], origin_yx, size, self._turn.is_flipped, strict=True
            )
        )
        origin = (x, y) if self._turn.is_sideways else (y, x)
        pixels = self._fetcher.fetch(level, origin, self._turn.turn_size(size))
        upright = pixels.transpose(1, 0, 2) if self._turn.is_sideways else pixels
        steps = [-1 if is_flipped else 1 for is_flipped in self._turn.is_flipped]
        return np.ascontiguousarray(upright[:: steps[0], :: steps[1]])

    def close(self) -> None:
        """Lets go of the file."""
        self._fetcher.close()
