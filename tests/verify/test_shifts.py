"""Finer grids are verified, and what is wrong with one is found."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import fullyconv
from fullyconv.grid import Grid
from fullyconv.rewrite.refined import list_steps
from fullyconv.verify.shifts import FineGrid
from zoo import ZOO, build

TIER_1 = [name for name, entry in ZOO.items() if entry.tier == 1 and max(entry.stride) > 1]
OTHERS = ["squeeze_excite", "attention", "recurrent", "whole_layer_norm"]


@pytest.mark.parametrize("name", TIER_1 + OTHERS)
def test_finer_grids_of_every_kind_pass(name: str) -> None:
    """Finer by one step, and as fine as can be."""
    model = build(name)
    dense = fullyconv.convert(model, ZOO[name].window)
    rows, columns = list_steps(dense.module.program)
    for stride in {(rows[1], columns[1]), (rows[-1], columns[-1])}:
        report = fullyconv.verify(dense.refine(stride), model)
        assert report.passed, str(report)
        assert report.checked_beyond_window
        assert report.guarantee == ZOO[name].guarantee


class Misplaced(torch.nn.Module):
    """A finer grid with neighbouring columns changed for each other: the coarse rows and columns stay."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module, self.program = module, module.program

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores = self.module(images).clone()
        scores[..., 1::4], scores[..., 3::4] = self.module(images)[..., 3::4], self.module(images)[..., 1::4]
        return scores

    logits = forward


@pytest.mark.parametrize("name", ["plain", "vgg"])
def test_columns_in_each_others_place_are_found(name: str) -> None:
    model = build(name)
    dense = fullyconv.convert(model, ZOO[name].window).refine((4, 1))
    (height, width), sizes = dense.grid.window_px, [sum(margin) for margin in dense.margins_px]
    columns = -(-(sizes[1] + 8) // 4) * 4
    image = torch.randn(1, dense.card.channels, height + sizes[0] + 4, width + columns - 1)
    assert dense.grid.shape((image.shape[2], image.shape[3]))[1] == columns
    report = fullyconv.verify(replace(dense, module=Misplaced(dense.module)), model, image)
    assert not report.passed
    assert fullyconv.verify(dense, model, image).passed


def test_windows_near_a_border_that_is_elsewhere_are_left_out() -> None:
    own, margins = Grid((8, 8), (4, 4), (2, 2)), ((4, 3), (0, 0))
    fine = FineGrid(replace(own, stride_px=(2, 4)), own, margins)
    size = (20, 16)
    assert [row for row in range(7) if fine.is_comparable((0, row, 0), size)] == [0, 2, 3, 4, 6]
    assert fine.find_shift((0, 3, 1)) == (2, 0) and fine.find_own((0, 3, 1)) == (0, 1, 1)
    chosen = fine.choose_cells(1, size, 8, seed=0)
    assert len(chosen) <= 8 + 4 and chosen == fine.choose_cells(1, size, 8, seed=0)
    shifts = dict(fine.list_shifts([(0, 0, 0), (0, 1, 0), (0, 3, 0)], size))
    assert shifts == {(0, 0): (0,), (2, 0): (2,)}
