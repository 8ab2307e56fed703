"""Where a slide has tissue: what is more saturated than a threshold, at low resolution."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from fullyconv.errors import OptionError
from fullyconv.images.pixels import Image8
from fullyconv.images.source import Source
from fullyconv.images.thumbnail import read_thumbnail
from fullyconv.scan.regions.cell_mask import Wanted

# About 2048 pixels a side: one is 50 of a slide of 100,000, far less than a window.
_LOOKED_AT_PX = 2**22

# Saturation is a ratio: of nearly black pixels it is the ratio of their noise. Scanners fill what they skip with black.
_DARKEST = 16


def find_tissue(source: Source, name: str) -> Wanted:
    """Returns where there is tissue, bool `(height, width)` of about four megapixels at most.

    Rule: saturation as in HSV, `(max - min) / max` of red, green and blue, above Otsu's threshold for this image.
    Nothing is closed, opened or left out. Of a slide without tissue it shows the noise.

    Args:
        source: the image.
        name: what people call it.

    Raises:
        OptionError: the image has no colours, or only one saturation.
        ImageError: it cannot be read.
    """
    if source.channels not in (3, 4):
        raise OptionError(
            f"{name}: expected red, green and blue to find tissue by its saturation, got {source.channels} channels; "
            "give a mask image or a GeoJSON file"
        )
    height, width = source.levels[0].size
    shrink = min(1.0, sqrt(_LOOKED_AT_PX / (height * width)))
    size = max(1, round(height * shrink)), max(1, round(width * shrink))
    saturation = measure_saturation(read_thumbnail(source, size))
    histogram = np.bincount(saturation.ravel(), minlength=256)
    if np.count_nonzero(histogram) < 2:
        raise OptionError(
            f"{name}: expected tissue on a ground of another saturation, got one saturation all over; "
            "give a mask image or a GeoJSON file"
        )
    return np.asarray(saturation > find_threshold(histogram))


def measure_saturation(image: Image8) -> NDArray[np.uint8]:
    """Returns 255 times the saturation of a red, green and blue image, uint8 `(H, W)`; 0 for what is nearly black."""
    most, least = image.max(axis=2).astype(np.uint32), image.min(axis=2).astype(np.uint32)
    share = (most - least) * 255 // np.maximum(most, 1)
    return np.where(most < _DARKEST, 0, share).astype(np.uint8)


def find_threshold(histogram: NDArray[np.int64]) -> int:
    """Returns the value that parts a histogram best: up to it one class, above it the other.

    Otsu's method: of all thresholds the one with the largest variance between the two classes,
    `w0 * w1 * (mean1 - mean0)**2`; of several the lowest. N. Otsu, "A Threshold Selection Method from Gray-Level
    Histograms", IEEE Transactions on Systems, Man, and Cybernetics 9 (1), 1979, equation 14.

    Args:
        histogram: how often each value occurs, from 0 up; at least two values do.

    >>> find_threshold(np.array([5, 9, 1, 0, 0, 0, 3, 2]))
    2
    """
    values = np.arange(len(histogram))
    below = np.cumsum(histogram)[:-1].astype(np.float64)
    above = histogram.sum() - below
    total_below = np.cumsum(histogram * values)[:-1]
    total_above = (histogram * values).sum() - total_below
    difference = total_above / np.maximum(above, 1) - total_below / np.maximum(below, 1)
    return int(np.argmax(below * above * difference**2))
