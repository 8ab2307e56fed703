"""Outputs by name, windows by place."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass

import torch
from torch import Tensor

from fullyconv.verify.outputs import drop_ones, name_outputs, pick_cells


@dataclass
class Both:
    first: Tensor
    second: object


def test_every_structure_has_names():
    one, two, three = torch.zeros(1), torch.ones(1), torch.ones(2)
    pair = namedtuple("pair", "left right")
    assert list(name_outputs(one)) == ["scores"]
    assert list(name_outputs((one, [two, three]))) == ["0", "1.0", "1.1"]
    assert list(name_outputs(Both(one, {"a": two, "b": None, "c": 3}))) == ["first", "second.a"]
    named = name_outputs({"x": pair(one, two)})
    assert named["x.0"] is one and named["x.1"] is two


def test_cells_are_picked_from_the_last_two_axes():
    score_map = torch.arange(2 * 3 * 4 * 5 * 6).reshape(2, 3, 4, 5, 6)
    picked = pick_cells(score_map, [(0, 1, 2), (1, 4, 5)])
    assert picked.shape == (2, 3, 4)
    assert torch.equal(picked[0], score_map[0, :, :, 1, 2])
    assert torch.equal(picked[1], score_map[1, :, :, 4, 5])


def test_axes_of_size_1_are_dropped_but_the_batch_stays():
    assert drop_ones(torch.zeros(1, 1, 4, 1)).shape == (1, 4)
    assert drop_ones(torch.zeros(1, 1)).shape == (1,)
