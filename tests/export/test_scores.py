import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fullyconv.export import scores as module
from fullyconv.export.scores import choose_halvings, read_hottest
from fullyconv.grid import Grid
from fullyconv.scan.multiscales import shrink
from fullyconv.scan.placement import Placement
from score_arrays import ScoreArray

GRID = Grid((8, 12), (4, 3), (2, 4))


def make_scores(*shape: int) -> tuple[np.ndarray, Placement]:
    random = np.random.default_rng(shape)
    values = random.random(shape)
    values[:, random.random(shape[1:]) < 0.2] = np.nan
    return values, Placement(GRID, GRID.extent_px(shape[1:]), (1.0, 1.0))


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_a_coarse_cell_is_the_highest_that_it_stands_for(height, width, tall, wide):
    values, placement = make_scores(3, height, width)
    found = read_hottest([ScoreArray(values)], placement, (0, 2), (tall, wide)).score_map
    step = 2 ** choose_halvings((height, width), (tall, wide))
    assert found.scores.shape[1] <= tall or step == 1
    for i, j in np.ndindex(*found.scores.shape[1:]):
        part = values[[0, 2], i * step : (i + 1) * step, j * step : (j + 1) * step]
        assert np.array_equal(found.scores[0, i, j], np.fmax.reduce(part, axis=None), equal_nan=True)


def test_it_lies_at_the_middle_of_those_it_stands_for():
    values, placement = make_scores(1, 20, 20)
    grid = read_hottest([ScoreArray(values)], placement, (0,), (5, 5)).score_map.grid
    for axis in (0, 1):
        middle = placement.centres(axis, (4, 8)).mean()
        assert grid.origin_yx((1, 1))[axis] + grid.window_px[axis] / 2 == middle


def test_it_is_read_in_blocks_and_from_what_is_coarser_already(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_VALUES", 200)
    values, placement = make_scores(2, 64, 48)
    levels = [ScoreArray(values), ScoreArray(shrink(values))]
    whole = read_hottest(levels[:1], placement, (0, 1), (16, 16)).score_map.scores
    assert 0 < levels[0].largest <= 200
    levels[0].largest = 0
    np.testing.assert_array_equal(read_hottest(levels, placement, (0, 1), (16, 16)).score_map.scores, whole)
    assert levels[0].largest == 0 < levels[1].largest <= 200


@pytest.mark.parametrize(
    ("shape", "size", "halvings"), [((9, 9), (9, 9), 0), ((10, 9), (9, 9), 1), ((64, 4), (8, 8), 3)]
)
def test_halvings(shape, size, halvings):
    assert choose_halvings(shape, size) == halvings
