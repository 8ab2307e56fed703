"""From score maps over scales to boxes: pyramid, peaks, boxes, non-maximum suppression."""

from fullyconv.detect.boxes import locate_boxes
from fullyconv.detect.find import (
    Detection,
    ScoredLevel,
    collect_detections,
    find_detections,
    scan_pyramid,
)
from fullyconv.detect.pyramid import Level, plan_pyramid
from fullyconv.detect.settings import DetectSettings
from fullyconv.detect.suppress import suppress

__all__ = [
    "DetectSettings",
    "Detection",
    "Level",
    "ScoredLevel",
    "collect_detections",
    "find_detections",
    "locate_boxes",
    "plan_pyramid",
    "scan_pyramid",
    "suppress",
]
