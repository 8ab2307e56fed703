import numpy as np
import pytest
import shapely
from rasterio.crs import CRS
from rasterio.warp import transform

from fullyconv.errors import OptionError
from fullyconv.images.source import Georeference
from fullyconv.scan.regions.map_coordinates import find_pixels, locate_area

UTM = CRS.from_epsg(32632).to_wkt()
TURNED = Georeference((0.5, 0.2, 690_000.0, 0.2, -0.5, 5_340_000.0), UTM)


def test_pixels_are_found_under_rotation():
    a, b, c, d, e, f = TURNED.transform
    pixels = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [123.4, 567.8]])
    on_map = np.stack([a * pixels[:, 0] + b * pixels[:, 1] + c, d * pixels[:, 0] + e * pixels[:, 1] + f], axis=1)
    np.testing.assert_allclose(find_pixels(TURNED, on_map), pixels, atol=1e-6)


def test_a_region_in_the_image_s_own_system():
    georeference = Georeference((10.0, 0.0, 500_000.0, 0.0, -10.0, 5_002_000.0), UTM)
    area = locate_area(shapely.box(500_100, 5_001_500, 500_300, 5_001_900), "EPSG:32632", georeference, "r.geojson")
    np.testing.assert_allclose(area.bounds, (10, 10, 30, 50), atol=1e-6)


@pytest.mark.parametrize("crs", ["urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:EPSG::4326", "EPSG:4326"])
def test_longitude_comes_before_latitude(crs):
    east, north = 690_100.0, 5_339_900.0
    (longitude,), (latitude,) = transform(UTM, "EPSG:4326", [east], [north])
    area = locate_area(shapely.Point(longitude, latitude).buffer(1e-4), crs, TURNED, "r.geojson")
    located = find_pixels(TURNED, np.array([[east, north]]))[0]
    np.testing.assert_allclose(area.centroid.coords[0], located, atol=0.5)


def test_an_unknown_system_is_refused():
    with pytest.raises(OptionError, match=r"r.geojson: the coordinate system 'EPSG:moon' is not known"):
        locate_area(shapely.box(0, 0, 1, 1), "EPSG:moon", TURNED, "r.geojson")


def test_a_region_beyond_the_map_is_refused():
    with pytest.raises(OptionError, match=r"r.geojson: expected a region that the image's coordinate system can show"):
        locate_area(shapely.box(0, 80, 1, 100), "EPSG:4326", TURNED, "r.geojson")
