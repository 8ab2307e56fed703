"""What to look for, at which sizes, and when two boxes are one object."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt

from fullyconv.errors import OptionError
from fullyconv.grid import Pair
from fullyconv.scan import DEFAULT_MEMORY_BYTES


@dataclass(frozen=True, slots=True)
class DetectSettings:
    """How to detect. The window has one size; scaling the image is what finds objects of other sizes.

    Attributes:
        scales: factors for the image; 1 leaves it as it is, 0.5 halves it, so that objects twice the window
            fit. None for all sizes from `min_object_px` to the whole image, in steps of `scale_step`.
        scale_step: how much larger the objects of the next scale are; above 1. At the square root of 2 no
            object is more than 19 % off the nearest scale.
        min_object_px: the smallest object to find, `(height, width)` in pixels of the image; the window if
            None. For automatic scales only.
        threshold: the score that a box must reach. After a sigmoid or a softmax, 0 to 1; for a network whose
            activation is "none" it is compared with the raw score, whatever that means there.
        classes: report only these; all but the background if None.
        nms_iou: of two boxes whose intersection over union is above this, the higher-scoring stays; 0 to 1.
        nms_across_classes: compare boxes of different classes too.
        memory_bytes: about what running the network on a tile may take.
        output: which output of a network that has several; the first if None.
    """

    scales: tuple[float, ...] | None = None
    scale_step: float = sqrt(2)
    min_object_px: Pair | None = None
    threshold: float = 0.5
    classes: tuple[str, ...] | None = None
    nms_iou: float = 0.3
    nms_across_classes: bool = False
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    output: str | None = None

    def __post_init__(self) -> None:
        self._check_scales()
        if not isfinite(self.threshold):
            raise OptionError(f"threshold: expected a number, got {self.threshold}")
        if not 0 <= self.nms_iou <= 1:
            raise OptionError(f"nms: expected an intersection over union of 0 to 1, got {self.nms_iou}")
        if self.memory_bytes < 1:
            raise OptionError(f"memory: expected at least 1 byte, got {self.memory_bytes}")

    def _check_scales(self) -> None:
        if self.scales is not None and not all(isfinite(scale) and scale > 0 for scale in self.scales):
            raise OptionError(f"scales: expected numbers above 0, got {self.scales}")
        if self.scales == ():
            raise OptionError("scales: expected at least one, got none; leave it out for automatic scales")
        if not (isfinite(self.scale_step) and self.scale_step > 1):
            raise OptionError(f"scale step: expected a number above 1, got {self.scale_step}")
        if self.min_object_px is not None and min(self.min_object_px) < 1:
            raise OptionError(f"smallest object: expected at least 1x1 pixels, got {self.min_object_px}")
