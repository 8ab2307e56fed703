"""From what a scan found in its tiles to the boxes of the whole image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fullyconv.detect.find import Detection
from fullyconv.detect.suppress import suppress
from fullyconv.scan.candidates import Seeking, settle_candidates
from fullyconv.scan.ledger import BoxRow, Candidate, Ledger
from fullyconv.scan.score_store import ScoreStore
from fullyconv.scan.tiles import TilePlan


def find_in_scan(
    store: ScoreStore, ledger: Ledger, plan: TilePlan, seeking: Seeking, *, nms_iou: float, nms_across_classes: bool
) -> tuple[Detection, ...]:
    """Returns the objects of a scan at one scale, highest score first: what `find_detections` gives at scale 1.

    Args:
        store: the scores, all tiles done.
        ledger: the candidates.
        plan: the tiles.
        seeking: what the candidates were found by.
        nms_iou: of two boxes whose intersection over union is above this, the higher-scoring stays.
        nms_across_classes: compare boxes of different classes too.
    """
    found = sorted(_settle_all(store, ledger, plan, seeking), key=lambda each: (each.output, each.cell))
    boxes = np.array([_clip(store, each) for each in found], dtype=np.float64).reshape(-1, 4)
    scores = np.array([each.score for each in found], dtype=np.float64)
    groups = None if nms_across_classes else np.array([each.output for each in found], dtype=np.intp)
    names, scale = store.description.outputs, 1 / store.description.image.downsample[1]
    return tuple(
        Detection(tuple(boxes[index].tolist()), float(scores[index]), names[found[index].output], scale)
        for index in suppress(boxes, scores, iou=nms_iou, groups=groups)
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


def _clip(store: ScoreStore, candidate: Candidate) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = store.description.locate(candidate.cell)
    height, width = store.description.image.full_size
    return x0, y0, min(x1, width), min(y1, height)
