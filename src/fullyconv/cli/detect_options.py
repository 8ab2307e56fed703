"""Options of `fullyconv detect`, as people write them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from fullyconv.cli.memory import parse_memory
from fullyconv.errors import OptionError
from fullyconv.grid import parse_size

if TYPE_CHECKING:
    from fullyconv.detect import DetectSettings


@Parameter(name="*")
@dataclass(frozen=True)
class DetectOptions:
    """What to look for, at which sizes, and when two boxes are one object.

    Attributes:
        scales: factors for the image with commas, such as 1,0.5,0.25 (1 as it is, 0.5 finds objects twice the
            window); or auto, all sizes from the smallest object to the whole image.
        scale_step: for auto: how much larger the objects of the next scale are.
        min_object: for auto: the smallest object to find, as WIDTHxHEIGHT in pixels; by default the window.
        threshold: the least score of a box; 0 to 1 after a sigmoid or a softmax, else a raw score.
        classes: report only this class; may be given several times.
        nms: of two boxes that overlap by more than this (intersection over union), the better stays.
        nms_across_classes: compare boxes of different classes too.
        memory: about what running the network may take, such as 512MB or 2GB; images are cut into tiles.
        scores: of a network with several outputs, which one to take; by default the first.
    """

    scales: str = "auto"
    scale_step: float = 2**0.5
    min_object: str | None = None
    threshold: float = 0.5
    classes: Annotated[tuple[str, ...], Parameter(name="--class", negative=())] = ()
    nms: float = 0.3
    nms_across_classes: Annotated[bool, Parameter(negative=())] = False
    memory: str = "512MB"
    scores: str | None = None

    def to_settings(self) -> DetectSettings:
        """Returns the library's settings.

        Raises:
            OptionError: an option has no meaning; the message names it.
        """
        from fullyconv.detect import DetectSettings

        return DetectSettings(
            scales=parse_scales(self.scales),
            scale_step=self.scale_step,
            min_object_px=None if self.min_object is None else parse_size(self.min_object),
            threshold=self.threshold,
            classes=self.classes or None,
            nms_iou=self.nms,
            nms_across_classes=self.nms_across_classes,
            memory_bytes=parse_memory(self.memory),
            output=self.scores,
        )


def parse_scales(text: str) -> tuple[float, ...] | None:
    """Returns the factors, or None for `auto`.

    >>> parse_scales("1, 0.5"), parse_scales("auto")
    ((1.0, 0.5), None)

    Raises:
        OptionError: they are not numbers.
    """
    if text.strip().lower() == "auto":
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(f"--scales: expected auto or numbers with commas, such as 1,0.5, got {text!r}") from None
