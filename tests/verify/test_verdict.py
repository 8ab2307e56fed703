"""Tolerances: fixed, widened by what is measured."""

from __future__ import annotations

import pytest
import torch

from fullyconv.verify.comparison import Pairing
from fullyconv.verify.verdict import FLOAT32_TOLERANCE, FLOAT64_TOLERANCE, judge_all

CELLS = ((0, 0, 0), (0, 0, 1))


def make_pairing(found: list[float], expected: list[float], dtype: torch.dtype) -> Pairing:
    tensors = (torch.tensor(values, dtype=dtype) for values in (found, expected))
    return Pairing("window", "kind", "logits", "an image", (8, 9), CELLS, *tensors)


def test_each_number_type_has_its_tolerance():
    pairings = {dtype: [make_pairing([1, 2], [1, 2], dtype)] for dtype in (torch.float64, torch.float32)}
    double, single = judge_all(pairings, {})
    assert (double.dtype, double.tolerance) == ("float64", FLOAT64_TOLERANCE)
    assert (single.dtype, single.tolerance) == ("float32", FLOAT32_TOLERANCE)


def test_float32_is_allowed_what_the_original_itself_rounds():
    single = make_pairing([1, 2.004], [1, 2.002], torch.float32)
    (alone,) = judge_all({torch.float32: [single]}, {})
    assert not alone.passed
    double = make_pairing([1, 2], [1, 2], torch.float64)
    exact, rounded = judge_all({torch.float64: [double], torch.float32: [single]}, {})
    assert exact.passed and rounded.passed
    assert rounded.tolerance == pytest.approx(4e-3, rel=1e-3)
    assert exact.tolerance == FLOAT64_TOLERANCE


def test_computed_weights_widen_the_tolerance_of_their_outputs_only():
    pairing = make_pairing([1, 2 + 1e-7], [1, 2], torch.float64)
    for rounding, passed in (
        ({("kind", "logits"): 2e-8}, True),
        ({("kind", "logits"): 1e-8}, False),
        ({("kind", "scores"): 2e-8, ("size", "logits"): 2e-8}, False),
    ):
        (comparison,) = judge_all({torch.float64: [pairing]}, rounding)
        assert comparison.passed == passed


def test_float64_is_allowed_what_float32_shows_of_the_original_at_its_scale():
    single = make_pairing([1, 2.4], [1, 2.4], torch.float32)
    for error, passed in ((1e-9, True), (1e-8, False)):
        double = make_pairing([1, 2 + error], [1, 2], torch.float64)
        exact, _ = judge_all({torch.float64: [double], torch.float32: [single]}, {})
        assert exact.passed == passed
        assert exact.tolerance == pytest.approx(4 * 0.2 * 2**-29, rel=1e-3)
    (alone,) = judge_all({torch.float64: [make_pairing([1, 2 + 1e-9], [1, 2], torch.float64)]}, {})
    assert not alone.passed
