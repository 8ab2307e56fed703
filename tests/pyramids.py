"""An image in memory as a source with levels, for tests of what reads sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fullyconv.images.source import Georeference, ImageLevel, Pixels, check_region


class Pyramid:
    """Levels are arrays `(H, W, C)`, the full one first; notes the regions that are read."""

    def __init__(
        self,
        arrays: Sequence[Pixels],
        *,
        microns_per_pixel: tuple[float, float] | None = None,
        georeference: Georeference | None = None,
    ) -> None:
        self.arrays = list(arrays)
        full = self.arrays[0].shape
        self.levels = tuple(
            ImageLevel(each.shape[:2], (full[0] / each.shape[0], full[1] / each.shape[1])) for each in self.arrays
        )
        self.dtype: np.dtype[Any] = self.arrays[0].dtype
        self.channels = full[2]
        self.microns_per_pixel = microns_per_pixel
        self.georeference = georeference
        self.reads: list[tuple[int, tuple[int, int], tuple[int, int]]] = []

    def read(self, level: int, origin_yx: tuple[int, int], size: tuple[int, int]) -> Pixels:
        check_region(self.levels[level], origin_yx, size)
        self.reads.append((level, origin_yx, size))
        (y, x), (height, width) = origin_yx, size
        return self.arrays[level][y : y + height, x : x + width]

    def close(self) -> None:
        self.arrays.clear()
