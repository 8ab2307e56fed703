import numpy as np
import pytest

from fullyconv.detect import Level, ScoredLevel
from fullyconv.errors import OptionError
from fullyconv.grid import Grid
from fullyconv.report.heat import combine_heat, normalise_heat
from fullyconv.scan import ScoreMap

GRID = Grid((8, 8), (4, 4), (2, 2))


def level(scores: np.ndarray, size: tuple[int, int], scale: float = 1.0) -> ScoredLevel:
    return ScoredLevel(Level(scale, size), ScoreMap(scores.astype(np.float32), GRID, size))


def test_a_score_lies_at_the_centre_of_its_window() -> None:
    scores = np.zeros((1, 4, 5))
    scores[0, 1, 2] = 1  # window rows 4 to 12, columns 8 to 16: centre (8, 12), between two pixels
    heat = combine_heat([level(scores, (20, 24))], [0], (20, 24))
    assert heat.dtype == np.float32
    y, x = np.unravel_index(np.nanargmax(heat), heat.shape)
    assert (y, x) in {(7, 11), (7, 12), (8, 11), (8, 12)}
    np.testing.assert_allclose(heat[7:9, 11:13], (1 - 0.5 / 4) ** 2)
    np.testing.assert_allclose(heat[8, 14], (1 - 0.5 / 4) * (1 - 2.5 / 4))
    assert heat[8, 16] == 0


def test_no_heat_where_no_window_has_its_centre() -> None:
    heat = combine_heat([level(np.ones((1, 4, 5)), (20, 24))], [0], (20, 24))
    assert np.isnan(heat[:2]).all()
    assert np.isnan(heat[:, -2:]).all()
    assert (heat[2:18, 2:22] == 1).all()


def test_highest_over_scales_and_classes() -> None:
    fine = np.zeros((3, 4, 5))
    fine[0] = 0.9  # not among the classes that count
    fine[1] = 0.2
    fine[2] = 0.3
    coarse = np.full((3, 1, 2), 0.6)
    heat = combine_heat([level(fine, (20, 24)), level(coarse, (10, 12), 0.5)], [1, 2], (20, 24))
    assert heat[10, 12] == np.float32(0.6)  # 8 of 10 rows of the half-size image: centre at row 8 of 20
    assert heat[2, 2] == np.float32(0.3)
    assert not (heat == np.float32(0.9)).any()


def test_a_picture_of_another_size_shows_the_same_places() -> None:
    rng = np.random.default_rng(2)
    scored = level(rng.uniform(size=(1, 9, 9)), (40, 40))
    half = combine_heat([scored], [0], (20, 20))
    whole = combine_heat([scored], [0], (40, 40))
    np.testing.assert_allclose(half, whole.reshape(20, 2, 20, 2).mean(axis=(1, 3)), atol=0.05)


def test_nothing_to_show() -> None:
    for levels, classes in [([], [0]), ([level(np.ones((1, 1, 1)), (8, 8))], [])]:
        with pytest.raises(OptionError, match="heat: expected scores of at least one scale and one class"):
            combine_heat(levels, classes, (8, 8))


def test_raw_scores_are_brought_to_0_and_1() -> None:
    got = normalise_heat(np.array([[-3, np.nan], [5, 1]], np.float32))
    np.testing.assert_array_equal(got, np.array([[0, np.nan], [1, 0.5]], np.float32))
    assert (normalise_heat(np.full((2, 2), 7, np.float32)) == 0).all()
    assert np.isnan(normalise_heat(np.full((2, 2), np.nan, np.float32))).all()


def test_beside_what_was_not_scored_the_nearer_score_reaches_half_way() -> None:
    scores = np.full((1, 3, 3), np.nan)
    scores[0, 1, 1] = 0.8  # its centre is (8, 8), the others' are 4 pixels from it
    heat = combine_heat([level(scores, (16, 16))], [0], (16, 16))
    np.testing.assert_array_equal(np.argwhere(~np.isnan(heat)), [(y, x) for y in range(6, 10) for x in range(6, 10)])
    np.testing.assert_allclose(heat[6:10, 6:10], 0.8)
