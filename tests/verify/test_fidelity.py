"""The distance from crops."""

from __future__ import annotations

import pytest
import torch

from fullyconv.grid import Grid
from fullyconv.verify.fidelity import Measured, Scene, Yardstick, measure_fidelity

IMAGE = ("an image", (8, 9))
GRID = Grid((2, 3), (2, 2), (1, 1))


def make_scene(*cells: tuple[int, int, int]) -> Scene:
    return Scene(*IMAGE, GRID, cells)


def test_equal_scores_have_no_distance():
    scores = torch.tensor([[1.0, 2.0], [4.0, 3.0]])
    fidelity = measure_fidelity(
        "kind", make_scene((0, 0, 0), (0, 1, 0)), Measured(scores, None), Measured(scores, None)
    )
    assert (fidelity.max_difference, fidelity.mean_difference, fidelity.top1_agreement) == (0, 0, 1)
    assert fidelity.correlation == pytest.approx(1)
    assert (fidelity.output, fidelity.image, fidelity.image_px, fidelity.cells) == ("kind", *IMAGE, 2)


def test_differences_are_of_scores_and_agreement_of_classes():
    dense = Measured(torch.tensor([[1.0, 2.0], [4.0, 3.0]]), None)
    crops = Measured(torch.tensor([[1.0, 0.0], [4.0, 3.5]]), None)
    fidelity = measure_fidelity("kind", make_scene((0, 0, 0), (0, 1, 0)), dense, crops)
    assert fidelity.max_difference == 2
    assert fidelity.mean_difference == pytest.approx(2.5 / 4)
    assert fidelity.top1_agreement == 0.5


def test_a_single_logit_agrees_by_its_sign():
    logits = torch.tensor([-1.0, 2.0, 3.0, 0.5])
    dense, crops = Measured(logits.sigmoid(), logits), Measured((logits - 1).sigmoid(), logits - 1)
    scene = make_scene((0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1))
    fidelity = measure_fidelity("unit", scene, dense, crops)
    assert fidelity.top1_agreement == 0.75
    assert fidelity.correlation == pytest.approx(1)


def test_what_is_constant_or_names_no_class_is_left_out():
    flat = Measured(torch.ones(3), None)
    fidelity = measure_fidelity("unit", make_scene((0, 0, 0), (0, 0, 1), (0, 0, 2)), flat, flat)
    assert fidelity.correlation is None
    assert fidelity.top1_agreement is None


def test_it_says_where_it_is_worst():
    crops = Measured(torch.zeros(4, 2), None)
    dense = Measured(torch.tensor([[0.0, 0.1], [0.3, 0.0], [0.0, 0.2], [0.2, 0.2]]), None)
    fidelity = measure_fidelity("kind", make_scene((0, 0, 0), (0, 0, 3), (1, 3, 0), (1, 3, 3)), dense, crops)
    assert (fidelity.worst_cell, fidelity.worst_box_xyxy) == ((0, 0, 3), (6, 0, 9, 2))  # the largest difference
    assert fidelity.worst_part == "bottom right"  # the largest mean
    assert fidelity.worst_part_difference == pytest.approx(0.2)
    assert (fidelity.moved_px, fidelity.moved_difference) == (0, None)


def test_the_yardstick_is_the_distance_of_moved_crops():
    crops = Measured(torch.tensor([1.0, 2.0]), None)
    yardstick = Yardstick(8, {"unit": torch.tensor([1.5, 2.1])})
    fidelity = measure_fidelity("unit", make_scene((0, 0, 0), (0, 0, 1)), crops, crops, yardstick=yardstick)
    assert (fidelity.moved_px, fidelity.worst_part) == (8, "top left")
    assert fidelity.moved_difference == pytest.approx(0.3)
