import numpy as np
import pytest
from PIL import Image

from fullyconv.detect import Detection
from fullyconv.errors import OptionError
from fullyconv.export.picture import ShownScores, choose_size, draw_scan, write_picture
from fullyconv.grid import Grid
from fullyconv.report.colour import make_heat_scale
from fullyconv.scan.placement import Placement
from pyramids import Pyramid
from score_arrays import ScoreArray

GRID = Grid((16, 16), (8, 8), (2, 2))
GREY = np.full((400, 600, 3), 128, np.uint8)


def make_shown(hot: tuple[int, int], **changes: object) -> ShownScores:
    placement = Placement(GRID, (200, 300), (2.0, 2.0))
    values = np.zeros((2, *placement.shape), np.float32)
    values[1, hot[0], hot[1]] = 1
    return ShownScores((ScoreArray(values),), placement, (1,), **changes)


@pytest.mark.parametrize("size", [(400, 600), (200, 300), (20, 30), (37, 61)])
@pytest.mark.parametrize("hot", [(0, 0), (7, 20), (23, 35)])
def test_a_hot_cell_is_seen_at_any_size(size, hot):
    picture = draw_scan(Pyramid([GREY]), make_shown(hot), [], size=size)
    heat = np.abs(picture.astype(int) - picture[size[0] // 2, size[1] - 2]).sum(axis=2)
    y, x = np.argwhere(heat == heat.max()).mean(axis=0)
    step = max(8 * 2, 400 / size[0] * 2)  # a coarse cell stands for several
    assert heat.max() > 60
    assert (y + 0.5) * 400 / size[0] == pytest.approx((hot[0] * 8 + 8) * 2, abs=step)
    assert (x + 0.5) * 600 / size[1] == pytest.approx((hot[1] * 8 + 8) * 2, abs=step)


def test_where_nothing_was_scanned_the_image_is_not_hot():
    shown = make_shown((3, 3))
    shown.levels[0].values[:, 10:] = np.nan
    picture = draw_scan(Pyramid([GREY]), shown, [], size=(200, 300))
    assert (picture[120:] == picture[-1, -1]).all()


def test_boxes_are_in_pixels_of_level_0():
    box = Detection((200.0, 100.0, 400.0, 300.0), 0.9, "cat", 1.0)
    plain = draw_scan(Pyramid([GREY]), make_shown((0, 0)), [], size=(100, 150))
    boxed = draw_scan(Pyramid([GREY]), make_shown((0, 0)), [box], size=(100, 150), classes=("dog", "cat"))
    rows, columns = np.nonzero((plain != boxed).any(axis=2)[25:])
    assert abs(columns.min() - 50) <= 2
    assert abs(columns.max() - 100) <= 2
    assert abs(rows.max() + 25 - 75) <= 2


def test_raw_scores_are_stretched_over_the_heat_scale():
    shown = make_shown((12, 18), is_raw=True)
    shown.levels[0].values[1] *= 7
    picture = draw_scan(Pyramid([GREY]), shown, [], size=(400, 600))
    brightest = picture[208 - 3 : 208 + 3, 304 - 3 : 304 + 3].astype(int)
    assert np.abs(brightest - make_heat_scale()[255]).max(axis=2).min() < 40


def test_bands_that_are_no_colours_are_grey():
    image = np.dstack([GREY[:, :, 0], np.zeros((400, 600, 4), np.uint8)])
    picture = draw_scan(Pyramid([image]), make_shown((0, 0)), [], size=(40, 60))
    assert (picture[-1, -1] == picture[-1, -1, 0]).all()
    assert picture.shape == (40, 60, 3)


def test_a_picture_is_written_whole(tmp_path):
    write_picture(tmp_path / "p.png", GREY)
    assert (np.asarray(Image.open(tmp_path / "p.png")) == GREY).all()


def test_sizes():
    assert choose_size((100, 3), 10) == (10, 1)
    with pytest.raises(OptionError, match="size: expected at least 1 pixel for the longer side of the picture, got 0"):
        choose_size((100, 3), 0)
