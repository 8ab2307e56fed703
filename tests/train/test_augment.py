import pytest
import torch

from fullyconv.train.augment import build_augmentation


@pytest.mark.parametrize("channels", [1, 3])
def test_crops_change_but_stay_crops(channels):
    torch.manual_seed(0)
    crops = torch.rand(16, channels, 13, 10)
    changed = build_augmentation(flip=True)(crops)
    assert changed.shape == crops.shape and changed.dtype == crops.dtype
    assert changed.min() >= 0 and changed.max() <= 1
    assert not torch.equal(changed, crops)


def test_the_seed_decides():
    augment = build_augmentation(flip=True)
    crops = torch.rand(8, 1, 12, 12)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(augment(crops))
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])


@pytest.mark.parametrize("flip", [True, False])
def test_mirroring_can_be_turned_off(flip):
    torch.manual_seed(0)
    ramp = torch.linspace(0.1, 0.9, 16).expand(64, 1, 16, 16)
    changed = build_augmentation(flip=flip)(ramp)
    mirrored = (changed[..., -4:].mean((1, 2, 3)) < changed[..., :4].mean((1, 2, 3))).sum()
    assert (16 < mirrored < 48) if flip else mirrored == 0
