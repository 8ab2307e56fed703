"""Counting cells, against torch's own layers; where cells look, against a slow reference."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from fullyconv.analyze.geometry import Line, Sliding

slidings = st.builds(
    Sliding, kernel=st.integers(1, 5), stride=st.integers(1, 4), before=st.integers(0, 2), after=st.integers(0, 2)
)


@given(st.integers(1, 5), st.integers(1, 4), st.booleans(), st.integers(5, 40), st.data())
def test_counts_like_torch(kernel: int, stride: int, ceil: bool, cells: int, data: st.DataObject) -> None:
    pad = data.draw(st.integers(0, kernel // 2))
    pooled = F.max_pool1d(torch.zeros(1, 1, cells), kernel, stride, pad, ceil_mode=ceil)
    assert Sliding(kernel, stride, pad, pad, ceil).count(cells) == pooled.shape[-1]


@given(st.lists(slidings, min_size=1, max_size=4), st.integers(20, 60))
@settings(deadline=None)
def test_a_cell_depends_on_the_pixels_that_it_says(slides: list[Sliding], pixels: int) -> None:
    line, reach = Line(pixels), [{pixel} for pixel in range(pixels)]
    for sliding in slides:
        padded = [set()] * sliding.before + reach + [set()] * sliding.after
        if len(padded) < sliding.kernel:
            return
        line = line.slide(sliding)
        starts = range(0, len(padded) - sliding.kernel + 1, sliding.stride)
        reach = [set().union(*padded[start : start + sliding.kernel]) for start in starts]
    assert len(reach) == line.extent == line.count(pixels)
    assert not line.pads_cells(pixels) or not all(reach)
    for place, seen in enumerate(reach):
        said = range(place * line.stride + line.first, place * line.stride + line.last)
        assert seen <= set(said)
        if min(said) >= 0 and max(said) < pixels and seen:
            assert {min(said), max(said)} <= seen


@given(st.integers(1, 9), st.integers(0, 3), st.integers(0, 3), st.integers(1, 4))
def test_padding_that_nothing_mixes_with_pixels_is_seen(pixels: int, before: int, after: int, kernel: int) -> None:
    line = Line(pixels).slide(Sliding(1, 1, before, after)).slide(Sliding(kernel))
    reach = [range(max(0, place - before), min(pixels, place - before + kernel)) for place in range(line.extent)]
    assert line.pads_cells(pixels) == (not all(reach)) == (max(before, after) >= kernel)


@given(st.lists(slidings, min_size=1, max_size=4), st.integers(30, 60), st.integers(0, 3))
def test_windows_add_one_cell_each_stride(slides: list[Sliding], window: int, more: int) -> None:
    line = Line(window)
    for sliding in slides:
        line = line.slide(sliding)
        if line.extent < 1:
            return
    assert line.count(window + more * line.stride) == line.extent + more


def test_agreement_is_for_all_sizes() -> None:
    floor, ceil = Line(20).slide(Sliding(3, 2)), Line(20).slide(Sliding(3, 2, ceil=True))
    assert not floor.agrees(ceil, 20)
    assert any(floor.count(size) != ceil.count(size) for size in range(20, 40))
    same = Line(20).slide(Sliding(1, 2))
    padded = Line(20).slide(Sliding(3, 2, 1, 1))
    assert same.agrees(padded, 20)
    assert all(same.count(size) == padded.count(size) for size in range(20, 60))


def test_what_is_cropped_is_no_room_for_padding() -> None:
    """A padded kernel after a crop reads cropped pixels: on a larger image they are there."""
    before = Line(16).slide(Sliding(before=-2)).slide(Sliding(3, 1, 1, 1))
    assert (before.first, before.last) == (-1, 4)
    after = Line(16).slide(Sliding(after=-2)).slide(Sliding(3, 1, 1, 1))
    assert after.last + (after.extent - 1) * after.stride - 16 == 1


def test_join_covers_both() -> None:
    a, b = Line(20).slide(Sliding(3, 1, 1, 1)), Line(20).slide(Sliding(5, 1, 2, 2))
    assert (a.join(b).first, a.join(b).last) == (-2, 3)


@given(st.lists(slidings, min_size=1, max_size=2), st.lists(slidings, max_size=2), st.sampled_from([2, 3]), st.data())
def test_finer_cells(first: list[Sliding], then: list[Sliding], cells: int, data: st.DataObject) -> None:
    """Cells that a larger one becomes depend on no more than they say; windows lie at multiples of the period."""
    line, reach = Line(40), [{pixel} for pixel in range(40)]
    for sliding in [*first, Sliding(cells, cells), None, *then]:
        if sliding is None:
            line, reach = line.refine(cells), [seen for seen in reach for _ in range(cells)]
            continue
        padded = [set()] * sliding.before + reach + [set()] * sliding.after
        if len(padded) < sliding.kernel:
            return
        line = line.slide(sliding)
        starts = range(0, len(padded) - sliding.kernel + 1, sliding.stride)
        reach = [set().union(*padded[start : start + sliding.kernel]) for start in starts]
    assert len(reach) == line.extent == line.count(40)
    for place, seen in enumerate(reach):
        assert seen <= set(range(place * line.stride + line.first, place * line.stride + line.last))
    more = data.draw(st.integers(1, 3))
    assert line.period % line.stride == 0
    assert line.count(40 + more * line.period) == line.extent + more * line.period // line.stride
