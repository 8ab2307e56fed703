"""Detections as GeoJSON that QuPath opens: each box a Feature with its class, colour and measurements.

    {"type": "FeatureCollection", "features": [
      {"type": "Feature",
       "geometry": {"type": "Polygon", "coordinates": [[[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]]},
       "properties": {"objectType": "detection" or "annotation",
                      "classification": {"name": str, "color": [red, green, blue]},
                      "measurements": {"Score": float, "Scale": float}}}]}

Coordinates are pixels of level 0, x to the right and y down. The members are those that QuPath writes and reads since
its version 0.4 (`qupath.lib.io.QuPathTypeAdapters` in github.com/qupath/qupath). In QuPath: File, Import objects from
file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from fullyconv.atomic import write_whole
from fullyconv.detect import Detection
from fullyconv.errors import OptionError
from fullyconv.report.colour import Rgb, choose_class_colour

ObjectType = Literal["detection", "annotation"]


def write_qupath(
    path: Path, detections: Sequence[Detection], classes: Sequence[str], object_type: ObjectType = "detection"
) -> None:
    """Writes detections as QuPath's GeoJSON; it appears whole or not at all.

    Args:
        path: the file.
        detections: highest score first.
        classes: all classes, so that each keeps its colour from file to file.
        object_type: detections are many and fixed; annotations can be edited.

    Raises:
        OptionError: there is no such type of object.
        OutputError: it cannot be written.
    """
    if object_type not in get_args(ObjectType):
        raise OptionError(f"objects: expected one of {', '.join(get_args(ObjectType))}, got {object_type!r}")
    names = dict.fromkeys([*classes, *(each.class_name for each in detections)])
    colours = {name: choose_class_colour(index) for index, name in enumerate(names)}
    with write_whole(path) as part, part.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for index, each in enumerate(detections):
            file.write(",\n" if index else "\n")
            file.write(json.dumps(_describe(each, colours, object_type), ensure_ascii=False, allow_nan=False))
        file.write("\n]}\n")


def _describe(detection: Detection, colours: Mapping[str, Rgb], object_type: ObjectType) -> dict[str, Any]:
    x0, y0, x1, y1 = (round(value, 3) for value in detection.box_xyxy)
    name = detection.class_name
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]]},
        "properties": {
            "objectType": object_type,
            "classification": {"name": name, "color": list(colours[name])},
            "measurements": {"Score": round(detection.score, 6), "Scale": round(detection.scale, 6)},
        },
    }
