"""What is done once when no tile of a scan is left: coarser levels for viewers, boxes from what stands out."""

from __future__ import annotations

from pathlib import Path

from fullyconv.detect.from_scan import find_in_scan, keep_detections
from fullyconv.report.colour import choose_class_colour
from fullyconv.scan.description import ScanDescription
from fullyconv.scan.driver import ScanOrder
from fullyconv.scan.ledger import Ledger
from fullyconv.scan.multiscales import Channel, ScaleView, write_multiscales
from fullyconv.scan.score_store import ScoreStore, report_writing


def finish_scan(
    order: ScanOrder, store: ScoreStore, ledger: Ledger, *, nms_iou: float, nms_across_classes: bool
) -> None:
    """Adds to a scan, whose tiles are done, what viewers and exports read.

    Args:
        order: the scan.
        store: its scores.
        ledger: its ledger.
        nms_iou: of two boxes whose intersection over union is above this, the higher-scoring stays.
        nms_across_classes: compare boxes of different classes too.

    Raises:
        OutputError: it cannot be written.
    """
    with report_writing(store.path):
        write_multiscales(store.group, _describe_view(store.description))
    if order.seeking is not None:
        plan = order.job.plan
        found = find_in_scan(store, ledger, plan, order.seeking, nms_iou=nms_iou, nms_across_classes=nms_across_classes)
        keep_detections(ledger, found)


def _describe_view(description: ScanDescription) -> ScaleView:
    background = description.card.background
    channels = tuple(
        Channel(label, choose_class_colour(number), is_shown=label != background)
        for number, label in enumerate(description.outputs)
    )
    return ScaleView(
        name=Path(description.image.name).name,
        placement=description.placement,
        channels=channels,
        microns_per_pixel=description.image.microns_per_pixel,
        limits=None if description.card.activation == "none" else (0.0, 1.0),
    )
