"""Which cells of a score map stand out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def find_peaks(scores: NDArray[np.floating[Any]], threshold: float) -> NDArray[np.intp]:
    """Returns the cells `(n, 2)` that reach the threshold and that none of their eight neighbours exceeds.

    An object raises a whole hill of scores; its top is the box that fits best. On a plateau every cell is a
    peak: suppression sorts out which of their boxes are one object.

    Args:
        scores: `(Gy, Gx)`.
        threshold: the least score.

    >>> find_peaks(np.array([[0.1, 0.9, 0.8], [0.2, 0.3, 0.1], [0.7, 0.1, 0.0]]), 0.5).tolist()
    [[0, 1], [2, 0]]
    """
    rows, columns = scores.shape
    padded = np.pad(scores, 1, constant_values=-np.inf)
    peaks = scores >= threshold
    for y in range(3):
        for x in range(3):
            peaks &= scores >= padded[y : y + rows, x : x + columns]
    return np.argwhere(peaks)
