"""Scores that are read block by block, and coarser where all of them would be too many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fullyconv.detect import Level, ScoredLevel
from fullyconv.grid import Grid, Pair
from fullyconv.scan import ScoreMap
from fullyconv.scan.multiscales import shrink
from fullyconv.scan.placement import Placement
from fullyconv.scan.tiles import Span

Values = NDArray[np.floating[Any]]

# About so many scores are in memory at once: 64 MiB of float32.
_BLOCK_VALUES = 2**24


class ScoreReader(Protocol):
    """Scores of any size; a score map on disk is one."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(K, Gy, Gx)`."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        ...

    def read(self, rows: Span, columns: Span) -> Values:
        """Returns a block, `(K, rows, columns)`, NaN where there is no score."""
        ...


def read_hottest(
    levels: Sequence[ScoreReader], placement: Placement, outputs: Sequence[int], size: Pair
) -> ScoredLevel:
    """Returns the highest of some scores, `(1, rows, columns)`, no finer than a picture: no hot cell falls between.

    A cell of it is the highest of `2**n x 2**n`. It stands for a window around all of theirs, whose centre is where
    the mean of their centres is.

    Args:
        levels: all scores of an image, then the highest of each 2x2, and so on; the first will do.
        placement: where the cells of the first level lie.
        outputs: which scores count.
        size: `(height, width)` of the picture, which shows the whole image.
    """
    halvings = choose_halvings(placement.shape, size)
    ready = min(halvings, len(levels) - 1)
    values = _read_reduced(levels[ready], outputs, halvings - ready)
    step = 2**halvings
    stride = placement.grid.stride_px
    grid = Grid(placement.grid.extent_px((step, step)), (stride[0] * step, stride[1] * step), (1, 1))
    return ScoredLevel(Level(1.0, placement.level_size), ScoreMap(values[None], grid, placement.level_size))


def choose_halvings(shape: Pair, size: Pair) -> int:
    """Returns how often a grid must be halved to have no more cells than a picture has pixels, along either side.

    >>> choose_halvings((3125, 3125), (1000, 2000)), choose_halvings((10, 10), (1000, 2000))
    (2, 0)
    """
    return max(0, *((-(-cells // pixels) - 1).bit_length() for cells, pixels in zip(shape, size, strict=True)))


def _read_reduced(scores: ScoreReader, outputs: Sequence[int], halvings: int) -> Values:
    """Returns the highest of `outputs` in each square of `2**halvings` cells, `(rows, columns)`."""
    step, (count, height, width) = 2**halvings, scores.shape
    side = step * max(1, int((_BLOCK_VALUES / count) ** 0.5) // step)
    found = np.empty((-(-height // step), -(-width // step)), scores.dtype)
    for top in range(0, height, side):
        for left in range(0, width, side):
            block = scores.read((top, min(top + side, height)), (left, min(left + side, width)))[list(outputs)]
            hottest = np.fmax.reduce(block, axis=0)[None]
            for _ in range(halvings):
                hottest = shrink(hottest)
            found[top // step : (top + side) // step, left // step : (left + side) // step] = hottest[0]
    return found
