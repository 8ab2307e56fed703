import pytest

from fullyconv.errors import ImageError, OptionError
from fullyconv.grid import Grid
from fullyconv.scan.placement import Placement

GRID = Grid((20, 10), (8, 4), (1, 1))


def test_centres_are_those_of_the_windows_in_level_0():
    placement = Placement(GRID, (52, 30), (2.0, 3.0))
    assert placement.shape == (5, 6)
    for axis in (0, 1):
        boxes = [GRID.box_xyxy((cell, cell)) for cell in (1, 2, 3)]
        centres = [(box[1 - axis] + box[3 - axis]) / 2 * placement.downsample[axis] for box in boxes]
        assert placement.centres(axis, (1, 4)).tolist() == centres
    assert placement.image_size_px == (104, 90)


def test_a_level_smaller_than_the_window_is_refused():
    with pytest.raises(ImageError, match="smaller than the window"):
        Placement(GRID, (19, 30))


@pytest.mark.parametrize("downsample", [(0.0, 1.0), (1.0, float("nan")), (1.0, -2.0)])
def test_a_downsample_that_is_none_is_refused(downsample):
    with pytest.raises(OptionError, match="downsample: expected two numbers above 0"):
        Placement(GRID, (52, 30), downsample)
