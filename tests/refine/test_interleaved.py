"""Fragments in one another are the same cells as fragments apart, also where they end at different places."""

from __future__ import annotations

import pytest
import torch

from fullyconv.refine.fragments import Phases
from fullyconv.refine.interleaved import WHOLE, Interleaved, follow_phases, trim
from fullyconv.refine.lattice import Lattice, Split, split_axis


def test_fragments_are_every_so_manieth_cell() -> None:
    map_ = torch.randn(2, 3, 7, 5)
    apart = Interleaved(map_, (Phases(2, 4), Phases(3, 2))).divide((100, 100))
    assert apart.rows == ((0,), (4,)) and apart.columns == ((0, 2), (4,))
    for row, tops in enumerate(apart.rows):
        for column, lefts in enumerate(apart.columns):
            part = apart.view(row, column)
            for i, top in enumerate(tops):
                for j, left in enumerate(lefts):
                    assert torch.equal(part[i, j], map_[..., top // 4 :: 2, left // 2 :: 3])


def test_fragments_that_serve_no_window_are_left_out() -> None:
    apart = Interleaved(torch.randn(1, 1, 6, 6), (Phases(3, 2), Phases(2, 1))).divide((3, 0))
    assert apart.rows == ((0, 2),) and apart.columns == ((0,),)


def test_a_whole_map_is_not_copied() -> None:
    map_ = torch.randn(1, 1, 4, 4)
    assert Interleaved(map_).divide((0, 0)).tensors[0][0] is map_


def test_maps_are_trimmed_to_the_least_size() -> None:
    a, b = torch.randn(1, 1, 5, 4), torch.randn(1, 2, 4, 6)
    assert [map_.shape for map_ in trim([a, b])] == [(1, 1, 4, 4), (1, 2, 4, 4)]
    assert trim([a, a])[0] is a


@pytest.mark.parametrize(
    ("limit", "after"),
    [((9, 9), (Phases(4, 1), Phases(2, 2))), ((2, 9), None), ((3, 2), (Phases(4, 1), Phases(2, 2))), ((9, 1), None)],
)
def test_phases_multiply_where_windows_begin_at_all_of_them(limit: tuple[int, int], after: object) -> None:
    before = (Phases(2, 1), Phases())
    splits = (split_axis(Lattice(2, 2), 2, 1, 1), split_axis(Lattice(2, 2), 2, 1, 2))
    assert follow_phases(before, splits, limit) == after


def test_phases_out_of_turn_lie_apart() -> None:
    odd = Split(Lattice(4, 4), Lattice(8, 8), 2, 1, 1)
    staying = Split(Lattice(), Lattice(), 1, 1, 1)
    assert follow_phases((Phases(4, 1), Phases()), (odd, staying), (9, 9)) is None
    assert follow_phases(WHOLE, (staying, staying), (0, 0)) == WHOLE
