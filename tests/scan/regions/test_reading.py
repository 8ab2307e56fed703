import json
from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
from PIL import Image
from rasterio.crs import CRS

from fullyconv.errors import ImageError, OptionError
from fullyconv.grid import Grid
from fullyconv.images.source import Georeference
from fullyconv.scan.placement import Placement
from fullyconv.scan.regions import CellMask, read_region
from pyramids import Pyramid

PLACEMENT = Placement(Grid((16, 16), (8, 8), (2, 2)), (200, 300), (2.0, 2.0))
BOX = (160, 80, 320, 240)  # x0, y0, x1, y1 in pixels of level 0
UTM = Georeference((0.5, 0.0, 690_000.0, 0.0, -0.5, 5_340_000.0), CRS.from_epsg(32632).to_wkt())


def make_slide(georeference: Georeference | None = None) -> Pyramid:
    slide = np.full((400, 600, 3), 240, np.uint8)
    slide[BOX[1] : BOX[3], BOX[0] : BOX[2]] = (190, 80, 160)
    return Pyramid([slide, slide[::2, ::2]], georeference=georeference)


def find(where: object, source: Pyramid | None = None) -> CellMask:
    return read_region(str(where), source or make_slide(), PLACEMENT, name="slide.tif")


def list_all(mask: CellMask) -> np.ndarray:
    rows, columns = PLACEMENT.shape
    return mask.inside((0, rows), (0, columns))


def list_expected() -> np.ndarray:
    y, x = (PLACEMENT.centres(axis, (0, PLACEMENT.shape[axis])) for axis in (0, 1))
    return ((y >= BOX[1]) & (y < BOX[3]))[:, None] & ((x >= BOX[0]) & (x < BOX[2]))[None]


def write_box(folder: Path, box: tuple[float, ...], crs: str | None = None) -> Path:
    content = {"type": "Feature", "properties": {}, "geometry": json.loads(shapely.to_geojson(shapely.box(*box)))}
    if crs is not None:
        content["crs"] = {"type": "name", "properties": {"name": crs}}
    path = folder / "region.geojson"
    path.write_text(json.dumps(content))
    return path


def test_tissue():
    assert (list_all(find("tissue")) == list_expected()).all()


def test_geojson_in_pixels(tmp_path):
    box = (BOX[0], BOX[1], BOX[2] - 0.5, BOX[3] - 0.5)
    assert (list_all(find(write_box(tmp_path, box))) == list_expected()).all()


def test_geojson_in_map_coordinates(tmp_path):
    a, _, c, _, e, f = UTM.transform
    box = (a * BOX[0] + c, e * (BOX[3] - 0.5) + f, a * (BOX[2] - 0.5) + c, e * BOX[1] + f)
    path = write_box(tmp_path, box, "urn:ogc:def:crs:EPSG::32632")
    assert (list_all(find(path, make_slide(UTM))) == list_expected()).all()


@pytest.mark.parametrize("shrink", [1, 4])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_mask_images(tmp_path, shrink, suffix):
    wanted = np.zeros((400 // shrink, 600 // shrink), np.uint8)
    wanted[BOX[1] // shrink : BOX[3] // shrink, BOX[0] // shrink : BOX[2] // shrink] = 1
    path = tmp_path / f"mask{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, wanted, tile=(16, 16))
    else:
        Image.fromarray(wanted).save(path)
    assert (list_all(find(path)) == list_expected()).all()


def test_a_missing_mask_is_said_to_be(tmp_path):
    with pytest.raises(ImageError, match=r"none.png: no such image"):
        find(tmp_path / "none.png")


def test_a_region_without_a_cell_is_refused(tmp_path):
    with pytest.raises(
        OptionError,
        match=r"region.geojson: expected a region with the centre of at least one window of slide.tif, which is "
        r"600x400 pixels, got x from 17 to 23 and y from 17 to 23 without any",
    ):
        find(write_box(tmp_path, (17, 17, 23, 23)))
    Image.new("L", (60, 40)).save(tmp_path / "mask.png")
    with pytest.raises(OptionError, match=r"mask.png: expected a region with the centre .* got what is not black"):
        find(tmp_path / "mask.png")


@pytest.mark.parametrize(
    ("box", "georeference"),
    [
        ((690_010, 5_339_900, 690_050, 5_339_950), None),
        ((690_010, 5_339_900, 690_050, 5_339_950), UTM),
        ((11.5, 48.1, 11.6, 48.2), UTM),
        ((-700, -500, -10, -10), None),
    ],
)
def test_map_coordinates_without_their_system_are_refused(tmp_path, box, georeference):
    with pytest.raises(OptionError, match=r"expected coordinates in pixels of the full image, 600x400, got .* crs"):
        find(write_box(tmp_path, box), make_slide(georeference))


def test_map_coordinates_need_an_image_on_a_map(tmp_path):
    path = write_box(tmp_path, (11.5, 48.1, 11.6, 48.2), "EPSG:4326")
    with pytest.raises(OptionError, match=r"expected coordinates in pixels, since the image has no georeference"):
        find(path)
