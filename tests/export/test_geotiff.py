import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from fullyconv.errors import OptionError, OutputError
from fullyconv.export import geotiff
from fullyconv.export.geotiff import RasterFacts, place_cells, write_geotiff
from fullyconv.grid import Grid
from fullyconv.images.source import Georeference
from fullyconv.scan.placement import Placement
from score_arrays import ScoreArray

GRID = Grid((64, 32), (16, 8), (4, 4))
UTM = rasterio.CRS.from_epsg(32632).to_wkt()
NORTH_UP = Georeference((0.5, 0.0, 690_000.0, 0.0, -0.5, 5_340_000.0), UTM)
TURNED = Georeference((0.4, 0.3, 690_000.0, 0.3, -0.4, 5_340_000.0), UTM)


def make_scores(*shape: int) -> np.ndarray:
    random = np.random.default_rng(2)
    scores = random.random(shape, dtype=np.float32)
    scores[:, random.random(shape[1:]) < 0.2] = np.nan
    return scores


def make_facts(shape: tuple[int, ...], georeference: Georeference | None, **more: object) -> RasterFacts:
    placement = Placement(GRID, GRID.extent_px(shape[1:]), (2.0, 4.0))
    return RasterFacts(placement, tuple(f"class {index}" for index in range(shape[0])), georeference, **more)


@pytest.mark.parametrize("georeference", [NORTH_UP, TURNED])
def test_scores_lie_where_their_windows_have_their_centres(tmp_path, georeference):
    scores = make_scores(2, 30, 40)
    facts = make_facts(scores.shape, georeference, tags={"guarantee": "image crops"})
    write_geotiff(tmp_path / "s.tif", ScoreArray(scores), facts)
    with rasterio.open(tmp_path / "s.tif") as raster:
        np.testing.assert_array_equal(raster.read(), scores)
        assert np.isnan(raster.nodata)
        assert raster.crs == rasterio.CRS.from_epsg(32632)
        assert raster.descriptions == ("class 0", "class 1")
        assert raster.tags()["guarantee"] == "image crops"
        a, b, c, d, e, f = georeference.transform
        for i, j in [(0, 0), (29, 39), (7, 3)]:
            x0, y0, x1, y1 = GRID.box_xyxy((i, j))
            x, y = (x0 + x1) / 2 * 4.0, (y0 + y1) / 2 * 2.0
            assert raster.xy(i, j) == pytest.approx((a * x + b * y + c, d * x + e * y + f))
    assert [path.name for path in tmp_path.iterdir()] == ["s.tif"]


def test_a_cog_is_tiled_and_has_overviews(tmp_path, monkeypatch):
    monkeypatch.setattr(geotiff, "_BLOCK_VALUES", 2 * 128 * 128)
    monkeypatch.setattr(geotiff, "_READ_VALUES", 2 * 128 * 128)
    scores = make_scores(2, 300, 400)
    reader = ScoreArray(scores)
    write_geotiff(tmp_path / "s.tif", reader, make_facts(scores.shape, NORTH_UP))
    assert reader.largest <= 2 * 128 * 128
    with rasterio.open(tmp_path / "s.tif") as raster:
        np.testing.assert_array_equal(raster.read(), scores)
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert raster.block_shapes == [(128, 128)] * 2
        assert raster.overviews(1) == [2, 4]
        half = raster.read(1, out_shape=(150, 200))
        four = scores[0].reshape(150, 2, 200, 2)
        means = np.nansum(four, axis=(1, 3)) / np.maximum(np.isfinite(four).sum(axis=(1, 3)), 1)
        there = np.isfinite(four).any(axis=(1, 3))
        np.testing.assert_allclose(half[there], means[there], rtol=1e-5)
        assert np.isnan(half[~there]).all()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_without_a_georeference_it_leads_to_pixels(tmp_path):
    scores = make_scores(1, 5, 6).astype(np.float64)
    facts = make_facts(scores.shape, None)
    write_geotiff(tmp_path / "s.tif", ScoreArray(scores), facts)
    with rasterio.open(tmp_path / "s.tif") as raster:
        assert raster.crs is None
        assert raster.dtypes == ("float64",)
        assert raster.xy(0, 0) == (GRID.window_px[1] / 2 * 4, GRID.window_px[0] / 2 * 2)
        assert tuple(raster.transform)[:6] == place_cells(facts.placement, None)
    assert issubclass(NotGeoreferencedWarning, UserWarning)


def test_a_thousand_classes_have_small_blocks(monkeypatch):
    assert [geotiff._choose_block(outputs) for outputs in (1, 8, 9, 32, 33, 1000)] == [512, 512, 256, 256, 128, 128]


def test_there_must_be_a_name_for_each_band(tmp_path):
    with pytest.raises(OptionError, match="expected a name for each of 2 bands, got 1"):
        write_geotiff(tmp_path / "s.tif", ScoreArray(make_scores(2, 5, 5)), make_facts((1, 5, 5), None))


def test_what_gdal_refuses_leaves_nothing_behind(tmp_path):
    facts = make_facts((1, 5, 5), Georeference(NORTH_UP.transform, "no coordinate system"))
    with pytest.raises(OutputError, match=r"s.tif: cannot be written \("):
        write_geotiff(tmp_path / "s.tif", ScoreArray(make_scores(1, 5, 5)), facts)
    assert list(tmp_path.iterdir()) == []
