import torch

from fullyconv.train.mixing import Mixing, blend_crops, mix_background, paste_crops


def test_objects_are_left_alone_and_a_share_of_the_background_is_mixed():
    torch.manual_seed(0)
    crops, targets = torch.rand(400, 1, 8, 8), torch.arange(400) % 4
    mixed = mix_background(crops, targets, Mixing(target=3, share=0.5))
    changed = (mixed != crops).flatten(1).any(1)
    assert not changed[targets != 3].any()
    assert 30 < changed[targets == 3].sum() < 60
    assert torch.equal(mix_background(crops, targets, Mixing(target=3, share=0.0)), crops)


def test_a_batch_without_background_stays_as_it_is():
    crops = torch.rand(4, 3, 8, 8)
    assert torch.equal(mix_background(crops, torch.ones(4, dtype=torch.long), Mixing(0, 1.0)), crops)


def test_a_double_exposure_holds_both():
    torch.manual_seed(0)
    blended = blend_crops(torch.zeros(50, 1, 4, 4), torch.ones(50, 1, 4, 4))
    assert blended.min() > 0.29 and blended.max() < 0.71
    assert (blended.flatten(1).std(1) == 0).all() and blended[:, 0, 0, 0].std() > 0.05


def test_a_pasted_rectangle_is_the_other_crops():
    torch.manual_seed(0)
    own, other = torch.zeros(50, 2, 9, 6), torch.ones(50, 2, 9, 6)
    for crop in paste_crops(own, other):
        assert set(crop.unique().tolist()) <= {0.0, 1.0} and torch.equal(crop[0], crop[1])
        rows, columns = crop[0].any(1), crop[0].any(0)
        assert torch.equal(crop[0].bool(), rows[:, None] & columns[None])
