import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from fullyconv.card import ModelCard
from fullyconv.detect import Detection, DetectSettings
from fullyconv.detect.record import format_record
from fullyconv.grid import Grid

DENSE = SimpleNamespace(
    grid=Grid((128, 64), (16, 32), (8, 2)),
    card=ModelCard((128, 64), 3, ("bus", "ground"), background="ground", activation="softmax"),
)
FOUND = Detection(box_xyxy=(1.23456, 2.0, 30.5, 40.0), score=0.987654321, class_name="bus", scale=0.5)


def make_record(settings: DetectSettings) -> str:
    image = (Path("photos/größe.png"), (480, 640))
    return format_record([FOUND], settings, image=image, model=(Path("dense.pt2"), DENSE))


def test_everything_is_in_it() -> None:
    settings = DetectSettings(scales=(1.0, 0.5), classes=("bus",), min_object_px=(30, 20), output="heads.0")
    assert json.loads(make_record(settings)) == {
        "format": 1,
        "image": {"path": "photos/größe.png", "width": 640, "height": 480},
        "model": {
            "path": "dense.pt2",
            "window": {"width": 64, "height": 128},
            "stride": {"x": 32, "y": 16},
            "channels": 3,
            "classes": ["bus", "ground"],
            "background": "ground",
            "activation": "softmax",
            "border": "image",
        },
        "settings": {
            "scales": [1.0, 0.5],
            "scale_step": 1.414214,
            "threshold": 0.5,
            "min_object": {"width": 20, "height": 30},
            "classes": ["bus"],
            "nms_iou": 0.3,
            "nms_across_classes": False,
            "output": "heads.0",
        },
        "detections": [{"class": "bus", "score": 0.987654, "box_xyxy": [1.235, 2.0, 30.5, 40.0], "scale": 0.5}],
    }


@pytest.mark.parametrize("key", ["scales", "min_object", "classes", "output"])
def test_what_was_left_to_the_tool_is_null(key: str) -> None:
    assert json.loads(make_record(DetectSettings()))["settings"][key] is None


def test_the_same_text_each_time() -> None:
    assert make_record(DetectSettings()) == make_record(DetectSettings())
    assert make_record(DetectSettings()).endswith("}\n")
