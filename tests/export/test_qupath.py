import json

import pytest
import shapely

from fullyconv.detect import Detection
from fullyconv.errors import OptionError
from fullyconv.export.qupath import write_qupath
from fullyconv.report.colour import choose_class_colour
from fullyconv.scan.regions.geojson import read_areas

FOUND = [
    Detection((10.0, 20.0, 74.0, 84.0), 0.987654321, "tumour", 0.25),
    Detection((100.1234, 0.0, 164.5, 64.0), 0.5, "müll, \"quoted\"", 0.25),
]  # fmt: skip


def test_features_are_those_that_qupath_reads(tmp_path):
    write_qupath(tmp_path / "d.geojson", FOUND, ("normal", "tumour"))
    content = json.loads((tmp_path / "d.geojson").read_text("utf-8"))
    assert content["type"] == "FeatureCollection"
    assert content["features"][0] == {
        "type": "Feature",
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[10.0, 20.0], [74.0, 20.0], [74.0, 84.0], [10.0, 84.0], [10.0, 20.0]]],
        },
        "properties": {
            "objectType": "detection",
            "classification": {"name": "tumour", "color": list(choose_class_colour(1))},
            "measurements": {"Score": 0.987654, "Scale": 0.25},
        },
    }
    second = content["features"][1]["properties"]["classification"]
    assert second == {"name": 'müll, "quoted"', "color": list(choose_class_colour(2))}


def test_annotations_on_request(tmp_path):
    write_qupath(tmp_path / "d.geojson", FOUND, (), "annotation")
    features = json.loads((tmp_path / "d.geojson").read_text("utf-8"))["features"]
    assert {each["properties"]["objectType"] for each in features} == {"annotation"}
    with pytest.raises(OptionError, match="objects: expected one of detection, annotation, got 'cell'"):
        write_qupath(tmp_path / "e.geojson", FOUND, (), "cell")


def test_what_is_written_can_be_scanned(tmp_path):
    write_qupath(tmp_path / "d.geojson", FOUND, ())
    expected = shapely.union_all([shapely.box(*each.box_xyxy) for each in FOUND])
    assert read_areas(tmp_path / "d.geojson").area.symmetric_difference(expected).area < 1


def test_nothing_found_is_a_collection_all_the_same(tmp_path):
    write_qupath(tmp_path / "d.geojson", [], ("tumour",))
    assert json.loads((tmp_path / "d.geojson").read_text("utf-8")) == {"type": "FeatureCollection", "features": []}
