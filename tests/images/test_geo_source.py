import warnings
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling

from fullyconv.errors import ImageError, RegionError
from fullyconv.images import geo_source
from fullyconv.images.geo_source import GeoSpec
from fullyconv.images.opening import describe_source
from fullyconv.images.tiff_source import TiffSpec
from pictures import check_regions, make_picture

RGB = make_picture()
TRANSFORM = rasterio.Affine(0.6, 0, 500000, 0, -0.6, 5600000)
TILED = {"tiled": True, "blockxsize": 32, "blockysize": 48}


def write(path: Path, pixels, *, overviews=(), nodata=None, **options) -> Path:
    height, width, count = pixels.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": pixels.dtype} | options
    place = {"crs": "EPSG:32633", "transform": TRANSFORM} if options.get("driver", "GTiff") != "PNG" else {}
    with rasterio.open(path, "w", **profile, **place, nodata=nodata) as dataset:
        dataset.write(pixels.transpose(2, 0, 1))
        if overviews:
            dataset.build_overviews(list(overviews), Resampling.average)
    return path


def read_level(path: Path, level: int):
    options = {"overview_level": level - 1} if level else {}
    with rasterio.open(path, **options) as dataset:
        return dataset.read().transpose(1, 2, 0)


@pytest.mark.parametrize("spec", [GeoSpec, TiffSpec])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "options", [{}, TILED, {**TILED, "compress": "deflate", "predictor": 2}, {**TILED, "interleave": "band"}]
)
def test_both_readers_of_maps_give_the_same_pixels_and_place(tmp_path: Path, spec, dtype, options) -> None:
    pixels = make_picture(dtype=dtype)
    path = write(tmp_path / "map.tif", pixels, photometric="rgb", overviews=(2, 4), **options)
    source = spec(path).open()
    assert source.georeference is not None
    assert source.georeference.transform == tuple(TRANSFORM)[:6]
    assert rasterio.CRS.from_wkt(source.georeference.crs_wkt) == rasterio.CRS.from_epsg(32633)
    check_regions(source, pixels, read_level(path, 1), read_level(path, 2))


@pytest.mark.parametrize("spec", [GeoSpec, TiffSpec])
def test_sizes_that_halve_unevenly(tmp_path: Path, spec) -> None:
    pixels = make_picture(101, 119)
    path = write(tmp_path / "map.tif", pixels, photometric="rgb", overviews=(2, 4, 8), **TILED)
    check_regions(spec(path).open(), *[read_level(path, level) for level in range(4)])


def test_cloud_optimised(tmp_path: Path) -> None:
    pixels = make_picture(700, 600)
    path = write(
        tmp_path / "cog.tif", pixels, driver="COG", blocksize=256, compress="deflate", overview_resampling="average"
    )
    spec = describe_source(path)
    assert spec == TiffSpec(path)
    with rasterio.open(path) as dataset:
        overviews = len(dataset.overviews(1))
    assert overviews > 0
    check_regions(spec.open(), *[read_level(path, level) for level in range(overviews + 1)])


@pytest.mark.parametrize("spec", [GeoSpec, TiffSpec])
def test_bands_are_counted_from_1(tmp_path: Path, spec) -> None:
    pixels = make_picture(channels=7, dtype=np.uint16)
    path = write(tmp_path / "map.tif", pixels, photometric="minisblack", **TILED)
    check_regions(spec(path, bands=(4, 3, 2)).open(), pixels[:, :, [3, 2, 1]])
    with pytest.raises(ImageError, match="expected grey or colour, got 7 bands"):
        spec(path).open()


@pytest.mark.parametrize("spec", [GeoSpec, TiffSpec])
def test_transparency_and_near_infrared_are_told_apart(tmp_path: Path, spec) -> None:
    pixels = make_picture(channels=4)
    path = write(tmp_path / "alpha.tif", pixels, photometric="rgb", alpha="yes")
    check_regions(spec(path).open(), pixels)
    path = write(tmp_path / "infrared.tif", pixels, photometric="rgb", alpha="no")
    check_regions(spec(path).open(), pixels[:, :, :3])


@pytest.mark.parametrize("spec", [GeoSpec, TiffSpec])
def test_palette(tmp_path: Path, spec) -> None:
    table = {index: (index, 255 - index, index // 2, 255) for index in range(256)}
    path = write(tmp_path / "map.tif", RGB[:, :, :1], photometric="palette")
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, table)
    expected = np.array([table[index][:3] for index in range(256)], np.uint8)[RGB[:, :, 0]]
    check_regions(spec(path).open(), expected)


@pytest.mark.parametrize("spec", [GeoSpec, TiffSpec])
def test_tiles_that_were_left_out_are_no_data(tmp_path: Path, spec) -> None:
    path = tmp_path / "map.tif"
    profile = {"driver": "GTiff", "height": 100, "width": 120, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    profile |= TILED | {"transform": TRANSFORM, "nodata": 9, "sparse_ok": True, "compress": "deflate"}
    with rasterio.open(path, "w", **profile) as file:
        file.write(RGB[:48, :32].transpose(2, 0, 1), window=((0, 48), (0, 32)))
    expected = np.full_like(RGB, 9)
    expected[:48, :32] = RGB[:48, :32]
    check_regions(spec(path).open(), expected)


def test_jpeg_2000(tmp_path: Path) -> None:
    path = write(tmp_path / "map.jp2", RGB, driver="JP2OpenJPEG", quality=100, reversible="yes")
    spec = describe_source(path)
    assert spec == GeoSpec(path)
    check_regions(spec.open(), RGB)


def test_no_place(tmp_path: Path) -> None:
    with warnings.catch_warnings(action="ignore"):
        write(tmp_path / "a.png", RGB, driver="PNG")
    source = GeoSpec(tmp_path / "a.png").open()
    assert source.georeference is None
    check_regions(source, RGB)


def test_without_rasterio_the_pixels_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "map.tif", RGB, photometric="rgb")
    monkeypatch.setattr(geo_source, "find_spec", lambda module: None)
    source = describe_source(path).open()
    assert source.georeference is None
    check_regions(source, RGB)


def test_damage(tmp_path: Path) -> None:
    path = write(tmp_path / "map.tif", RGB, photometric="rgb", **TILED, compress="deflate")
    path.write_bytes(path.read_bytes()[:-300])
    with closing(GeoSpec(path).open()) as source:
        np.testing.assert_array_equal(source.read(0, (0, 0), (9, 9)), RGB[:9, :9])
        with pytest.raises(
            RegionError, match=r"map\.tif: the region 9x9 from x=110, y=90 of level 0 cannot be read: [^\n]+$"
        ):
            source.read(0, (90, 110), (9, 9))


def test_what_it_cannot_give(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such image"):
        GeoSpec(tmp_path / "none.tif").open()
    (tmp_path / "text.tif").write_text("these are words")
    with pytest.raises(ImageError, match=r"text\.tif: the image cannot be read: .*not recognized"):
        GeoSpec(tmp_path / "text.tif").open()
    (tmp_path / "mixed.vrt").write_text(
        '<VRTDataset rasterXSize="9" rasterYSize="9"><VRTRasterBand dataType="Byte" band="1"/>'
        '<VRTRasterBand dataType="UInt16" band="2"/></VRTDataset>'
    )
    with pytest.raises(ImageError, match="expected bands of one kind, got uint8, uint16; save those that are meant"):
        GeoSpec(tmp_path / "mixed.vrt").open()
    path = write(tmp_path / "float.tif", RGB.astype(np.float32))
    with pytest.raises(ImageError, match="expected 8-bit or 16-bit values, got float32"):
        GeoSpec(path).open()
