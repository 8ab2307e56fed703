"""Where a picture is hot: the scores of all scales, each laid where its window's centre is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fullyconv.detect import ScoredLevel
from fullyconv.errors import OptionError
from fullyconv.grid import Pair

Heat = NDArray[np.float32]


def combine_heat(levels: Sequence[ScoredLevel], classes: Sequence[int], size: Pair) -> Heat:
    """Returns the highest score at each pixel of a picture, float32 `(height, width)`.

    A score belongs to the centre of its window; between centres it is interpolated linearly. Of the classes
    and of the scales the highest counts: a pixel is as hot as the best window around it, of whatever size.
    Along the border, nearer to it than half a step from the outermost centres, there is no window: NaN.

    Args:
        levels: the scores of one image, from `scan_pyramid`.
        classes: which outputs count.
        size: `(height, width)` of the picture, which shows the whole image at any size.
    """
    if not levels or not classes:
        raise OptionError("heat: expected scores of at least one scale and one class, got none")
    heat = np.full(size, np.nan, dtype=np.float32)
    for scored in levels:
        heat = np.fmax(heat, _lay(scored, classes, size))
    return heat


def normalise_heat(heat: Heat) -> Heat:
    """Returns the heat brought to 0 to 1 by its own least and most, for networks that end in raw scores."""
    if np.isnan(heat).all():
        return heat
    least, most = np.nanmin(heat), np.nanmax(heat)
    return np.asarray((heat - least) / (most - least if most > least else 1), dtype=np.float32)


def _lay(scored: ScoredLevel, classes: Sequence[int], size: Pair) -> Heat:
    scores = scored.score_map.scores[list(classes)].max(axis=0).astype(np.float32)
    rows = _find_cells(scored, 0, size[0])
    columns = _find_cells(scored, 1, size[1])
    return _interpolate(_interpolate(scores, rows).T, columns).T


def _find_cells(scored: ScoredLevel, axis: int, length: int) -> NDArray[np.float64]:
    """Returns the position among the cells' centres of each pixel of the picture; NaN beyond them."""
    grid, scaled = scored.score_map.grid, scored.level.size[axis]
    pixels = (np.arange(length) + 0.5) * scaled / length
    cells = (pixels - grid.window_px[axis] / 2) / grid.stride_px[axis]
    last = scored.score_map.scores.shape[1 + axis] - 1
    return np.where((cells >= -0.5) & (cells <= last + 0.5), np.clip(cells, 0, last), np.nan)


def _interpolate(values: Heat, positions: NDArray[np.float64]) -> Heat:
    """Returns `values` at fractional rows, `(len(positions), width)`; NaN where the position is.

    Beside a row without a number there is none to mix with: the nearer row's own value reaches half-way there.
    """
    outside = np.isnan(positions)
    at = np.where(outside, 0, positions)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(values) - 1)
    share = (at - low).astype(np.float32)[:, None]
    mixed = values[low] * (1 - share) + values[high] * share
    nearer = np.where(share < 0.5, values[low], values[high])
    mixed = np.where(np.isnan(mixed), nearer, mixed)
    mixed[outside] = np.nan
    return np.asarray(mixed, dtype=np.float32)
