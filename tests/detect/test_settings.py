import pytest

from fullyconv.detect import DetectSettings
from fullyconv.errors import OptionError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scales": (1.0, 0.0)}, "scales: expected numbers above 0, got"),
        ({"scales": (float("nan"),)}, "scales: expected numbers above 0, got"),
        ({"scales": ()}, "scales: expected at least one, got none"),
        ({"scale_step": 1.0}, r"scale step: expected a number above 1, got 1\.0"),
        ({"scale_step": float("inf")}, "scale step: expected a number above 1, got inf"),
        ({"min_object_px": (0, 4)}, "smallest object: expected at least 1x1 pixels, got"),
        ({"threshold": float("nan")}, "threshold: expected a number, got nan"),
        ({"nms_iou": 1.5}, "nms: expected an intersection over union of 0 to 1, got"),
        ({"memory_bytes": 0}, "memory: expected at least 1 byte, got 0"),
    ],
)
def test_values_without_meaning(values: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        DetectSettings(**values)
