"""Options of `fullyconv export`, as people write them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from fullyconv.cli.scan_options import parse_bands

if TYPE_CHECKING:
    from fullyconv.export.targets import ExportSettings


@Parameter(name="*")
@dataclass(frozen=True)
class ExportOptions:
    """What to export of a scan, and how.

    Attributes:
        classes: only this class; may be given several times.
        size: of a picture, the longer side in pixels.
        objects: take boxes into QuPath as detections, or as annotations, which can be edited.
        image: for a picture, where the image is now, if it has been moved since the scan.
        bands: for a picture of an image with many bands, which to show, counted from 1, such as 4,3,2.
    """

    classes: Annotated[tuple[str, ...], Parameter(name="--class", negative=())] = ()
    size: int = 2048
    objects: Literal["detection", "annotation"] = "detection"
    image: Path | None = None
    bands: str | None = None

    def to_settings(self) -> ExportSettings:
        """Returns the library's settings.

        Raises:
            OptionError: an option has no meaning; the message names it.
        """
        from fullyconv.export.targets import ExportSettings

        return ExportSettings(
            classes=self.classes or None,
            longest_px=self.size,
            objects=self.objects,
            image=self.image,
            bands=parse_bands(self.bands),
        )
