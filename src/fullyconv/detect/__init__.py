"""From score maps over scales to boxes: pyramid, peaks, boxes, non-maximum suppression."""

from fullyconv.detect.boxes import locate_boxes
from fullyconv.detect.find import (
    Detection,
    ScoredLevel,
    choose_classes,
    collect_detections,
    find_detections,
    name_outputs,
    scan_pyramid,
)
from fullyconv.detect.peaks import find_peaks
from fullyconv.detect.pyramid import Level, plan_pyramid
from fullyconv.detect.settings import DetectSettings
from fullyconv.detect.suppress import suppress

__all__ = [
    "DetectSettings",
    "Detection",
    "Level",
    "ScoredLevel",
    "choose_classes",
    "collect_detections",
    "find_detections",
    "find_peaks",
    "locate_boxes",
    "name_outputs",
    "plan_pyramid",
    "scan_pyramid",
    "suppress",
]
