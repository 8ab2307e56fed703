"""Greedy non-maximum suppression: of boxes that overlap too much, the best one stays.

The boxes are taken from the highest score down; each that is still there stays, and removes those below it
whose intersection over union with it is above the limit. A spatial index gives each box's neighbours, so the
work grows with the overlaps there are and not with the square of the number of boxes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely
from numpy.typing import NDArray

from fullyconv.detect.boxes import Boxes

# Neighbours are asked for in blocks of boxes, which grow while the answers are short: the index is called
# seldom where boxes overlap little, and the answers stay small where thousands lie upon each other.
_FIRST_BLOCK = 8
_PAIRS = 500_000


def suppress(
    boxes: Boxes,
    scores: NDArray[np.float64],
    *,
    iou: float,
    groups: NDArray[np.intp] | None = None,
) -> NDArray[np.intp]:
    """Returns the positions of the boxes that stay, highest score first, equal scores in the order given.

    Args:
        boxes: `(n, 4)`, xyxy.
        scores: `(n,)`.
        iou: boxes whose intersection over union is above this are one object; exactly this are two.
        groups: `(n,)`; boxes of different groups (classes) never suppress each other. One group if None.
    """
    order = np.argsort(-scores, kind="stable")
    if groups is None:
        return order[_keep(boxes[order], iou)]
    keep = np.zeros(len(order), dtype=bool)
    sorted_groups = groups[order]
    for group in np.unique(sorted_groups):
        members = np.flatnonzero(sorted_groups == group)
        keep[members] = _keep(boxes[order[members]], iou)
    return order[keep]


def _keep(boxes: Boxes, iou: float) -> NDArray[np.bool_]:
    """Returns which of the boxes, sorted by falling score, stay."""
    alive = np.ones(len(boxes), dtype=bool)
    shapes = shapely.box(*boxes.T)
    tree = shapely.STRtree(shapes)
    block, start = _FIRST_BLOCK, 0
    while len(candidates := start + np.flatnonzero(alive[start:])[:block]):
        better, worse = tree.query(shapes[candidates])
        pairs = len(better)
        for first, others in _overlaps(boxes, candidates[better], worse, iou):
            if alive[first]:
                alive[others] = False
        start = candidates[-1] + 1
        block = max(1, min(2 * block, block * _PAIRS // max(1, pairs)))
    return alive


def _overlaps(
    boxes: Boxes, better: NDArray[np.intp], worse: NDArray[np.intp], iou: float
) -> Iterator[tuple[np.intp, NDArray[np.intp]]]:
    """Yields each better box, from the best down, with the worse ones that overlap it too much."""
    later = worse > better
    better, worse = better[later], worse[later]
    over = _measure_iou(boxes[better], boxes[worse]) > iou
    order = np.argsort(better[over], kind="stable")
    better, worse = better[over][order], worse[over][order]
    firsts, starts = np.unique(better, return_index=True)
    yield from zip(firsts, np.split(worse, starts[1:]), strict=bool(len(firsts)))


def _measure_iou(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    union = np.prod(a[:, 2:] - a[:, :2], axis=1) + np.prod(b[:, 2:] - b[:, :2], axis=1) - shared
    share: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return share
