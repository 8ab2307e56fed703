"""From cells that stand out, at every size an image was looked at, to its objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fullyconv.detect.boxes import locate_boxes
from fullyconv.detect.pyramid import Level
from fullyconv.detect.suppress import suppress
from fullyconv.grid import Grid, Pair


@dataclass(frozen=True, slots=True)
class Detection:
    """One object.

    Attributes:
        box_xyxy: `(x0, y0, x1, y1)`, half-open, in pixels of the original image.
        score: the network's score of the window, after its last activation.
        class_name: what it is.
        scale: the factor that the image was scaled by when it was found; the object is about `1 / scale`
            windows large.
    """

    box_xyxy: tuple[float, float, float, float]
    score: float
    class_name: str
    scale: float


@dataclass(frozen=True, slots=True, eq=False)
class FoundCells:
    """The cells of one score map that stand out.

    Attributes:
        level: the size that the image had.
        grid: where each score lies in it.
        cells: `(n, 2)`, row and column, in order of class, row and column.
        scores: `(n,)`.
        classes: `(n,)`, the position of each one's class.
    """

    level: Level
    grid: Grid
    cells: NDArray[np.intp]
    scores: NDArray[np.floating[Any]]
    classes: NDArray[np.intp]


def join_levels(
    levels: Sequence[FoundCells],
    names: Sequence[str],
    *,
    image_size: Pair,
    nms_iou: float,
    nms_across_classes: bool,
) -> tuple[Detection, ...]:
    """Returns the objects that the cells of all sizes show, highest score first.

    Args:
        levels: what was found at each size; at least one.
        names: of the classes, in the order of their positions.
        image_size: `(height, width)` of the image, to which boxes are clipped.
        nms_iou: of two boxes whose intersection over union is above this, the higher-scoring stays.
        nms_across_classes: compare boxes of different classes too.
    """
    boxes = np.concatenate(
        [locate_boxes(each.cells, each.grid, scaled_size=each.level.size, image_size=image_size) for each in levels]
    )
    scores = np.concatenate([each.scores for each in levels])
    classes = np.concatenate([each.classes for each in levels])
    sizes = np.repeat(np.arange(len(levels)), [len(each.cells) for each in levels])
    groups = None if nms_across_classes else classes
    return tuple(
        Detection(
            box_xyxy=tuple(boxes[index].tolist()),
            score=float(scores[index]),
            class_name=names[classes[index]],
            scale=levels[sizes[index]].level.scale,
        )
        for index in suppress(boxes, scores, iou=nms_iou, groups=groups)
    )
