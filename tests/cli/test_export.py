"""`fullyconv export` as a user calls it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from rasterio.crs import CRS
from torch import nn

import fullyconv
from fullyconv.card import ModelCard
from fullyconv.cli import main
from fullyconv.images.read import read_size


@pytest.fixture
def scanned(tmp_path: Path) -> Path:
    """A scan of a georeferenced scene with one dark square."""
    pixels = np.full((3, 120, 160), 128, np.uint8)
    pixels[:, 40:72, 80:112] = 0
    transform = rasterio.Affine(0.5, 0.0, 690_000.0, 0.0, -0.5, 5_340_000.0)
    with rasterio.open(
        tmp_path / "scene.tif", "w", driver="GTiff", count=3, height=120, width=160, dtype="uint8", tiled=True,
        blockxsize=64, blockysize=64, crs=CRS.from_epsg(32632), transform=transform,
    ) as raster:  # fmt: skip
        raster.write(pixels)
    network = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(12, 1), nn.Sigmoid()).eval()
    with torch.no_grad():
        network[2].weight[:], network[2].bias[:] = -2, 4
    card = ModelCard((16, 16), 3, ("dark",), activation="sigmoid")
    fullyconv.convert(network, card=card).save(tmp_path / "net.pt2")
    files = [str(tmp_path / name) for name in ("net.pt2", "scene.tif", "out.zarr")]
    assert main(["scan", files[0], files[1], "-o", files[2], "--threshold", "0.5"]) == 0
    return tmp_path / "out.zarr"


def test_several_exports_of_one_scan(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    targets = [scanned.with_name(name) for name in ("s.tif", "b.geojson", "b.csv", "p.png")]
    asked = [text for target in targets for text in ("-o", str(target))]
    assert main(["export", str(scanned), *asked, "--size", "80"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{targets[0]}: 19x14 scores in 1 band, on the map"
    assert [line.split(": ")[0] for line in lines] == [str(target) for target in targets]
    with rasterio.open(targets[0]) as raster:
        row, column = np.unravel_index(raster.read(1).argmax(), raster.shape)
        east, north = raster.xy(row, column)
    assert 690_000 + 0.5 * 80 < east < 690_000 + 0.5 * 112
    assert 5_340_000 - 0.5 * 72 < north < 5_340_000 - 0.5 * 40
    assert read_size(targets[3]) == (60, 80)


def test_what_cannot_be_written_is_said_before_anything_is(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = scanned.with_name("b.csv")
    assert main(["export", str(scanned), "-o", str(first), "-o", str(scanned.with_name("scene.tif"))]) == 2
    assert "scene.tif: expected another name than that of the image" in capsys.readouterr().err
    assert not first.exists()


def test_a_missing_scan_is_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path / "none.zarr"), "-o", "b.csv"]) == 2
    assert "none.zarr: expected a score map that fullyconv scan wrote, got none" in capsys.readouterr().err


def test_bands_are_numbers(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(scanned), "-o", str(scanned.with_name("p.png")), "--bands", "red"]) == 2
    assert "--bands: expected whole numbers from 1" in capsys.readouterr().err
