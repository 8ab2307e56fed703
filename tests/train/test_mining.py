import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fullyconv.card import ModelCard, Preprocessing
from fullyconv.train.mining import FalseBox, choose_scales, make_scanner, mine
from fullyconv.train.negatives import NegativeBox
from fullyconv.train.networks import compact
from fullyconv.train.settings import MiningSettings

SIDES = st.integers(12, 900)


@given(st.tuples(SIDES, SIDES), st.integers(1, 9))
def test_the_window_fits_at_every_scale_and_no_scale_is_left_out(size, round_index):
    scales = choose_scales(size, (12, 9), round_index)
    assert scales and max(scales) <= 1
    assert all(size[0] * scale > 12 - 0.01 and size[1] * scale > 9 - 0.01 for scale in scales)
    smaller = scales[-1] / np.sqrt(2)
    assert size[0] * smaller < 12 or size[1] * smaller < 9


def test_rounds_look_at_scales_between_each_other():
    starts = [choose_scales((500, 500), (25, 25), index)[0] for index in range(1, 6)]
    assert starts[0] == 1 and len({round(start, 2) for start in starts}) == 5
    assert min(starts) > 1 / np.sqrt(2)


@pytest.fixture
def scanner():
    torch.manual_seed(0)
    card = ModelCard((12, 12), 1, ("spot",), "other", "sigmoid", Preprocessing(mean=(0.5,), std=(0.3,), colour="grey"))
    return make_scanner(compact((12, 12), 1, 1).eval(), card, 0.01, 1)


@pytest.fixture
def images(tmp_path):
    generator = np.random.default_rng(0)
    paths = [tmp_path / f"{index}.png" for index in range(2)]
    for path in paths:
        Image.fromarray(generator.integers(0, 256, (40, 50), dtype=np.uint8)).save(path)
    return paths


def test_a_scan_gives_boxes_in_the_image_highest_scores_first(scanner):
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 1), dtype=np.uint8)
    boxes = scanner(image)
    assert boxes and [box.score for box in boxes] == sorted((box.score for box in boxes), reverse=True)
    for box in boxes:
        x0, y0, x1, y1 = box.box_xyxy
        assert 0 <= x0 < x1 <= 50 and 0 <= y0 < y1 <= 40


def test_false_boxes_are_kept_once(scanner, images):
    settings = MiningSettings(most_boxes=3)
    first, done = mine(scanner, images, (), settings, round_index=1)
    assert len(first) == 6 and {box.round_index for box in first} == {1}
    assert (done.round_index, done.images, done.kept) == (1, 2, 6) and done.false_boxes > 6
    second, _ = mine(scanner, images, first, settings, round_index=2)
    assert not {(box.image, box.box_xyxy) for box in second} & {(box.image, box.box_xyxy) for box in first}


def test_known_places_count_for_their_own_image_only(images):
    place = (0.0, 0.0, 12.0, 12.0)
    known = [NegativeBox(1, place, 0)]
    kept, done = mine(lambda _: [FalseBox(place, 0.8)], images, known, MiningSettings(), round_index=3)
    assert kept == (NegativeBox(0, place, 3),)
    assert (done.false_boxes, done.highest_score, done.kept) == (2, 0.8, 1)


def test_a_perfect_network_has_nothing_to_tell(images):
    kept, done = mine(lambda _: [], images, (), MiningSettings(), round_index=1)
    assert kept == () and (done.false_boxes, done.highest_score) == (0, 0.0)
