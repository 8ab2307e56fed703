"""The distance from crops."""

from __future__ import annotations

import pytest
import torch

from fullyconv.verify.fidelity import Measured, measure_fidelity

IMAGE = ("an image", (8, 9))


def test_equal_scores_have_no_distance():
    scores = torch.tensor([[1.0, 2.0], [4.0, 3.0]])
    fidelity = measure_fidelity("kind", IMAGE, Measured(scores, None), Measured(scores, None))
    assert (fidelity.max_difference, fidelity.mean_difference, fidelity.top1_agreement) == (0, 0, 1)
    assert fidelity.correlation == pytest.approx(1)
    assert (fidelity.output, fidelity.image, fidelity.image_px, fidelity.cells) == ("kind", *IMAGE, 2)


def test_differences_are_of_scores_and_agreement_of_classes():
    dense = Measured(torch.tensor([[1.0, 2.0], [4.0, 3.0]]), None)
    crops = Measured(torch.tensor([[1.0, 0.0], [4.0, 3.5]]), None)
    fidelity = measure_fidelity("kind", IMAGE, dense, crops)
    assert fidelity.max_difference == 2
    assert fidelity.mean_difference == pytest.approx(2.5 / 4)
    assert fidelity.top1_agreement == 0.5


def test_a_single_logit_agrees_by_its_sign():
    logits = torch.tensor([-1.0, 2.0, 3.0, 0.5])
    dense, crops = Measured(logits.sigmoid(), logits), Measured((logits - 1).sigmoid(), logits - 1)
    fidelity = measure_fidelity("unit", IMAGE, dense, crops)
    assert fidelity.top1_agreement == 0.75
    assert fidelity.correlation == pytest.approx(1)


def test_what_is_constant_or_names_no_class_is_left_out():
    flat = Measured(torch.ones(3), None)
    fidelity = measure_fidelity("unit", IMAGE, flat, flat)
    assert fidelity.correlation is None
    assert fidelity.top1_agreement is None
