import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fullyconv.card import Preprocessing
from fullyconv.errors import OptionError
from fullyconv.train.settings import FitSettings
from fullyconv.train.step import compute_losses, find_hits, make_judgement, make_step, normalise

PREPROCESSING = Preprocessing(mean=(0.5,), std=(0.25,))


def test_losses_are_cross_entropies():
    one, many = torch.tensor([[2.0], [-1.0]]), torch.tensor([[1.0, 2.0, 0.5]])
    expected = [-math.log(1 / (1 + math.exp(-2))), -math.log(1 - 1 / (1 + math.exp(1)))]
    assert compute_losses(one, torch.tensor([1, 0])).tolist() == pytest.approx(expected, rel=1e-6)
    total = sum(math.exp(value) for value in (1, 2, 0.5))
    assert compute_losses(many, torch.tensor([2])).item() == pytest.approx(math.log(total) - 0.5, rel=1e-6)


def test_smoothing_of_one_unit_is_that_of_two_classes():
    one = torch.tensor([[1.5], [-0.5]])
    two = torch.cat([torch.zeros_like(one), one], 1)
    targets = torch.tensor([1, 0])
    torch.testing.assert_close(compute_losses(one, targets, 0.1), compute_losses(two, targets, 0.1))


def test_hits_are_highest_scores():
    assert find_hits(torch.tensor([[0.1], [-0.1], [3.0]]), torch.tensor([1, 1, 0])).tolist() == [True, False, False]
    assert find_hits(torch.tensor([[0.1, 0.3], [0.2, 0.1]]), torch.tensor([1, 1])).tolist() == [True, False]


def test_a_step_lowers_the_loss_of_its_batch():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 1))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer)
    step = make_step(network, PREPROCESSING, settings=FitSettings(augment=False), descent=(optimizer, schedule))
    batch = (torch.randint(0, 256, (8, 1, 4, 4), dtype=torch.uint8), torch.tensor([0, 1] * 4), torch.ones(8))
    losses = [step(SimpleNamespace(), batch) for _ in range(5)]
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0]


def test_a_loss_that_is_no_number_stops_the_training():
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 1))
    nn.init.constant_(network[1].weight, math.inf)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer)
    step = make_step(network, PREPROCESSING, settings=FitSettings(augment=False), descent=(optimizer, schedule))
    batch = (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([0, 1]), torch.ones(2))
    with pytest.raises(OptionError, match=r"expected a finite loss, got .*; lower the learning rate \(0.003\)"):
        step(SimpleNamespace(), batch)


def test_a_judgement_is_weighed():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 1, bias=False))
    nn.init.constant_(network[1].weight, 1.0)
    judge = make_judgement(network, PREPROCESSING)
    images = torch.tensor([255, 0], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    judged = judge(SimpleNamespace(), (images, torch.tensor([1, 1]), torch.tensor([0.5, 1.5])))
    logit = 4 * 0.5 / 0.25
    losses = [0.5 * math.log1p(math.exp(-logit)), 1.5 * math.log1p(math.exp(logit))]
    assert judged[:, 0].tolist() == pytest.approx(losses, rel=1e-5)
    assert judged[:, 1].tolist() == [0.5, 0.0] and judged.dtype == torch.float64


def test_images_are_normalised_channel_by_channel():
    images = torch.tensor([0.5, 1.0, 0.0]).view(1, 3, 1, 1)
    done = normalise(images, Preprocessing(mean=(0.5, 0.5, 0.0), std=(1.0, 0.25, 1.0)))
    assert done.flatten().tolist() == [0.0, 2.0, 0.0]
