"""Where fragments lie, checked against a plain count of pixels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullyconv.refine.lattice import Lattice, UnreachableError, split_axis


@given(strides=st.lists(st.integers(1, 4), min_size=1, max_size=4), step=st.integers(1, 64))
def test_fragments_begin_at_the_multiples_of_the_step(strides: list[int], step: int) -> None:
    """Every multiple of the step within the last period is the beginning of just one fragment, or it is refused."""
    lattice, offsets = Lattice(), [0]
    try:
        for stride in strides:
            split = split_axis(lattice, stride, 1, step)
            offsets = [offset + phase * split.phase_px for phase in range(split.factor) for offset in offsets]
            assert split.phase_cells * split.factor == stride or split.factor == 1
            lattice = split.after
    except UnreachableError:
        return
    wanted = {pixel % lattice.period for pixel in range(0, lattice.period * step, step)}
    assert sorted(offsets) == sorted(wanted)


def test_a_suffix_of_the_strides_can_be_left_out_and_a_stride_be_divided() -> None:
    def fits(step: int) -> bool:
        lattice = Lattice()
        try:
            for stride in (4, 3, 2):
                lattice = split_axis(lattice, stride, 1, step).after
        except UnreachableError:
            return False
        return True

    assert [step for step in range(1, 25) if 24 % step == 0 and fits(step)] == [1, 2, 4, 12, 24]


def test_cells_that_were_made_finer_need_no_more_fragments_until_windows_lie_closer() -> None:
    """Down by four, up by two, down by two: windows lie four pixels apart all the time."""
    down = split_axis(Lattice(), 4, 1, 1)
    up = split_axis(down.after, 1, 2, 1)
    again = split_axis(up.after, 2, 1, 1)
    assert (down.factor, up.factor, again.factor) == (4, 1, 1)
    assert up.after == Lattice(2, 4) and again.after == Lattice(4, 4)
    assert split_axis(again.after, 2, 1, 1).factor == 2


def test_phases_between_cells_are_refused() -> None:
    """Windows lie four pixels apart, cells two; three cells a step go through both only every twelve."""
    with pytest.raises(UnreachableError, match="1 px: fragments would lie 4 px apart on cells of 2 px"):
        split_axis(Lattice(2, 4), 3, 1, 1)
