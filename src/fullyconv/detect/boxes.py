"""Where a cell of a scaled image's score map lies in the image itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fullyconv.grid import Grid, Pair

Boxes = NDArray[np.float64]


def locate_boxes(cells: NDArray[np.intp], grid: Grid, *, scaled_size: Pair, image_size: Pair) -> Boxes:
    """Returns the windows of `cells` as half-open boxes `(n, 4)`, float64 xyxy in pixels of the image.

    Args:
        cells: `(n, 2)`, row and column in the score map.
        grid: the network's grid.
        scaled_size: `(height, width)` of the image that the network saw.
        image_size: `(height, width)` of the image; the boxes are clipped to it.
    """
    stride, window = np.array(grid.stride_px), np.array(grid.window_px)
    factor = np.array(image_size) / np.array(scaled_size)
    top_left = cells * stride
    corners = np.stack([top_left * factor, (top_left + window) * factor], axis=1)
    corners = np.clip(corners, 0, np.array(image_size))
    return np.ascontiguousarray(corners[:, :, ::-1]).reshape(-1, 4)
