from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fullyconv.images.tiff_source import TiffSpec

PIXELS = np.zeros((32, 32, 3), np.uint8)


def read_scale(path: Path):
    with closing(TiffSpec(path).open()) as source:
        return source.microns_per_pixel


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}, (0.5, 0.25)),
        ({"PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5}, (0.5, 0.25)),
        ({"PhysicalSizeX": 0.25, "PhysicalSizeY": 5e-4, "PhysicalSizeYUnit": "mm"}, (0.5, 0.25)),
        ({"PhysicalSizeX": 0.25}, None),
        ({"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "pixel"}, None),
        ({}, None),
    ],
)
def test_ome(tmp_path: Path, sizes, expected) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, PIXELS, ome=True, metadata={"axes": "YXS", **sizes})
    assert read_scale(path) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(("text", "expected"), [("MPP = 0.2527", (0.2527, 0.2527)), ("MPP = much", None), ("", None)])
def test_aperio(tmp_path: Path, text: str, expected) -> None:
    path = tmp_path / "a.svs"
    description = f"Aperio Image Library v1\r\n32x32 [0,0 32x32] (16x16)|AppMag = 40|{text}"
    tifffile.imwrite(path, PIXELS, tile=(16, 16), description=description, metadata=None)
    assert read_scale(path) == expected


@pytest.mark.parametrize(
    ("resolution", "unit", "expected"),
    [
        ((40000, 20000), "CENTIMETER", (0.5, 0.25)),
        ((25400, 25400), "INCH", (1.0, 1.0)),
        ((300, 300), "INCH", None),  # what editors write for the printer
        ((2400, 2400), "INCH", None),
        ((40000, 40000), "NONE", None),
        ((0, 0), "CENTIMETER", None),
    ],
)
def test_resolution_tags_of_microscopes_only(tmp_path: Path, resolution, unit: str, expected) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PIXELS, resolution=resolution, resolutionunit=unit)
    assert read_scale(path) == (None if expected is None else pytest.approx(expected))


def test_broken_ome_is_no_scale(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PIXELS, description="<?xml version='1.0'?><OME><broken</OME>", metadata=None)
    assert read_scale(path) is None
