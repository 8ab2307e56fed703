"""What was found in an image, as JSON that people and programs can read again.

    {
      "format": 1,
      "image": {"path": str, "width": int, "height": int},
      "model": {"path": str, "window": {"width": int, "height": int}, "stride": {"x": int, "y": int},
                "channels": int, "classes": [str], "background": str or null, "activation": str,
                "border": str},
      "settings": {"scales": [float] or null (automatic), "scale_step": float, "threshold": float,
                   "min_object": {"width": int, "height": int} or null, "classes": [str] or null (all),
                   "nms_iou": float, "nms_across_classes": bool, "output": str or null (the first)},
      "detections": [{"class": str, "score": float, "box_xyxy": [x0, y0, x1, y1], "scale": float}]
    }

Boxes are half-open, in pixels of the image, x to the right and y down, to a thousandth; scores
to a millionth. Detections come highest score first. The same network, image and settings give the same text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fullyconv.detect.detection import Detection
from fullyconv.detect.settings import DetectSettings
from fullyconv.grid import Pair
from fullyconv.scan import DenseScorer


def format_record(
    detections: Sequence[Detection],
    settings: DetectSettings,
    *,
    image: tuple[Path, Pair],
    model: tuple[Path, DenseScorer],
) -> str:
    """Returns the JSON text of one image's detections; the module's docstring is its schema.

    Args:
        detections: what was found.
        settings: how it was looked for.
        image: its path and its `(height, width)`.
        model: the network's path and the network.
    """
    record = {
        "format": 1,
        "image": {"path": str(image[0]), **_describe_size(image[1])},
        "model": {"path": str(model[0]), **_describe_model(model[1])},
        "settings": _describe_settings(settings),
        "detections": [_describe_detection(each) for each in detections],
    }
    return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _describe_size(size: Pair) -> dict[str, int]:
    return {"width": size[1], "height": size[0]}


def _describe_model(dense: DenseScorer) -> dict[str, Any]:
    card, (stride_y, stride_x) = dense.card, dense.grid.stride_px
    return {
        "window": _describe_size(dense.grid.window_px),
        "stride": {"x": stride_x, "y": stride_y},
        "channels": card.channels,
        "classes": list(card.classes),
        "background": card.background,
        "activation": card.activation,
        "border": card.border,
    }


def _describe_settings(settings: DetectSettings) -> dict[str, Any]:
    smallest = settings.min_object_px
    return {
        "scales": None if settings.scales is None else list(settings.scales),
        "scale_step": round(settings.scale_step, 6),
        "threshold": settings.threshold,
        "min_object": None if smallest is None else _describe_size(smallest),
        "classes": None if settings.classes is None else list(settings.classes),
        "nms_iou": settings.nms_iou,
        "nms_across_classes": settings.nms_across_classes,
        "output": settings.output,
    }


def _describe_detection(detection: Detection) -> dict[str, Any]:
    return {
        "class": detection.class_name,
        "score": round(detection.score, 6),
        "box_xyxy": [round(value, 3) for value in detection.box_xyxy],
        "scale": round(detection.scale, 6),
    }
