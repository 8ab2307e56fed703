"""Objects in an image of any size: the whole path from pixels to boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from fullyconv.card import ModelCard
from fullyconv.detect.detection import Detection, FoundCells, join_levels
from fullyconv.detect.pyramid import Level, plan_pyramid
from fullyconv.detect.settings import DetectSettings
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


@dataclass(frozen=True, slots=True, eq=False)
class ScoredLevel:
    """The scores of an image at one size.

    Attributes:
        level: the size.
        score_map: the scores; its `image_size` is the scaled one.
    """

    level: Level
    score_map: ScoreMap


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
    found = [_find_cells(each, reported, settings.threshold) for each in levels]
    return join_levels(
        found,
        names,
        image_size=image_size,
        nms_iou=settings.nms_iou,
        nms_across_classes=settings.nms_across_classes,
    )


def _find_cells(scored: ScoredLevel, reported: Sequence[int], threshold: float) -> FoundCells:
    scores = [scored.score_map.scores[which] for which in reported]
    cells = [find_peaks(each, threshold) for each in scores]
    return FoundCells(
        level=scored.level,
        grid=scored.score_map.grid,
        cells=np.concatenate(cells),
        scores=np.concatenate([each[tuple(at.T)] for each, at in zip(scores, cells, strict=True)]),
        classes=np.repeat(np.array(reported, dtype=np.intp), [len(each) for each in cells]),
    )


def _add(progress: Progress, before: int, total: int, done: int, _: int) -> None:
    progress(before + done, total)
