"""`fullyconv scan` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
import zarr
from torch import nn

import fullyconv
from fullyconv.card import ModelCard
from fullyconv.cli import main
from fullyconv.cli.engine_options import EngineOptions
from fullyconv.cli.scan_options import ScanOptions, parse_bands
from fullyconv.errors import OptionError
from fullyconv.images import read_image
from fullyconv.scan import scan as scan_array
from fullyconv.scan.ledger import Ledger
from fullyconv.scan.score_store import ScoreStore


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of two classes and a pyramid of two levels, half a micron a pixel."""
    torch.manual_seed(5)
    network = nn.Sequential(
        *(nn.Conv2d(3, 8, 5, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 25, 2), nn.Softmax(1))
    ).eval()
    folder = tmp_path_factory.mktemp("cli")
    card = ModelCard((24, 24), 3, classes=("tumour", "other"), background="other", activation="softmax")
    fullyconv.convert(network, window=(24, 24), card=card).save(folder / "dense.pt2")
    tissue = skimage.data.immunohistochemistry()
    options = {"tile": (64, 64), "photometric": "rgb", "resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(folder / "slide.tif") as file:
        file.write(tissue, subifds=1, **options)
        file.write(tissue[::2, ::2], subfiletype=1, **options)
    return folder


def run(folder: Path, output: Path, *options: str) -> int:
    return main(["scan", str(folder / "dense.pt2"), str(folder / "slide.tif"), "-o", str(output), *options])


def read(output: Path) -> np.ndarray:
    store = ScoreStore.open(output)
    return store.read((0, store.shape[1]), (0, store.shape[2]))


def test_the_scores_of_an_image(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    output = tmp_path / "out.zarr"
    assert run(folder, output, "--threshold", "0.5", "--memory", "200MB") == 0
    printed = capsys.readouterr().out
    assert "123x123 windows, 2 scores each; " in printed
    assert f" boxes; {output}" in printed
    dense = fullyconv.load(folder / "dense.pt2")
    expected = scan_array(dense, read_image(folder / "slide.tif")).scores
    np.testing.assert_allclose(read(output), expected, rtol=1e-5, atol=1e-6)
    attributes = dict(zarr.open_group(output, mode="r").attrs)
    assert attributes["fullyconv"]["outputs"] == ["tumour", "other"]
    assert attributes["fullyconv"]["image"]["microns_per_pixel"] == [0.5, 0.5]
    assert attributes["ome"]["multiscales"][0]["datasets"][0]["path"] == "0"
    with Ledger.read(output.with_suffix(".sqlite")) as ledger:
        boxes = ledger.list_detections()
    assert {box.class_name for box in boxes} == {"tumour"}, "the background is never reported"
    assert f"; {len(boxes)} boxes; " in printed


def test_levels_and_microns(folder: Path, tmp_path: Path) -> None:
    assert run(folder, tmp_path / "level.zarr", "--level", "1", "--class", "tumour") == 0
    assert run(folder, tmp_path / "mpp.zarr", "--mpp", "1", "--class", "tumour") == 0
    level, mpp = read(tmp_path / "level.zarr"), read(tmp_path / "mpp.zarr")
    assert level.shape == mpp.shape == (1, 59, 59)
    np.testing.assert_array_equal(level, mpp)
    description = ScoreStore.open(tmp_path / "mpp.zarr").description
    assert description.locate((1, 2)) == (16, 8, 64, 56), "in pixels of the finest level"
    with pytest.raises(OptionError, match="expected one of them, got both; leave one out"):
        ScanOptions(level=1, mpp=2.0)
    with pytest.raises(OptionError, match="expected microns per pixel above 0, got -1"):
        ScanOptions(mpp=-1.0)
    with pytest.raises(OptionError, match=r"--nms: expected an intersection over union of 0 to 1, got 2"):
        ScanOptions(nms=2.0)


def test_a_finer_grid(folder: Path, tmp_path: Path) -> None:
    assert run(folder, tmp_path / "fine.zarr", "--stride", "2", "--class", "tumour") == 0
    assert run(folder, tmp_path / "own.zarr", "--class", "tumour") == 0
    np.testing.assert_allclose(read(tmp_path / "fine.zarr")[:, ::2, ::2], read(tmp_path / "own.zarr"), atol=1e-6)


def test_regions_and_the_log(folder: Path, tmp_path: Path) -> None:
    region = tmp_path / "region.geojson"
    ring = [[100, 100], [300, 100], [300, 200], [100, 200], [100, 100]]
    region.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    log = tmp_path / "log.jsonl"
    assert run(folder, tmp_path / "out.zarr", "--where", str(region), "--log", str(log)) == 0
    rows, columns = np.nonzero(~np.isnan(read(tmp_path / "out.zarr")[0]))
    centres_y, centres_x = rows * 4 + 12, columns * 4 + 12
    assert (centres_y.min(), centres_y.max(), centres_x.min(), centres_x.max()) == (100, 200, 100, 300)
    assert [json.loads(line)["state"] for line in log.read_text().splitlines()] == ["done"]
    region.write_text(json.dumps({"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, 9], [0, 0]]]}))
    assert run(folder, tmp_path / "out.zarr", "--where", str(region)) == 2


def test_several_images(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    other = tmp_path / "other.png"
    tifffile.imwrite(tmp_path / "small.tif", np.zeros((8, 8, 3), np.uint8), photometric="rgb")
    from PIL import Image

    Image.fromarray(skimage.data.astronaut()).save(other)
    images = [str(folder / "slide.tif"), str(tmp_path / "small.tif"), str(other)]
    assert main(["scan", str(folder / "dense.pt2"), *images, "-o", str(tmp_path / "all")]) == 1
    shown = capsys.readouterr()
    assert "small.tif: the image is smaller than the window" in shown.err
    assert sorted(path.name for path in (tmp_path / "all").glob("*.zarr")) == ["other.zarr", "slide.zarr"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--level", "7"], r"level 7: .*slide\.tif has no such level; it has 0 (512x512), 1 (256x256)"),
        (["--class", "dog"], "class 'dog': not one that the network detects; it has tumour"),
        (["--scores", "side"], "output 'side': the network has no such output"),
        (["--bands", "1,x"], "--bands: expected whole numbers from 1 with commas, such as 4,3,2, got '1,x'"),
        (["--memory", "much"], "--memory: expected an amount such as 512MB or 2GB, got 'much'"),
        (["--memory", "0"], "which one window of this network takes at a time, got 0 MB"),
        (["--threshold", "nan"], "threshold: expected a number, got nan"),
        (["--threads", "0"], "threads: expected at least 1, got 0"),
        (["--workers", "0"], "--workers: expected at least 1, got 0"),
        (["--workers", "2", "--scheduler", "tcp://x"], "--workers and --scheduler: expected one of them, got both"),
        (["--where", "none.geojson"], "none.geojson"),
        (["--stride", "3"], "stride"),
    ],
)
def test_bad_options(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture, options: list[str], message: str
) -> None:
    assert run(folder, tmp_path / "out.zarr", *options) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("fullyconv: ") and shown.count("\n") == 1
    assert message.replace(r"\.", ".").split(".*")[-1] in shown
    assert list(tmp_path.iterdir()) == [], "nothing half-written is left"


def test_bad_files(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    dense, slide = str(folder / "dense.pt2"), str(folder / "slide.tif")
    calls = {
        "expected an image to scan, got none": ["scan", dense, "-o", str(tmp_path / "a.zarr")],
        "expected a name that ends in .zarr": ["scan", dense, slide, "-o", str(tmp_path / "a.tif")],
        "expected images of different names": ["scan", dense, slide, slide, "-o", str(tmp_path / "a")],
        "no such": ["scan", dense, str(tmp_path / "none.tif"), "-o", str(tmp_path / "a.zarr")],
        "none.pt2": ["scan", str(tmp_path / "none.pt2"), slide, "-o", str(tmp_path / "a.zarr")],
    }
    for message, call in calls.items():
        assert main(call) == 2
        assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_microns_that_are_not_known(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from PIL import Image

    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "a.png")
    call = ["scan", str(folder / "dense.pt2"), str(tmp_path / "a.png"), "-o", str(tmp_path / "a.zarr"), "--mpp", "1"]
    assert main(call) == 2
    assert "the image does not say how many microns a pixel is; use --level" in capsys.readouterr().err


def test_bands() -> None:
    assert parse_bands(None) is None
    with pytest.raises(OptionError, match="expected whole numbers from 1"):
        parse_bands("0,1")
    assert EngineOptions(workers=2).scheduler is None
