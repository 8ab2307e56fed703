"""Options of `fullyconv scan`, as people write them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from fullyconv.cli.memory import parse_memory
from fullyconv.errors import OptionError

if TYPE_CHECKING:
    from fullyconv.scan.planning import ScanSettings


@Parameter(name="*")
@dataclass(frozen=True)
class ScanOptions:
    """What to scan at which resolution, and what to keep.

    Attributes:
        level: of an image that is stored at several resolutions, which one; 0 is the finest.
        mpp: scan at so many microns per pixel, in place of a level; the image must say how many it has.
        bands: of an image with many bands, which to take, counted from 1, such as 4,3,2.
        classes: keep only the scores of this class; may be given several times.
        scores: of a network with several outputs, which one to take; by default the first.
        threshold: note boxes whose score is at least this, 0 to 1 after a sigmoid or a softmax; without it, the score
            map alone.
        nms: of two boxes that overlap by more than this (intersection over union), the better stays.
        nms_across_classes: compare boxes of different classes too.
        memory: what scanning may take in all beside the network, such as 512MB or 2GB, by the image's being cut into
            tiles; each worker may take it, so that the scores do not depend on how many there are.
    """

    level: int | None = None
    mpp: float | None = None
    bands: str | None = None
    classes: Annotated[tuple[str, ...], Parameter(name="--class", negative=())] = ()
    scores: str | None = None
    threshold: float | None = None
    nms: float = 0.3
    nms_across_classes: Annotated[bool, Parameter(negative=())] = False
    memory: str = "2GB"

    def __post_init__(self) -> None:
        if self.level is not None and self.mpp is not None:
            raise OptionError("--level and --mpp: expected one of them, got both; leave one out")
        if self.mpp is not None and self.mpp <= 0:
            raise OptionError(f"--mpp: expected microns per pixel above 0, got {self.mpp:g}")
        if not 0 <= self.nms <= 1:
            raise OptionError(f"--nms: expected an intersection over union of 0 to 1, got {self.nms:g}")

    def to_settings(self, threads: int | None) -> ScanSettings:
        """Returns the library's settings.

        Args:
            threads: how many threads compute a tile; None for what the engine chooses.

        Raises:
            OptionError: an option has no meaning; the message names it.
        """
        from fullyconv.scan.planning import ScanSettings

        return ScanSettings(
            memory_bytes=parse_memory(self.memory),
            output=self.scores,
            classes=self.classes or None,
            threshold=self.threshold,
            threads=threads,
        )


def parse_bands(text: str | None) -> tuple[int, ...] | None:
    """Returns the bands, counted from 1.

    >>> parse_bands("4,3,2")
    (4, 3, 2)

    Raises:
        OptionError: they are not whole numbers of at least 1.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise OptionError(f"--bands: expected whole numbers from 1 with commas, such as 4,3,2, got {text!r}")
    return tuple(int(part) for part in parts)
