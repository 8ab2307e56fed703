import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullyconv.train.crops import CropSet
from fullyconv.train.split import measure_preprocessing, split_crops, weigh_crops


def make_crops(counts, seed=0, channels=1):
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    images = np.random.default_rng(seed).integers(0, 256, (len(labels), channels, 8, 8), dtype=np.uint8)
    return CropSet(images, labels, tuple("abcdefgh"[: len(counts)]))


@given(st.lists(st.integers(2, 40), min_size=1, max_size=5), st.floats(0.01, 0.99), st.integers(0, 99))
def test_every_class_teaches_and_checks_and_no_crop_does_both(counts, share, seed):
    crops = make_crops(counts)
    training, validation = split_crops(crops, share, seed)
    assert min(training.counts.values()) >= 1 and min(validation.counts.values()) >= 1
    both = np.concatenate([training.images, validation.images])
    assert sorted(image.tobytes() for image in both) == sorted(image.tobytes() for image in crops.images)
    again, _ = split_crops(crops, share, seed)
    assert np.array_equal(again.images, training.images)


def test_another_seed_gives_another_split_of_the_same_size():
    crops = make_crops([20, 10])
    training, validation = split_crops(crops, 0.2, 0)
    other, _ = split_crops(crops, 0.2, 1)
    assert validation.counts == {"a": 4, "b": 2} and training.counts == other.counts
    assert not np.array_equal(training.images, other.images)


def test_classes_are_drawn_alike():
    weights = weigh_crops(np.array([0, 0, 0, 1]), None, None)
    assert weights.tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])


def test_the_background_has_its_share():
    labels = np.array([0, 1, 1, 2, 2, 2, 2])
    weights = weigh_crops(labels, 2, 0.8)
    assert [weights[labels == label].sum() for label in range(3)] == pytest.approx([0.1, 0.1, 0.8])
    assert weigh_crops(np.array([2, 2]), 2, 0.8).tolist() == [0.5, 0.5]
    assert weigh_crops(np.array([0, 1]), 2, 0.8).tolist() == [0.5, 0.5]


def test_preprocessing_gives_mean_0_and_deviation_1():
    crops = make_crops([30, 30], channels=3)
    crops.images[:, 1] //= 2
    preprocessing = measure_preprocessing(crops)
    values = crops.images * preprocessing.scale
    for channel in range(3):
        normal = (values[:, channel] - preprocessing.mean[channel]) / preprocessing.std[channel]
        assert (normal.mean(), normal.std()) == pytest.approx((0, 1), abs=1e-4)
    assert preprocessing.colour == "rgb"
    assert measure_preprocessing(make_crops([4])).colour == "grey"


def test_crops_of_one_value_can_be_normalised():
    flat = CropSet(np.full((4, 1, 8, 8), 7, np.uint8), np.zeros(4, np.int64), ("a",))
    assert measure_preprocessing(flat).std[0] > 0
