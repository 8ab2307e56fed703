import json
from pathlib import Path

import pytest

from fullyconv.errors import OptionError
from fullyconv.scan.regions.geojson import read_areas

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]}
HOLED = {
    "type": "Polygon",
    "coordinates": [*SQUARE["coordinates"], [[2, 2], [4, 2], [4, 4], [2, 4], [2, 2]]],
}
TWO = {"type": "MultiPolygon", "coordinates": [HOLED["coordinates"], [[[20, 0], [30, 0], [30, 10], [20, 0]]]]}
POINT = {"type": "Point", "coordinates": [3, 3]}


def make_feature(geometry: object) -> dict[str, object]:
    return {"type": "Feature", "geometry": geometry, "properties": {"objectType": "annotation"}}


def write(folder: Path, content: object) -> Path:
    path = folder / "region.geojson"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("content", "area"),
    [
        (SQUARE, 100),
        (HOLED, 96),
        (TWO, 146),
        (make_feature(HOLED), 96),
        ({"type": "FeatureCollection", "features": [make_feature(SQUARE), make_feature(TWO)]}, 150),
        ({"type": "FeatureCollection", "features": [make_feature(each) for each in (POINT, None, SQUARE)]}, 100),
        ({"type": "GeometryCollection", "geometries": [POINT, HOLED]}, 96),
        ([make_feature(SQUARE), make_feature(SQUARE)], 100),
        ({"type": "Polygon", "coordinates": [[[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]]}, 50),
        ({"type": "Polygon", "coordinates": [[[0, 0, 7], [10, 0, 7], [10, 10, 7], [0, 0, 7]]]}, 50),
    ],
)  # fmt: skip
def test_polygons_are_united(tmp_path, content, area):
    areas = read_areas(write(tmp_path, content))
    assert areas.area.area == pytest.approx(area)
    assert areas.crs is None


def test_a_crs_is_read(tmp_path):
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
    assert read_areas(write(tmp_path, {**SQUARE, "crs": crs})).crs == "urn:ogc:def:crs:EPSG::32632"
    assert read_areas(write(tmp_path, {**SQUARE, "crs": None})).crs is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(SQUARE)[:40], r"expected GeoJSON, got text that breaks off or goes wrong in line 1"),
        ("", r"expected GeoJSON, got text that breaks off or goes wrong in line 1, column 1"),
        ("[" * 100_000, r"expected GeoJSON, got a file that is no text of that kind"),
        ({"type": "Topology"}, r"expected a geometry, a Feature or a collection, got \{'type': 'Topology'\}"),
        ({"regions": [1] * 99}, r"expected a geometry, a Feature or a collection, got .*\.\.\.$"),
        ({"type": "Feature"}, r"not GeoJSON that can be read: there is no 'geometry'"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}, r"not GeoJSON that can be read"),
        ({"type": "Polygon", "coordinates": [[["a", 0], [1, 1], [2, 0], [0, 0]]]}, r"not GeoJSON that can be read"),
        ({"type": "Polygon", "coordinates": 5}, r"not GeoJSON that can be read"),
        (json.dumps(SQUARE).replace("10", "NaN"), r"expected coordinates that are finite numbers"),
        (POINT, r"expected GeoJSON with at least one polygon, got none"),
        ({"type": "FeatureCollection", "features": []}, r"expected GeoJSON with at least one polygon, got none"),
        ({**SQUARE, "crs": {"type": "link", "properties": {"href": "x"}}}, r"expected a crs with a name, got"),
        ({**SQUARE, "crs": 4326}, r"not GeoJSON that can be read"),
    ],
)  # fmt: skip
def test_what_is_no_region_is_refused_in_one_line(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(OptionError, match=message) as caught:
        read_areas(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_other_kinds_of_file_are_refused(tmp_path):
    with pytest.raises(OptionError, match=r"none.geojson: no such file; expected a GeoJSON file"):
        read_areas(tmp_path / "none.geojson")
    with pytest.raises(OptionError, match=r"the region cannot be read: Is a directory"):
        read_areas(tmp_path)
    (tmp_path / "image.json").write_bytes(b"\x89PNG\r\n\xff\xfe")
    with pytest.raises(OptionError, match=r"expected GeoJSON, got a file that is no text"):
        read_areas(tmp_path / "image.json")
