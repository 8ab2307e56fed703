from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from fullyconv.errors import OptionError
from fullyconv.grid import Grid
from fullyconv.scan import multiscales
from fullyconv.scan.multiscales import Channel, ScaleView, count_levels, shrink, write_multiscales
from fullyconv.scan.placement import Placement

GRID = Grid((64, 32), (16, 8), (4, 4))


def make_group(path: Path, scores: np.ndarray, chunks: tuple[int, int, int]) -> zarr.Group:
    group = zarr.create_group(path, zarr_format=3, attributes={"fullyconv": {"version": "0"}})
    group.create_array("0", shape=scores.shape, chunks=chunks, dtype=scores.dtype, fill_value=np.nan)[:] = scores
    return group


def make_view(shape: tuple[int, int, int], **changes: object) -> ScaleView:
    size = GRID.extent_px(shape[1:])
    channels = tuple(Channel(f"class {index}", (255, 16 * index, 0), is_shown=index > 0) for index in range(shape[0]))
    return ScaleView("heat", Placement(GRID, size, (2.0, 4.0)), channels, **changes)


def make_scores(*shape: int, dtype: type = np.float32) -> np.ndarray:
    random = np.random.default_rng(6)
    scores = random.random(shape).astype(dtype)
    scores[:, random.random(shape[1:]) < 0.3] = np.nan
    return scores


@given(st.integers(1, 9), st.integers(1, 9))
def test_a_coarse_cell_is_the_highest_of_its_four(height, width):
    scores = make_scores(2, height, width)
    found = shrink(scores)
    assert found.shape == (2, -(-height // 2), -(-width // 2))
    for k, i, j in np.ndindex(*found.shape):
        four = scores[k, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        assert np.array_equal(
            found[k, i, j], four[~np.isnan(four)].max(initial=-1) if (four >= 0).any() else np.nan, True
        )


@pytest.mark.parametrize(("shape", "levels"), [((2, 37, 70), 5), ((3, 5, 9), 2), ((1, 8, 8), 1), ((1, 1, 1), 1)])
def test_levels_halve_until_they_are_small(tmp_path, monkeypatch, shape, levels):
    monkeypatch.setattr(multiscales, "_COARSEST_CELLS", 8)
    scores = make_scores(*shape)
    group = make_group(tmp_path / "a.zarr", scores, (1, 10, 7))
    assert write_multiscales(group, make_view(shape)) == levels == count_levels(shape[1:])
    again = zarr.open_group(tmp_path / "a.zarr", mode="r")
    for level in range(levels):
        np.testing.assert_array_equal(again[str(level)][:], scores)
        assert again[str(level)].metadata.zarr_format == 3
        scores = shrink(scores)
    assert sorted(again) == [str(level) for level in range(levels)]
    assert again.attrs["fullyconv"] == {"version": "0"}


def test_the_coarsest_level_still_shows_one_hot_cell(tmp_path, monkeypatch):
    monkeypatch.setattr(multiscales, "_COARSEST_CELLS", 2)
    scores = np.zeros((1, 33, 33))
    scores[0, 32, 17] = 0.9
    group = make_group(tmp_path / "a.zarr", scores, (1, 16, 16))
    levels = write_multiscales(group, make_view(scores.shape))
    assert group[str(levels - 1)][:].max() == 0.9
    assert group[str(levels - 1)].dtype == np.float64


@pytest.mark.parametrize("level", range(4))
@pytest.mark.parametrize("microns", [None, (0.25, 0.5)])
def test_a_coarse_cell_lies_at_the_centre_of_those_it_stands_for(level, microns):
    view = make_view((1, 40, 40), microns_per_pixel=microns)
    scale, shift = view.locate(level)
    for axis in (0, 1):
        for index in (0, 2):
            cells = (index * 2**level, (index + 1) * 2**level)
            centre = view.placement.centres(axis, cells).mean() - 0.5  # NGFF: whole numbers at pixels' centres
            expected = centre * (microns or (1, 1))[axis]
            assert shift[axis] + index * scale[axis] == pytest.approx(expected)


def test_metadata_are_those_of_ngff_0_5(tmp_path):
    scores = make_scores(2, 300, 20)
    group = make_group(tmp_path / "a.zarr", scores, (2, 100, 20))
    write_multiscales(group, make_view(scores.shape, microns_per_pixel=(0.5, 0.25)))
    ome = zarr.open_group(tmp_path / "a.zarr", mode="r").attrs["ome"]
    assert ome["version"] == "0.5"
    (scales,) = ome["multiscales"]
    assert scales["axes"] == [
        {"name": "c", "type": "channel"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    assert scales["type"] == "maximum"
    assert [each["path"] for each in scales["datasets"]] == ["0", "1"]
    assert scales["datasets"][0]["coordinateTransformations"] == [
        {"type": "scale", "scale": [1, 16.0, 8.0]},
        {"type": "translation", "translation": [0, 31.75, 15.875]},
    ]
    assert ome["omero"]["channels"][1] == {
        "label": "class 1",
        "color": "FF1000",
        "active": True,
        "window": {"min": 0, "max": 1, "start": 0, "end": 1},
    }
    assert not ome["omero"]["channels"][0]["active"]


def test_without_microns_there_is_no_unit(tmp_path):
    group = make_group(tmp_path / "a.zarr", make_scores(1, 3, 3), (1, 3, 3))
    write_multiscales(group, make_view((1, 3, 3)))
    assert all("unit" not in axis for axis in group.attrs["ome"]["multiscales"][0]["axes"])


@pytest.mark.parametrize(("values", "limits"), [((-3, 5), (-3, 5)), ((2, 2), (2, 3)), ((np.nan, np.nan), (0, 1))])
def test_raw_scores_are_shown_as_far_as_they_reach(tmp_path, values, limits):
    group = make_group(tmp_path / "a.zarr", np.array([[values]], float), (1, 1, 1))
    write_multiscales(group, make_view((1, 1, 2), limits=None))
    window = group.attrs["ome"]["omero"]["channels"][0]["window"]
    assert (window["start"], window["end"]) == limits


def test_a_second_time_makes_all_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(multiscales, "_COARSEST_CELLS", 4)
    group = make_group(tmp_path / "a.zarr", np.full((1, 8, 8), np.nan), (1, 4, 4))
    write_multiscales(group, make_view((1, 8, 8)))
    group["0"][:, 5, 5] = 0.5
    write_multiscales(group, make_view((1, 8, 8)))
    assert group["1"][0, 2, 2] == 0.5


def test_cut_short_it_leaves_nothing_for_viewers(tmp_path, monkeypatch):
    group = make_group(tmp_path / "a.zarr", np.zeros((1, 300, 8)), (1, 300, 8))
    view = make_view((1, 300, 8))
    write_multiscales(group, view)

    def fail(_: np.ndarray) -> np.ndarray:
        raise KeyboardInterrupt

    monkeypatch.setattr(multiscales, "shrink", fail)
    with pytest.raises(KeyboardInterrupt):
        write_multiscales(group, view)
    assert "ome" not in group.attrs
    monkeypatch.undo()
    write_multiscales(group, view)
    assert group["1"][:].max() == 0


def test_there_must_be_a_channel_for_each_score(tmp_path):
    group = make_group(tmp_path / "a.zarr", make_scores(2, 3, 3), (1, 3, 3))
    with pytest.raises(OptionError, match="expected a channel for each of 2 scores, got 1"):
        write_multiscales(group, make_view((1, 3, 3)))
