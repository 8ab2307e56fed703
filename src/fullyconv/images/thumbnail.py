"""A small picture of an image of any size, read region by region from the coarsest level that is fine enough."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fullyconv.errors import OptionError
from fullyconv.grid import Pair, format_size
from fullyconv.images.pixels import Image8
from fullyconv.images.source import ImageLevel, Pixels, Source

# About so many pixels are in memory at once, as floating-point numbers: 48 MiB of RGB.
_BLOCK_PX = 2**22


def read_thumbnail(source: Source, size: Pair) -> Image8:
    """Returns the whole image at `size`, uint8 `(height, width, C)`, each pixel the mean of those it stands for.

    Transparent pixels are laid over white; 16-bit values are divided by 257. C is 1 for grey, 3 for red, green, blue,
    else as many as the image has bands.

    Args:
        source: the image.
        size: `(height, width)`, at most that of level 0.

    Raises:
        OptionError: the size is larger than the image.
        ImageError: a region cannot be read.
    """
    level = choose_level(source.levels, size)
    y_edges, x_edges = (_cut(source.levels[level].size[axis], size[axis]) for axis in (0, 1))
    channels = 3 if source.channels == 4 else source.channels
    picture = np.empty((*size, channels), dtype=np.uint8)
    side = max(1, int(_BLOCK_PX**0.5) * size[0] // source.levels[level].size[0])
    for top in range(0, size[0], side):
        for left in range(0, size[1], side):
            part = slice(top, top + side), slice(left, left + side)
            picture[part] = _shrink(source, level, y_edges[top : top + side + 1], x_edges[left : left + side + 1])
    return picture


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


def _shrink(source: Source, level: int, y_edges: NDArray[np.int64], x_edges: NDArray[np.int64]) -> Image8:
    origin = int(y_edges[0]), int(x_edges[0])
    values = _lay_over_white(source.read(level, origin, (int(y_edges[-1]) - origin[0], int(x_edges[-1]) - origin[1])))
    rows = np.add.reduceat(values, y_edges[:-1] - origin[0], axis=0, dtype=np.float64)
    sums = np.add.reduceat(rows, x_edges[:-1] - origin[1], axis=1)
    counts = np.diff(y_edges)[:, None, None] * np.diff(x_edges)[None, :, None]
    mean: Image8 = np.rint(sums / counts).astype(np.uint8)
    return mean


def _lay_over_white(pixels: Pixels) -> NDArray[np.float32]:
    """Returns values of 0 to 255, the last of four channels taken for opacity."""
    values = np.asarray(pixels, dtype=np.float32)
    if pixels.dtype == np.uint16:
        values = values / np.float32(257)
    if values.shape[2] != 4:
        return values
    opacity = values[:, :, 3:] / 255
    return np.asarray(values[:, :, :3] * opacity + 255 * (1 - opacity), dtype=np.float32)
