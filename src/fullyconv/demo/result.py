"""What the demo found out, as values: the terminal and the page show the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fullyconv.demo.data import FACE_XYXY
from fullyconv.demo.timing import ThreeWays
from fullyconv.report.description import Description

if TYPE_CHECKING:
    from fullyconv.demo.worked import Worked
    from fullyconv.detect import Detection

# Two boxes of the same face overlap by a third or more of their union even when one is loosely framed.
SAME_FACE_IOU = 0.3


@dataclass(frozen=True, slots=True)
class Looked:
    """One photo that was searched over scales.

    Attributes:
        name: the file's stem.
        size: `(height, width)` in pixels.
        windows: scores computed, over all scales.
        seconds: time for all scales, reading and drawing left out.
        boxes: what was found, best first.
        has_face: the portrait; on every other photo each box is false.
        picture: boxes and heat drawn over the photo.
    """

    name: str
    size: tuple[int, int]
    windows: int
    seconds: float
    boxes: tuple[Detection, ...]
    has_face: bool
    picture: Path

    @property
    def false_boxes(self) -> int:
        """Boxes that are not on the face; a second box on the same face counts as false."""
        return len(self.boxes) - (self.face_rank is not None)

    @property
    def face_rank(self) -> int | None:
        """The place of the first box that is on the face, 1 for the best; None if none is."""
        if not self.has_face:
            return None
        ranks = (rank for rank, box in enumerate(self.boxes, start=1) if is_face(box.box_xyxy))
        return next(ranks, None)


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The whole demo.

    Attributes:
        seed: of training.
        training_s: seconds for training with its rounds of negatives.
        validation_accuracy: share of the validation crops that were right, 0 to 1.
        negatives: photos that training searched for false boxes.
        description: the converted network.
        verified: whether `verify` passed, and its errors: `(guarantee and precision, largest error)`.
        portrait: the photo with one face.
        held_out: photos without a face, never seen in training.
        comparison: the three ways on the portrait.
        worked: the worked example.
        total_s: seconds for everything.
    """

    seed: int
    training_s: float
    validation_accuracy: float
    negatives: int
    description: Description
    verified: tuple[tuple[str, float], ...]
    portrait: Looked
    held_out: tuple[Looked, ...]
    comparison: ThreeWays
    worked: Worked
    total_s: float

    @property
    def held_out_false_boxes(self) -> int:
        """False boxes on all held-out photos together."""
        return sum(looked.false_boxes for looked in self.held_out)

    @property
    def held_out_windows(self) -> int:
        """Windows scored on all held-out photos together."""
        return sum(looked.windows for looked in self.held_out)


def is_face(box_xyxy: tuple[float, float, float, float]) -> bool:
    """Says whether a box on the portrait is its face: intersection over union of at least 0.3."""
    x0, y0, x1, y1 = box_xyxy
    u0, v0, u1, v1 = FACE_XYXY
    common = max(0.0, min(x1, u1) - max(x0, u0)) * max(0.0, min(y1, v1) - max(y0, v0))
    return common / ((x1 - x0) * (y1 - y0) + (u1 - u0) * (v1 - v0) - common) >= SAME_FACE_IOU
