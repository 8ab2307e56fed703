import multiprocessing
import pickle
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from fullyconv.errors import ImageError, MissingExtraError
from fullyconv.images import opening
from fullyconv.images.geo_source import GeoSpec
from fullyconv.images.opening import describe_source
from fullyconv.images.pillow_source import PillowSpec
from fullyconv.images.scaled_source import ScaledSpec
from fullyconv.images.source import SourceSpec
from fullyconv.images.tiff_source import TiffSpec
from fullyconv.images.vips_source import VipsSpec
from fullyconv.images.wsi_source import WsiSpec
from fullyconv.images.zarr_source import ZarrSpec
from pictures import make_picture, read_whole

RGB = make_picture()


@pytest.fixture
def specs(tmp_path: Path) -> list[SourceSpec]:
    """One of every kind, all of the same picture."""
    Image.fromarray(RGB).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", RGB, tile=(32, 32), compression="zlib", photometric="rgb")
    zarr.create_array(tmp_path / "a.zarr", data=RGB)
    png, tiff = tmp_path / "a.png", tmp_path / "a.tif"
    files = [
        PillowSpec(png),
        VipsSpec(png),
        TiffSpec(tiff),
        GeoSpec(tiff),
        WsiSpec(tiff),
        ZarrSpec(tmp_path / "a.zarr"),
    ]
    return [*files, describe_source(RGB), ScaledSpec(TiffSpec(tiff), RGB.shape[:2])]


def test_all_of_them_are_specs_that_pickle(specs: list[SourceSpec]) -> None:
    for spec in specs:
        assert isinstance(spec, SourceSpec)
        copy = pickle.loads(pickle.dumps(spec))
        assert (copy.name, copy.bands, copy.identify()) == (spec.name, spec.bands, spec.identify())
        assert hash(spec) is not None
        np.testing.assert_array_equal(read_whole(copy.open()), RGB)


def read_sums(specs: list[SourceSpec]) -> list[int]:
    return [int(read_whole(spec.open()).sum()) for spec in specs]


def test_another_process_opens_them(specs: list[SourceSpec]) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(read_sums, (specs,)) == [int(RGB.sum())] * len(specs)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.tif", TiffSpec), ("a.svs", TiffSpec), ("a", TiffSpec), ("a.jpg", TiffSpec)],
)
def test_tiff_whatever_the_suffix(tmp_path: Path, name: str, kind) -> None:
    with (tmp_path / name).open("wb") as file:
        tifffile.imwrite(file, RGB, photometric="rgb")
    assert describe_source(tmp_path / name) == kind(tmp_path / name)


def test_paths_as_text_and_bands(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    spec = describe_source(str(tmp_path / "a.png"), bands=(2,))
    assert spec == PillowSpec(tmp_path / "a.png", (2,))
    np.testing.assert_array_equal(read_whole(spec.open()), RGB[:, :, 1:2])


def test_jpeg_2000_with_and_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jp2"
    Image.fromarray(RGB).save(path, irreversible=False)
    assert describe_source(path) == GeoSpec(path)
    with_extra = read_whole(describe_source(path).open())
    monkeypatch.setattr(opening, "_has", lambda module: False)
    assert describe_source(path) == PillowSpec(path)
    np.testing.assert_array_equal(read_whole(describe_source(path).open()), with_extra)


@pytest.mark.parametrize("spec", [VipsSpec, GeoSpec, WsiSpec])
def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec) -> None:
    module, extra = {VipsSpec: ("pyvips", "vips"), GeoSpec: ("rasterio", "geo"), WsiSpec: ("openslide", "wsi")}[spec]
    monkeypatch.setitem(__import__("sys").modules, module, None)
    Image.fromarray(RGB).save(tmp_path / "a.png")
    with pytest.raises(MissingExtraError, match=rf"pip install 'fullyconv\[{extra}\]'"):
        spec(tmp_path / "a.png").open()


def test_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("these are words")
    (tmp_path / "empty.png").touch()
    messages = {
        "none.png": "no such image",
        "text.png": "it is not an image, or of a kind that is not known",
        "empty.png": "expected an image, got an empty file",
        ".": "expected an image file, got a folder",
    }
    for name, message in messages.items():
        with pytest.raises(ImageError, match=message):
            describe_source(tmp_path / name)


def test_a_closed_source_leaves_no_file_open(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", RGB, tile=(32, 32), photometric="rgb")
    with closing(describe_source(tmp_path / "a.tif").open()) as source:
        source.read(0, (0, 0), (5, 5))
    (tmp_path / "a.tif").unlink()
