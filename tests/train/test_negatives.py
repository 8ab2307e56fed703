import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fullyconv.errors import DataError, ImageError
from fullyconv.images import resize
from fullyconv.train.negatives import (
    NegativeBox,
    choose_new,
    cut_boxes,
    cut_negatives,
    draw_boxes,
    draw_negatives,
    measure_overlap,
)

SIDES = st.integers(12, 200)


@given(st.tuples(SIDES, SIDES), st.integers(0, 9))
def test_random_boxes_lie_inside_and_have_the_shape_of_the_window(size, seed):
    boxes = draw_boxes(size, (12, 8), 5, np.random.default_rng(seed))
    for x0, y0, x1, y1 in boxes:
        assert x0 >= -1e-9 and y0 >= -1e-9 and x1 <= size[1] + 1e-9 and y1 <= size[0] + 1e-9
        assert (y1 - y0) / (x1 - x0) == pytest.approx(12 / 8)
        assert y1 - y0 >= 12 - 1e-9


def test_random_boxes_are_of_all_scales():
    boxes = draw_boxes((1200, 1200), (12, 12), 400, np.random.default_rng(0))
    factors = np.array([(box[2] - box[0]) / 12 for box in boxes])
    assert factors.min() < 1.2 and factors.max() > 80
    assert np.log(factors).mean() == pytest.approx(np.log(100) / 2, rel=0.1)


def test_a_box_of_the_windows_size_is_cut_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    crops = cut_boxes(image, [(7.0, 5.0, 15.0, 17.0)], (12, 8), 3)
    assert np.array_equal(crops[0].transpose(1, 2, 0), image[5:17, 7:15])


def test_a_larger_box_is_averaged_and_a_colour_image_can_become_grey():
    image = np.zeros((40, 50, 3), np.uint8)
    image[:, 25:] = 100
    left_and_right, right = cut_boxes(image, [(0, 0, 50, 40), (25, 0, 49, 24)], (12, 12), 1)
    assert (left_and_right[0, :, :4] == 0).all() and (left_and_right[0, :, 8:] == 100).all()
    assert (right[0, :, 1:] == 100).all()


def test_a_cut_box_is_what_the_scan_of_the_smaller_image_sees():
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 1), dtype=np.uint8)
    scanned = resize(image, (30, 40))
    crop = cut_boxes(image, [(16.0, 8.0, 40.0, 32.0)], (12, 12), 1)[0, 0]
    assert np.abs(crop.astype(int) - scanned[4:16, 8:20, 0]).max() <= 1


def test_what_lies_outside_is_left_out():
    image = np.full((20, 20, 1), 9, np.uint8)
    assert (cut_boxes(image, [(-4.0, -4.0, 24.0, 24.0)], (12, 12), 1) == 9).all()


def test_no_boxes_give_no_crops():
    assert cut_boxes(np.zeros((20, 20, 1), np.uint8), [], (12, 8), 3).shape == (0, 3, 12, 8)
    assert cut_negatives([], [], (12, 8), 3).shape == (0, 3, 12, 8)


@pytest.mark.parametrize(
    ("other", "expected"),
    [((0, 0, 4, 4), 1), ((2, 0, 6, 4), 1 / 3), ((4, 0, 8, 4), 0), ((0, 5, 4, 9), 0), ((1, 1, 3, 3), 1 / 4)],
)
def test_overlap_is_intersection_over_union(other, expected):
    assert measure_overlap((0, 0, 4, 4), other) == pytest.approx(expected)


def test_known_places_are_not_chosen_again():
    box, near, far, farther = (0, 0, 10, 10), (1, 0, 11, 10), (40, 0, 50, 10), (80, 0, 90, 10)
    assert choose_new([near, far, far, farther], [box], most=5, largest_overlap=0.5) == [far, farther]
    assert choose_new([near, far, farther], [box], most=2, largest_overlap=0.9) == [near, far]
    assert choose_new([], [box], most=2, largest_overlap=0.9) == []


@pytest.fixture
def images(tmp_path):
    paths = [tmp_path / f"{index}.png" for index in range(2)]
    for index, path in enumerate(paths):
        Image.fromarray(np.full((30, 40, 3), 50 + index, np.uint8)).save(path)
    return paths


def test_negatives_are_drawn_and_cut_image_by_image(images):
    drawn = draw_negatives(images, (12, 12), 3, seed=0)
    assert [box.image for box in drawn] == [0, 0, 0, 1, 1, 1]
    assert draw_negatives(images, (12, 12), 3, seed=0) == drawn != draw_negatives(images, (12, 12), 3, seed=1)
    crops = cut_negatives(images, drawn, (12, 12), 1)
    assert crops[:, 0, 0, 0].tolist() == [50] * 3 + [51] * 3
    mixed = [NegativeBox(1, (0, 0, 12, 12), 1), NegativeBox(0, (0, 0, 12, 12), 1)]
    assert cut_negatives(images, mixed, (12, 12), 1)[:, 0, 0, 0].tolist() == [51, 50]


def test_a_negative_smaller_than_the_window_is_refused(images):
    with pytest.raises(DataError, match=r"expected an image of at least the window, 64x12 .* got 40x30"):
        draw_negatives(images, (12, 64), 3, seed=0)


def test_an_unreadable_negative_is_named(images):
    images[1].write_text("no image")
    with pytest.raises(ImageError, match=r"1\.png"):
        draw_negatives(images, (12, 12), 3, seed=0)
