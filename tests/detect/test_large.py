"""Searching part by part, on disk, finds what searching in memory finds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from torch import nn

import fullyconv
from fullyconv import DenseModel
from fullyconv.card import ModelCard
from fullyconv.detect import Detection, DetectSettings, find_detections
from fullyconv.detect.large import (
    LargeSearch,
    collect_scans,
    is_ordinary,
    measure_image,
    plan_large_pyramid,
    remove_scans,
    scan_levels,
)
from fullyconv.errors import ImageError, OptionError
from fullyconv.images.array_source import ArraySpec
from fullyconv.images.opening import describe_source
from fullyconv.images.source import SourceSpec
from fullyconv.scan import memory
from fullyconv.scan.engines import InProcess
from fullyconv.scan.network import LoadedNetwork

WINDOW = (16, 20)
TINY = round((memory._LIBRARIES + 400_000) / (1 - memory.KEPT_SHARE))  # which leaves tiles of some 70x70 pixels
SETTINGS = DetectSettings(scales=(1.0, 0.5, 0.25), threshold=0.4, nms_iou=0.2, memory_bytes=TINY)


@pytest.fixture(scope="module")
def dense() -> DenseModel:
    """Three classes, one of them the background; padded, so that tiles need margins."""
    torch.manual_seed(4)
    network = nn.Sequential(
        *(nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(8 * 4 * 5, 3)),
    )
    network[-1].weight.data -= network[-1].weight.data.mean(dim=1, keepdim=True)  # no class is likelier by itself
    network[-1].weight.data *= 20
    card = ModelCard(WINDOW, 3, ("ground", "cat", "dog"), activation="softmax", background="ground")
    return fullyconv.convert(nn.Sequential(*network, nn.Softmax(dim=1)).eval(), window=WINDOW, card=card)


def make_image(height: int = 150, width: int = 210) -> np.ndarray:
    """Blobs of several sizes, so that every scale has something to see."""
    generator = np.random.default_rng(2)
    coarse = [generator.normal(size=(height // step + 2, width // step + 2, 3)) for step in (6, 12, 30)]
    layers = [np.kron(each, np.ones((step, step, 1)))[:height, :width] for each, step in zip(coarse, (6, 12, 30))]  # noqa: B905
    return np.clip(128 + 50 * sum(layers), 0, 255).astype(np.uint8)


def prepare(dense: DenseModel, settings: DetectSettings = SETTINGS, **options: object) -> LargeSearch:
    return LargeSearch(LoadedNetwork(dense, "trial"), "trial", dense, InProcess(dense), settings, **options)


def find(search: LargeSearch, image: SourceSpec, folder: Path) -> tuple[Detection, ...]:
    return collect_scans(scan_levels(search, image, folder), search.settings)


def check_same(got: tuple[Detection, ...], expected: tuple[Detection, ...]) -> None:
    assert [(each.class_name, each.scale) for each in got] == [(each.class_name, each.scale) for each in expected]
    np.testing.assert_allclose([each.box_xyxy for each in got], [each.box_xyxy for each in expected], rtol=0, atol=1e-9)
    np.testing.assert_allclose([each.score for each in got], [each.score for each in expected], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"nms_across_classes": True},
        {"classes": ("dog",)},
        {"scales": (2.0, 1.0)},
        {"scales": None, "scale_step": 2.0, "min_object_px": (8, 10)},
    ],
)
def test_the_same_as_in_memory(dense: DenseModel, tmp_path: Path, changes: dict) -> None:
    settings = replace(SETTINGS, **changes)
    expected = find_detections(dense, make_image(), settings)
    scans = scan_levels(prepare(dense, settings), ArraySpec(make_image()), tmp_path / "scans")
    assert max(len(each.order.job.plan) for each in scans) > 8, "an image of many tiles"
    check_same(collect_scans(scans, settings), expected)
    assert len(expected) > 15
    assert len({each.scale for each in expected}) > 1
    assert {each.class_name for each in expected} == ({"dog"} if "classes" in changes else {"cat", "dog"})


def test_boxes_of_one_scale_suppress_those_of_another(dense: DenseModel, tmp_path: Path) -> None:
    apart = [
        find(prepare(dense, replace(SETTINGS, scales=(scale,))), ArraySpec(make_image()), tmp_path / str(scale))
        for scale in (1.0, 0.5, 0.25)
    ]
    together = find(prepare(dense), ArraySpec(make_image()), tmp_path / "together")
    assert 0 < len(together) < sum(map(len, apart))


@pytest.mark.parametrize("scale", [0.7, 0.33])
def test_scales_between_whole_numbers(dense: DenseModel, tmp_path: Path, scale: float) -> None:
    """Here a scaled pixel may be 1 of 255 off, one in two thousand."""
    settings = replace(SETTINGS, scales=(scale,), threshold=0.5)
    expected = find_detections(dense, make_image(), settings)
    got = find(prepare(dense, settings), ArraySpec(make_image()), tmp_path)
    assert [each.box_xyxy for each in got] == [each.box_xyxy for each in expected] != []
    np.testing.assert_allclose([each.score for each in got], [each.score for each in expected], atol=0.05)


def test_a_pyramid_in_16_bits(dense: DenseModel, tmp_path: Path) -> None:
    """Each scale is read from the coarsest level that is fine enough; a level that has the size is taken as it is."""
    pixels = make_image(160, 256)
    half = np.full((80, 128, 3), 17, np.uint8)
    with tifffile.TiffWriter(tmp_path / "p.tif") as file:
        options = {"tile": (32, 32), "photometric": "rgb", "compression": "zlib"}
        file.write(pixels.astype(np.uint16) * 257, subifds=1, **options)
        file.write(half.astype(np.uint16) * 257, subfiletype=1, **options)
    settings = replace(SETTINGS, scales=(1.0, 0.5))
    got = find(prepare(dense, settings), describe_source(tmp_path / "p.tif"), tmp_path / "scans")
    full = find_detections(dense, pixels, replace(settings, scales=(1.0,), nms_iou=1.0))
    assert {(each.box_xyxy, each.class_name) for each in got if each.scale == 1} <= {
        (each.box_xyxy, each.class_name) for each in full
    }
    flat = {round(each.score, 4) for each in find_detections(dense, half, replace(settings, scales=(1.0,)))}
    assert {round(each.score, 4) for each in got if each.scale == 0.5} <= flat


def test_interrupted_it_goes_on(dense: DenseModel, tmp_path: Path) -> None:
    search, image, calls = prepare(dense), ArraySpec(make_image()), []

    def stop(done: int, total: int) -> None:
        calls.append((done, total))
        if done > 0.3 * total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan_levels(search, image, tmp_path / "scans", progress=stop)
    pixels = 150 * 210 + 75 * 105 + 38 * 52
    assert {total for _, total in calls} == {pixels}
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    scans = scan_levels(search, image, tmp_path / "scans", progress=lambda *call: calls.append(call))
    assert calls[-1] == (pixels, pixels)
    assert 0 < scans[0].summary.computed < scans[0].summary.tiles
    assert [each.summary.computed for each in scans[1:]] == [each.summary.tiles for each in scans[1:]]
    check_same(collect_scans(scans, SETTINGS), find_detections(dense, make_image(), SETTINGS))


def test_scans_of_another_search(dense: DenseModel, tmp_path: Path) -> None:
    image = ArraySpec(make_image())
    find(prepare(dense), image, tmp_path)
    other = replace(SETTINGS, threshold=0.6)
    with pytest.raises(
        OptionError, match=r"0\.sqlite: expected the scan that was begun there, .*threshold was 0\.4 and is 0\.6"
    ):
        find(prepare(dense, other), image, tmp_path)
    found = find(prepare(dense, other, overwrite=True), image, tmp_path)
    check_same(found, find_detections(dense, make_image(), other))


def test_scans_are_removed_and_nothing_else(dense: DenseModel, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    find(prepare(dense), ArraySpec(make_image()), folder)
    assert {path.name for path in folder.iterdir()} == {f"{n}.{kind}" for n in range(3) for kind in ("zarr", "sqlite")}
    (folder / "notes.txt").write_text("mine")
    remove_scans(folder)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    (folder / "notes.txt").unlink()
    find(prepare(dense), ArraySpec(make_image()), folder)
    remove_scans(folder)
    assert not folder.exists()


def test_which_images_are_ordinary(tmp_path: Path) -> None:
    Image.fromarray(make_image()).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "five.tif", np.zeros((5, 70, 90), np.uint8), photometric="rgb", planarconfig="separate")
    once = DetectSettings(scales=(0.5,))
    assert is_ordinary(tmp_path / "a.png", WINDOW, once)
    assert is_ordinary(tmp_path / "a.png", WINDOW, once, most_px=150 * 210)
    assert not is_ordinary(tmp_path / "a.png", WINDOW, once, most_px=150 * 210 - 1)
    assert not is_ordinary(tmp_path / "a.png", WINDOW, DetectSettings(scales=(2.0,)), most_px=4 * 150 * 210 - 1)
    assert not is_ordinary(tmp_path / "five.tif", WINDOW, once)
    assert not is_ordinary(tmp_path / "none.png", WINDOW, once)
    (tmp_path / "slide.mrxs").write_bytes((tmp_path / "a.png").read_bytes())
    assert not is_ordinary(tmp_path / "slide.mrxs", WINDOW, once), "what Pillow sees is the picture of its label"
    with pytest.raises(ImageError, match="smaller than the window"):
        is_ordinary(tmp_path / "a.png", (151, 10), once)


def test_sizes_of_all_formats(tmp_path: Path) -> None:
    Image.fromarray(make_image()).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "five.tif", np.zeros((5, 70, 90), np.uint8), photometric="rgb", planarconfig="separate")
    assert measure_image(tmp_path / "a.png") == (150, 210)
    assert measure_image(tmp_path / "five.tif") == (70, 90)
    with pytest.raises(ImageError, match="no such image"):
        measure_image(tmp_path / "none.png")


def test_sizes_beyond_a_gigapixel_but_not_beyond_measure() -> None:
    slide = DetectSettings(scales=(2.0, 1.0))
    assert [each.size for each in plan_large_pyramid((10**5, 10**5), WINDOW, slide)] == [(2 * 10**5,) * 2, (10**5,) * 2]
    with pytest.raises(
        ImageError, match="expected at most 1073741824 pixels at every scale, got 100000x100000 at 1000"
    ):
        plan_large_pyramid((100, 100), WINDOW, DetectSettings(scales=(1000.0,)))
