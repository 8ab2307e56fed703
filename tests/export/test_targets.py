import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from torch import nn

import fullyconv
from fullyconv.card import ModelCard
from fullyconv.detect.from_scan import find_in_scan, keep_detections
from fullyconv.errors import ImageError, OptionError, OutputError
from fullyconv.export.targets import ExportSettings, check_targets, count_boxes, export_scan
from fullyconv.images.opening import describe_source
from fullyconv.images.read import read_image, read_size
from fullyconv.scan.driver import run_scan
from fullyconv.scan.engines import InProcess
from fullyconv.scan.ledger import Ledger
from fullyconv.scan.network import LoadedNetwork
from fullyconv.scan.planning import ScanSettings, ScanTarget, plan_scan
from fullyconv.scan.score_store import ScoreStore

CARD = ModelCard((16, 16), 3, ("empty", "dark", "light"), background="empty", activation="softmax")
DEFAULT = ExportSettings()


def build_dense(card: ModelCard = CARD) -> fullyconv.DenseModel:
    """Dark and light are told by the mean of the window, empty is in between; stride 8."""
    network = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(12, 3), nn.Softmax(dim=1)).eval()
    with torch.no_grad():
        network[2].weight[:] = torch.tensor([0.0, -2.0, 2.0])[:, None]
        network[2].bias[:] = torch.tensor([0.0, 4.0, -20.0])
    return fullyconv.convert(network, card=card)


def write_image(folder: Path) -> Path:
    pixels = np.full((120, 160, 3), 128, np.uint8)
    pixels[40:72, 80:128] = 10
    path = folder / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def scan(folder: Path, *, threshold: float | None = 0.5, is_sought: bool = True, card: ModelCard = CARD) -> ScoreStore:
    dense = build_dense(card)
    image = describe_source(write_image(folder))
    plan = plan_scan(
        LoadedNetwork(dense, "trial"),
        dense,
        ScanTarget(image, 0, image),
        ScanSettings(threshold=threshold),
        model_name="m",
    )
    order = plan.order(folder / "out.zarr")

    def finish(store: ScoreStore, ledger: Ledger) -> None:
        if order.seeking is not None:
            found = find_in_scan(store, ledger, order.job.plan, order.seeking, nms_iou=0.1, nms_across_classes=False)
            keep_detections(ledger, found)
        if not is_sought:
            raise KeyboardInterrupt

    try:
        run_scan(order, InProcess(dense), finish=finish)
    except KeyboardInterrupt:
        assert not is_sought
    return ScoreStore.open(order.output)


def export(store: ScoreStore, target: Path, settings: ExportSettings = DEFAULT) -> str:
    check_targets(store, [target], settings)
    return export_scan(store, target, settings)


def test_the_suffix_decides(tmp_path):
    store = scan(tmp_path)
    with Ledger.read(tmp_path / "out.sqlite") as ledger:
        count = len(ledger.list_detections())
    assert count >= 1
    assert export(store, tmp_path / "b.geojson") == count_boxes(count) + " for QuPath"
    features = json.loads((tmp_path / "b.geojson").read_text())["features"]
    assert [each["properties"]["classification"]["name"] for each in features] == ["dark"] * count
    assert export(store, tmp_path / "b.csv") == count_boxes(count)
    with (tmp_path / "b.csv").open(newline="") as file:
        box = next(csv.DictReader(file))
    assert 80 <= float(box["x0"]) < float(box["x1"]) <= 128
    assert export(store, tmp_path / "p.png") == f"a picture of 160x120 with {count_boxes(count)}"
    assert read_size(tmp_path / "p.png") == (120, 160)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_raster_has_all_classes_or_those_asked_for(tmp_path):
    store = scan(tmp_path)
    said = export(store, tmp_path / "s.tif")
    assert said == "19x14 scores in 3 bands, in pixels of the image, which has no georeference"
    rows, columns = store.shape[1:]
    scores = store.read((0, rows), (0, columns))
    with rasterio.open(tmp_path / "s.tif") as raster:
        np.testing.assert_array_equal(raster.read(), scores)
        assert raster.descriptions == CARD.classes
        assert raster.tags()["guarantee"] == store.description.guarantee
    export(store, tmp_path / "one.TIF", ExportSettings(classes=("light",)))
    with rasterio.open(tmp_path / "one.TIF") as raster:
        np.testing.assert_array_equal(raster.read(), scores[2:])


def test_only_the_classes_asked_for(tmp_path):
    store, settings = scan(tmp_path), ExportSettings(classes=("light",), objects="annotation")
    assert export(store, tmp_path / "b.csv", settings) == "0 boxes"
    dark = replace(settings, classes=("dark",))
    export(store, tmp_path / "b.geojson", dark)
    features = json.loads((tmp_path / "b.geojson").read_text())["features"]
    assert features[0]["properties"]["objectType"] == "annotation"
    export(store, tmp_path / "light.png", settings)
    export(store, tmp_path / "dark.png", dark)
    light, dark_one = (read_image(tmp_path / f"{name}.png")[45:65, 90:120] for name in ("light", "dark"))
    assert light.mean() < dark_one.mean(), "heat glows where the class is"
    with pytest.raises(OptionError, match="class 'cat': not one that the network detects; it has dark, light"):
        check_targets(store, [tmp_path / "b.csv"], ExportSettings(classes=("cat",)))


def test_a_scan_that_sought_nothing_has_no_boxes(tmp_path):
    store = scan(tmp_path, threshold=None)
    with pytest.raises(OptionError, match=r"out.zarr: expected a scan that noted boxes, got one without --threshold"):
        export(store, tmp_path / "b.csv")
    assert not (tmp_path / "b.csv").exists()
    said = export(store, tmp_path / "p.png")
    assert "with 0 boxes (" in said
    assert "without --threshold" in said


def test_of_an_interrupted_scan_the_map_is_there(tmp_path):
    store = scan(tmp_path, is_sought=False)
    with pytest.raises(OptionError, match=r"expected a scan that came to its end, got one that was interrupted"):
        export(store, tmp_path / "b.geojson")
    assert "3 bands" in export(store, tmp_path / "s.tif")


def test_a_scan_that_is_running_keeps_its_boxes(tmp_path):
    store = scan(tmp_path)
    with (
        Ledger.open(tmp_path / "out.sqlite"),
        pytest.raises(OutputError, match=r"out.sqlite: another scan is writing there"),
    ):
        export(store, tmp_path / "b.csv")


def test_without_a_ledger_there_are_no_boxes(tmp_path):
    store = scan(tmp_path)
    (tmp_path / "out.sqlite").unlink()
    with pytest.raises(ImageError, match=r"out.sqlite: expected the ledger"):
        export(store, tmp_path / "b.csv")


def test_the_image_may_have_moved(tmp_path):
    store = scan(tmp_path)
    (tmp_path / "moved").mkdir()
    moved = (tmp_path / "photo.png").rename(tmp_path / "moved" / "photo.png")
    with pytest.raises(ImageError, match=r"photo.png: the image that was scanned is not there; say with --image"):
        export(store, tmp_path / "p.png")
    assert "with" in export(store, tmp_path / "p.png", ExportSettings(image=moved))
    Image.new("RGB", (50, 40)).save(moved)
    with pytest.raises(ImageError, match=r"photo.png: expected the image that was scanned, 160x120, got one of 50x40"):
        export(store, tmp_path / "p.png", ExportSettings(image=moved))


def test_raw_scores_are_shown_by_their_own_range(tmp_path):
    store = scan(tmp_path, card=replace(CARD, activation="none"))
    assert "box" in export(store, tmp_path / "p.png", ExportSettings(longest_px=40))
    assert read_size(tmp_path / "p.png") == (30, 40)


@pytest.mark.parametrize("name", ["b.xml", "b", "out.zarr"])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(OptionError, match=r"expected a name that ends in .tif \(score map\), .geojson or .csv"):
        check_targets(scan(tmp_path), [tmp_path / "s.tif", tmp_path / name], DEFAULT)


def test_the_image_is_not_written_over(tmp_path):
    store = scan(tmp_path)
    with pytest.raises(OptionError, match=r"photo.png: expected another name than that of the image"):
        check_targets(store, [tmp_path / "x" / ".." / "photo.png"], DEFAULT)
    with pytest.raises(OptionError, match=r"other.png: expected another name than that of the image"):
        check_targets(store, [tmp_path / "other.png"], ExportSettings(image=tmp_path / "other.png"))


def test_each_export_has_its_name(tmp_path):
    with pytest.raises(OptionError, match="expected a name of its own for each export, got one twice"):
        check_targets(scan(tmp_path), [tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "a.csv"], DEFAULT)
