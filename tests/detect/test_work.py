"""How much there is to do, without reading pixels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fullyconv
from fullyconv.detect import DetectSettings
from fullyconv.detect import work as work_module
from fullyconv.detect.work import measure_work
from fullyconv.runtime.work import Work
from fullyconv.scan import largest_tile_px
from zoo import ZOO, build

ONCE = DetectSettings(scales=(1.0, 0.5))


@pytest.fixture(scope="module")
def dense() -> fullyconv.DenseModel:
    return fullyconv.convert(build("plain"), ZOO["plain"].window)


def save(path: Path, height: int, width: int) -> Path:
    Image.fromarray(np.zeros((height, width), np.uint8)).save(path)
    return path


def test_all_sizes_of_all_images_count(dense, tmp_path):
    paths = [save(tmp_path / "a.png", 100, 80), save(tmp_path / "b.png", 60, 200)]
    assert measure_work(dense, paths, ONCE) == Work((60, 200), 100 * 80 + 50 * 40 + 60 * 200 + 30 * 100)


def test_one_run_is_a_tile_at_most(dense, tmp_path):
    small = DetectSettings(scales=(1.0,), memory_bytes=2_000_000)
    tile_px = largest_tile_px(dense, small.memory_bytes)
    side = round(tile_px**0.5)
    assert measure_work(dense, [save(tmp_path / "a.png", 900, 900)], small).image_px == (side, side)


def test_what_cannot_be_searched_counts_for_nothing(dense, tmp_path):
    (tmp_path / "broken.png").write_text("no image")
    bad = [tmp_path / "broken.png", tmp_path / "absent.png", save(tmp_path / "tiny.png", 5, 5)]
    assert measure_work(dense, bad, ONCE) == Work()
    good = save(tmp_path / "a.png", 100, 80)
    assert measure_work(dense, [*bad, good], ONCE).total_px == 100 * 80 + 50 * 40


def test_of_many_some_are_looked_at(dense, tmp_path, monkeypatch):
    monkeypatch.setattr(work_module, "_SAMPLED", 2)
    paths = [save(tmp_path / f"{number}.png", 50, 40) for number in range(6)]
    for path in paths[1::3]:
        path.unlink()
    assert measure_work(dense, paths, DetectSettings(scales=(1.0,))).total_px == 6 * 50 * 40
