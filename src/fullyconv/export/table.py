"""Detections as a table (CSV): one line each, for spreadsheets and statistics."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from fullyconv.atomic import write_whole
from fullyconv.detect import Detection
from fullyconv.images.source import PerPixel

_COLUMNS = ("class", "score", "x0", "y0", "x1", "y1", "scale")
_MICRONS = ("x0_um", "y0_um", "x1_um", "y1_um")


def write_table(path: Path, detections: Sequence[Detection], microns_per_pixel: PerPixel | None = None) -> None:
    """Writes detections as CSV, highest score first; it appears whole or not at all.

    Columns: `class`, `score`, the half-open box `x0`, `y0`, `x1`, `y1` in pixels of level 0, `scale`; and where it is
    known how large a pixel is, the box once more in microns from the image's top-left corner.

    Args:
        path: the file.
        detections: highest score first.
        microns_per_pixel: of level 0, `(y, x)`; None where they are not known.

    Raises:
        OutputError: it cannot be written.
    """
    with write_whole(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(_COLUMNS if microns_per_pixel is None else (*_COLUMNS, *_MICRONS))
        for each in detections:
            table.writerow(_list_values(each, microns_per_pixel))


def _list_values(detection: Detection, microns_per_pixel: PerPixel | None) -> list[str | float]:
    box = [round(value, 3) for value in detection.box_xyxy]
    values: list[str | float] = [detection.class_name, round(detection.score, 6), *box, round(detection.scale, 6)]
    if microns_per_pixel is None:
        return values
    y, x = microns_per_pixel
    return [*values, *(round(value * each, 3) for value, each in zip(detection.box_xyxy, (x, y, x, y), strict=True))]
