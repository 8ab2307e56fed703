"""When a difference is rounding and when it is not."""

from __future__ import annotations

import math

import pytest
import torch

from fullyconv.verify.comparison import Pairing, judge, measure_noise, measure_relative

CELLS = ((0, 0, 0), (0, 0, 1), (1, 2, 3))


def make_pairing(found, expected):
    return Pairing("image crops", "scores", "scores", "an image", (8, 9), CELLS, found, expected)


def make_scores() -> torch.Tensor:
    return torch.tensor([[1.0, -2.0], [0.5, 4.0], [3.0, 0.0]], dtype=torch.float64)


@pytest.mark.parametrize(("step", "passed"), [(0.0, True), (3.9e-10, True), (4.1e-10, False)])
def test_the_tolerance_is_relative_to_the_largest_reference_score(step, passed):
    found = make_scores()
    found[2, 1] += step
    comparison = judge(make_pairing(found, make_scores()), torch.float64, 1e-10)
    assert comparison.passed == passed
    assert comparison.max_abs == pytest.approx(step, rel=1e-5)
    assert comparison.max_rel == pytest.approx(step / 4, rel=1e-5)
    assert comparison.worst_cell == (CELLS[2] if step else CELLS[0])
    assert comparison.dtype == "float64"


def test_axes_of_size_1_do_not_matter():
    single = torch.tensor([1.0, 2.0, 3.0])
    for found in (single, single[:, None], single[:, None, None]):
        for expected in (single, single[:, None], single[:, None, None]):
            assert judge(make_pairing(found, expected), torch.float32, 1e-6).passed


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_fails_on_either_side(bad):
    spoilt = make_scores()
    spoilt[0, 0] = bad
    found = judge(make_pairing(spoilt, make_scores()), torch.float64, 1e-10)
    expected = judge(make_pairing(make_scores(), spoilt), torch.float64, 1e-10)
    both = judge(make_pairing(spoilt, spoilt), torch.float64, 1e-10)
    assert not found.passed and not expected.passed and not both.passed
    assert "the converted network gives NaN or infinity" in found.detail
    assert "the original gives NaN or infinity" in expected.detail


def test_nothing_to_compare_fails():
    comparison = judge(make_pairing(None, make_scores()), torch.float64, 1e-10)
    assert not comparison.passed
    assert comparison.detail == "nothing to compare"


def test_zeros_are_equal_to_zeros_only():
    assert measure_relative(torch.zeros(2), torch.zeros(2)) == 0
    assert measure_relative(torch.ones(2), torch.zeros(2)) == math.inf


def test_noise_is_the_reference_s_own_rounding():
    double = make_scores()
    single = double.float()
    single[1, 1] += 4e-4
    assert measure_noise(single, double) == pytest.approx(1e-4, rel=1e-2)
    assert measure_noise(None, double) == measure_noise(single[:2], double) == 0
    assert measure_noise(single, double * 0) == 0


@pytest.mark.parametrize(("found", "passed"), [([1, 4, 2], True), ([1, 4, 3], False)])
def test_classes_are_whole_numbers_in_both_number_types(found, passed):
    pairing = make_pairing(torch.tensor(found), torch.tensor([1, 4, 2]))
    assert judge(pairing, torch.float32, 2e-5).passed == passed
    assert (
        judge(make_pairing(torch.tensor(found) > 2, torch.tensor([1, 4, 2]) > 2), torch.float64, 1e-10).passed == passed
    )
    assert judge(make_pairing(torch.tensor(found).double(), pairing.expected), torch.float64, 1e-10).detail == (
        "the converted network gives torch.float64 for torch.int64"
    )
