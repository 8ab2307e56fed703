"""The three ways give the same scores, and a difference would be seen."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import fullyconv
from fullyconv.demo.timing import ThreeWays, compare_ways, relative_error, score_batched, score_one_by_one


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    classifier = nn.Sequential(nn.Conv2d(2, 3, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 3 * 4, 2)).eval()
    return classifier, fullyconv.convert(classifier, (8, 10)), torch.rand(1, 2, 17, 23)


def test_crops_one_by_one_and_in_batches_are_the_same(networks):
    classifier, dense, image = networks
    with torch.no_grad():
        single = score_one_by_one(classifier, image, dense.grid)
        assert single.shape == (2, *dense.grid.shape((17, 23)))
        for batch in (1, 3, 1000):
            torch.testing.assert_close(score_batched(classifier, image, dense.grid, batch), single)
        assert torch.equal(single[:, 1, 2], classifier(image[:, :, 2:10, 4:14])[0])


def test_the_converted_network_is_compared_with_both(networks):
    classifier, dense, image = networks
    measured = compare_ways(classifier, dense.module, image, grid=dense.grid, rounds=2)
    assert measured.max_relative_error < 1e-6
    assert (measured.windows, measured.grid_shape, measured.rounds) == (35, (5, 7), 2)
    assert min(measured.one_by_one_s, measured.batched_s, measured.converted_s) > 0


def test_a_wrong_network_is_seen(networks):
    classifier, dense, image = networks

    class Shifted(nn.Module):
        def forward(self, x):
            return dense.module(x).roll(1, -1)

    assert compare_ways(classifier, Shifted(), image, grid=dense.grid, rounds=1).max_relative_error > 1e-2


def test_ratios_are_those_of_the_worked_example():
    measured = ThreeWays((512, 1024), (128, 64), (13, 31), 6.0, 3.0, 0.5, 16, 5, 0.0)
    assert measured.arithmetic_ratio == pytest.approx(6.296875)
    assert (measured.batched_ratio, measured.one_by_one_ratio) == (6, 12)


def test_the_error_is_relative_to_the_largest():
    assert relative_error(torch.tensor([1.0, -4.5]), torch.tensor([1.0, -4.0])) == 0.125
