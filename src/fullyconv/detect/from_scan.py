"""From what a scan found in its tiles to the boxes of the whole image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fullyconv.detect.detection import Detection, FoundCells, join_levels
from fullyconv.detect.pyramid import Level
from fullyconv.scan.candidates import Seeking, settle_candidates
from fullyconv.scan.ledger import BoxRow, Candidate, Ledger
from fullyconv.scan.score_store import ScoreStore
from fullyconv.scan.tiles import TilePlan


def find_in_scan(
    store: ScoreStore, ledger: Ledger, plan: TilePlan, seeking: Seeking, *, nms_iou: float, nms_across_classes: bool
) -> tuple[Detection, ...]:
    """Returns the objects of a scan at one scale, highest score first: what `find_detections` gives at that scale.

    Args:
        store: the scores, all tiles done.
        ledger: the candidates.
        plan: the tiles.
        seeking: what the candidates were found by.
        nms_iou: of two boxes whose intersection over union is above this, the higher-scoring stays.
        nms_across_classes: compare boxes of different classes too.
    """
    image = store.description.image
    level = Level(1 / image.downsample[1], image.size)
    return join_levels(
        [settle_scan(store, ledger, plan, seeking, level)],
        store.description.outputs,
        image_size=image.full_size,
        nms_iou=nms_iou,
        nms_across_classes=nms_across_classes,
    )


def settle_scan(store: ScoreStore, ledger: Ledger, plan: TilePlan, seeking: Seeking, level: Level) -> FoundCells:
    """Returns the cells of a scan that stand out in the whole of it: those that `find_peaks` finds.

    Args:
        store: the scores, all tiles done.
        ledger: the candidates.
        plan: the tiles.
        seeking: what the candidates were found by.
        level: the size that the image had.
    """
    found = sorted(_settle_all(store, ledger, plan, seeking), key=lambda each: (each.output, each.cell))
    return FoundCells(
        level=level,
        grid=store.description.grid,
        cells=np.array([each.cell for each in found], dtype=np.intp).reshape(-1, 2),
        scores=np.array([each.score for each in found], dtype=np.float64),
        classes=np.array([each.output for each in found], dtype=np.intp),
    )


def keep_detections(ledger: Ledger, detections: tuple[Detection, ...]) -> None:
    """Puts the objects into the ledger, in place of those there were.

    Raises:
        OutputError: it cannot be written.
    """
    ledger.replace_detections(BoxRow(each.class_name, each.score, each.box_xyxy, each.scale) for each in detections)


def _settle_all(store: ScoreStore, ledger: Ledger, plan: TilePlan, seeking: Seeking) -> Iterator[Candidate]:
    for number in sorted(ledger.list_tiles_with_candidates()):
        yield from settle_candidates(ledger.list_candidates(number), plan[number], store, seeking)
