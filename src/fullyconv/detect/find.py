"""Objects in an image of any size: the whole path from pixels to boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from fullyconv.card import ModelCard
from fullyconv.detect.boxes import locate_boxes
from fullyconv.detect.pyramid import Level, plan_pyramid
from fullyconv.detect.settings import DetectSettings
from fullyconv.detect.suppress import suppress
from fullyconv.grid import Pair
from fullyconv.images import Image8, resize
from fullyconv.scan import (
    DenseScorer,
    Progress,
    ScoreMap,
    choose_classes,
    find_peaks,
    largest_tile_px,
    name_scores,
    scan,
)


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
class ScoredLevel:
    """The scores of an image at one size.

    Attributes:
        level: the size.
        score_map: the scores; its `image_size` is the scaled one.
    """

    level: Level
    score_map: ScoreMap


@dataclass(frozen=True, slots=True, eq=False)
class _Candidates:
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    classes: NDArray[np.intp]
    levels: NDArray[np.intp]


def find_detections(
    dense: DenseScorer, image: Image8, settings: DetectSettings, progress: Progress | None = None
) -> tuple[Detection, ...]:
    """Returns the objects in the image, highest score first.

    Of a network that ends in a softmax, every class but the background that reaches the threshold is
    reported, so one place may be given twice where the threshold is below one half.

    Args:
        dense: the converted network; its card names the classes, the background and the preprocessing.
        image: uint8 `(H, W, C)`.
        settings: scales, threshold, classes, suppression, memory.
        progress: called after each tile with the grid cells done and those there are, over all scales.

    Raises:
        ImageError: the image is smaller than the window at every scale, or its channels do not suit.
        OptionError: a class was asked for that the network does not report.
        ModelError: the card names another number of classes than there are scores.
    """
    levels = scan_pyramid(dense, image, settings, progress)
    return collect_detections(levels, dense.card, settings, image_size=(image.shape[0], image.shape[1]))


def scan_pyramid(
    dense: DenseScorer, image: Image8, settings: DetectSettings, progress: Progress | None = None
) -> tuple[ScoredLevel, ...]:
    """Returns the scores of the image at every size that the settings ask for.

    Raises:
        ImageError: the image is smaller than the window at every scale, or its channels do not suit.
    """
    levels = plan_pyramid((image.shape[0], image.shape[1]), dense.grid.window_px, settings)
    shapes = [dense.grid.shape(level.size) for level in levels]
    cells = [rows * columns for rows, columns in shapes]
    tile_px = largest_tile_px(dense, settings.memory_bytes)
    scored = []
    for index, level in enumerate(levels):
        step = progress and partial(_add, progress, sum(cells[:index]), sum(cells))
        scaled = resize(image, level.size)
        score_map = scan(dense, scaled, tile_px=tile_px, output=settings.output, progress=step)
        scored.append(ScoredLevel(level, score_map))
    return tuple(scored)


def collect_detections(
    levels: Sequence[ScoredLevel], card: ModelCard, settings: DetectSettings, *, image_size: Pair
) -> tuple[Detection, ...]:
    """Returns the objects that the scores show, highest score first; see `find_detections`.

    Raises:
        OptionError: a class was asked for that the network does not report.
        ModelError: the card names another number of classes than there are scores.
    """
    names = name_scores(card, len(levels[0].score_map.scores))
    reported = choose_classes(names, card, settings.classes)
    found = _gather(levels, reported, settings, image_size)
    groups = None if settings.nms_across_classes else found.classes
    kept = suppress(found.boxes, found.scores, iou=settings.nms_iou, groups=groups)
    return tuple(
        Detection(
            box_xyxy=tuple(found.boxes[index].tolist()),
            score=float(found.scores[index]),
            class_name=names[found.classes[index]],
            scale=levels[found.levels[index]].level.scale,
        )
        for index in kept
    )


def _gather(
    levels: Sequence[ScoredLevel], reported: Sequence[int], settings: DetectSettings, image_size: Pair
) -> _Candidates:
    places = list(product(range(len(levels)), reported))
    scores = [levels[level].score_map.scores[which] for level, which in places]
    cells = [find_peaks(each, settings.threshold) for each in scores]
    counts = [len(each) for each in cells]
    boxes = [
        locate_boxes(each, found.score_map.grid, scaled_size=found.level.size, image_size=image_size)
        for each, found in zip(cells, (levels[level] for level, _ in places), strict=True)
    ]
    return _Candidates(
        boxes=np.concatenate(boxes),
        scores=np.concatenate([each[tuple(at.T)] for each, at in zip(scores, cells, strict=True)]),
        classes=np.repeat([which for _, which in places], counts),
        levels=np.repeat([level for level, _ in places], counts),
    )


def _add(progress: Progress, before: int, total: int, done: int, _: int) -> None:
    progress(before + done, total)
