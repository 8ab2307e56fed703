"""A small picture of an image of any size, read region by region from the coarsest level that is fine enough."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fullyconv.errors import OptionError
from fullyconv.grid import Pair, format_size
from fullyconv.images.pixels import Image8, to_image8
from fullyconv.images.source import ImageLevel, Source
from fullyconv.images.stored import Bands

# About so many pixels are in memory at once: 12 MiB of RGB, and as much again while they are converted.
_BLOCK_PX = 2**22


def read_thumbnail(source: Source, size: Pair, *, bands: Bands | None = None) -> Image8:
    """Returns the whole image at `size`, uint8 `(height, width, C)`, each pixel the mean of those it stands for.

    Pixels are converted as `fullyconv.images.pixels.to_image8` does: transparent ones are laid over white.

    Args:
        source: the image.
        size: `(height, width)`, at most that of level 0.
        bands: those that were chosen when the image was opened, if any were.

    Raises:
        OptionError: the size is larger than the image.
        ImageError: a region cannot be read.
    """
    level = choose_level(source.levels, size)
    y_edges, x_edges = (_cut(source.levels[level].size[axis], size[axis]) for axis in (0, 1))
    side = max(1, int(_BLOCK_PX**0.5) * size[0] // source.levels[level].size[0])
    rows = []
    for top in range(0, size[0], side):
        columns = []
        for left in range(0, size[1], side):
            edges = y_edges[top : top + side + 1], x_edges[left : left + side + 1]
            origin, part = _enclose(*edges)
            columns.append(_average(to_image8(source.read(level, origin, part), bands=bands), *edges))
        rows.append(np.concatenate(columns, axis=1))
    return np.concatenate(rows)


def choose_level(levels: Sequence[ImageLevel], size: Pair) -> int:
    """Returns the coarsest level that has at least `size` `(height, width)`.

    Raises:
        OptionError: none has.
    """
    fine = [index for index, level in enumerate(levels) if level.size[0] >= size[0] and level.size[1] >= size[1]]
    if not fine or min(size) < 1:
        raise OptionError(
            f"expected a picture of 1x1 to {format_size(levels[0].size)}, the image's own size, "
            f"got {format_size(size)}; choose a size between"
        )
    return min(fine, key=lambda index: levels[index].size[0] * levels[index].size[1])


def _cut(length: int, parts: int) -> NDArray[np.int64]:
    """Returns where `parts` parts of about equal length begin, and where the last one ends."""
    return np.arange(parts + 1) * length // parts


def _enclose(y_edges: NDArray[np.int64], x_edges: NDArray[np.int64]) -> tuple[Pair, Pair]:
    """Returns origin and size of the region that the edges cut."""
    origin = int(y_edges[0]), int(x_edges[0])
    return origin, (int(y_edges[-1]) - origin[0], int(x_edges[-1]) - origin[1])


def _average(pixels: Image8, y_edges: NDArray[np.int64], x_edges: NDArray[np.int64]) -> Image8:
    """Returns the mean of the pixels between each two edges, rounded."""
    rows = np.add.reduceat(pixels, y_edges[:-1] - y_edges[0], axis=0, dtype=np.float64)
    sums = np.add.reduceat(rows, x_edges[:-1] - x_edges[0], axis=1)
    counts = np.diff(y_edges)[:, None, None] * np.diff(x_edges)[None, :, None]
    mean: Image8 = np.rint(sums / counts).astype(np.uint8)
    return mean
