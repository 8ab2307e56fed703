import numpy as np
import pytest
import torch

from fullyconv.train.batches import count_batches, weigh_for_training
from fullyconv.train.crops import CropSet
from fullyconv.train.labels import decide_labelling


@pytest.fixture
def weighed():
    images = np.arange(10, dtype=np.uint8)[:, None, None, None].repeat(3, 1)
    crops = CropSet(images, np.array([0] * 2 + [1] * 8), ("face", "other"))
    return weigh_for_training(crops, decide_labelling(crops.classes), 0.75)


def test_targets_and_weights_go_with_their_images(weighed):
    assert weighed.targets.tolist() == [1] * 2 + [0] * 8
    assert weighed.weights.tolist() == pytest.approx([0.125] * 2 + [0.75 / 8] * 8)


def test_every_crop_validates_once_in_order(weighed):
    batches = list(weighed.list_batches(4))
    assert [len(batch[0]) for batch in batches] == [4, 4, 2]
    assert torch.equal(torch.cat([batch[0] for batch in batches]), weighed.images)
    assert torch.cat([batch[2] for batch in batches]).mean() == pytest.approx(1)


def test_draws_follow_the_weights_and_the_generator(weighed):
    first, second = (list(weighed.draw_batches(40, 50, torch.Generator().manual_seed(3))) for _ in range(2))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, second, strict=True))
    targets = torch.cat([batch[1] for batch in first])
    assert len(targets) == 2000 and targets.double().mean() == pytest.approx(0.25, abs=0.03)
    assert {int(value) for batch in first for value in batch[0][:, 0, 0, 0]} == set(range(10))


def test_a_small_folder_has_whole_epochs_too():
    crops = CropSet(np.zeros((100, 1, 2, 2), np.uint8), np.zeros(100, np.int64), ("a",))
    assert count_batches(crops, 32, 1) == 4
    assert count_batches(crops, 32, 10) == 10
