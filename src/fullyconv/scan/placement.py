"""Where the cells of a score map lie in the image itself, whichever of its levels was scanned.

Positions are in pixels of level 0, measured from the image's top-left corner: pixel 0 reaches from 0 to 1, its centre
is 0.5. Scanning a level at downsample `d`, cell `i` has the window from `i*stride*d` to `(i*stride + window)*d`, and
its score belongs to that window's centre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fullyconv.errors import OptionError
from fullyconv.grid import Grid, Pair
from fullyconv.images.source import PerPixel
from fullyconv.scan.tiles import Span


@dataclass(frozen=True, slots=True)
class Placement:
    """The cells of one scanned level, and where they are in level 0.

    Attributes:
        grid: where each score lies in the scanned level.
        level_size: `(height, width)` of the scanned level, in its own pixels; at least the window.
        downsample: how many pixels of level 0 one of its pixels is, `(y, x)`.

    >>> placement = Placement(Grid((64, 64), (32, 32), (2, 2)), level_size=(256, 128), downsample=(4.0, 4.0))
    >>> placement.shape, placement.step_px, placement.first_centre_px
    ((7, 3), (128.0, 128.0), (128.0, 128.0))
    >>> placement.centres(0, (2, 4)).tolist()
    [384.0, 512.0]
    """

    grid: Grid
    level_size: Pair
    downsample: PerPixel = (1.0, 1.0)

    def __post_init__(self) -> None:
        self.grid.shape(self.level_size)
        if len(self.downsample) != 2 or not all(each > 0 for each in self.downsample):
            raise OptionError(f"downsample: expected two numbers above 0 (y, x), got {self.downsample}")

    @property
    def shape(self) -> Pair:
        """How many cells there are, `(Gy, Gx)`."""
        return self.grid.shape(self.level_size)

    @property
    def image_size_px(self) -> PerPixel:
        """The image's `(height, width)` in pixels of level 0, as the level's own size gives it: no whole numbers."""
        return self.level_size[0] * self.downsample[0], self.level_size[1] * self.downsample[1]

    @property
    def step_px(self) -> PerPixel:
        """Pixels of level 0 between the centres of neighbouring windows, `(y, x)`."""
        return self.grid.stride_px[0] * self.downsample[0], self.grid.stride_px[1] * self.downsample[1]

    @property
    def first_centre_px(self) -> PerPixel:
        """The centre of the first window, `(y, x)`."""
        return self.grid.window_px[0] / 2 * self.downsample[0], self.grid.window_px[1] / 2 * self.downsample[1]

    def centres(self, axis: int, span: Span) -> NDArray[np.float64]:
        """Returns the centres of the windows of cells `span` along `axis`, 0 for y and 1 for x."""
        return np.asarray(self.first_centre_px[axis] + np.arange(*span) * self.step_px[axis], dtype=np.float64)
