"""What a step makes of a map's end."""

from __future__ import annotations

import pytest

from fullyconv.analyze.geometry import Sliding
from fullyconv.analyze.plan import Add, CropMap, SlidingNorm, SlidingPool, SlidingStatistic, ToGrid
from fullyconv.analyze.rearrangement import FoldMap, UnfoldMap
from fullyconv.graph import Conv, Pad, Upsample, WindowPool
from fullyconv.refine.edges import Edge, find_edge
from fullyconv.refine.slides import find_slide
from fullyconv.rewrite.torch_steps import _LOWERINGS

NONE = (0, 0)
AROUND = (NONE, NONE, (1, 2), (3, -1))


@pytest.mark.parametrize(
    ("op", "edge"),
    [
        (Conv((2, 1), ((1, 1), NONE), (1, 2), 1), Edge(Sliding(3, 2, 1, 1), Sliding(5), 0.0)),
        (Conv((2, 2), ((1, 0), NONE), (1, 1), 1), Edge(Sliding(3, 2, 1), Sliding(3, 2))),
        (WindowPool("max", (2, 3), (2, 3)), Edge(Sliding(2, 2), Sliding(3, 3))),
        (WindowPool("max", (2, 3), (2, 1), ceil_mode=True), Edge(Sliding(2, 2, ceil=True), Sliding(3), "least")),
        (WindowPool("max", (3, 3), (1, 1), ((1, 1), NONE)), Edge(Sliding(3, 1, 1, 1), Sliding(3), "least")),
        (WindowPool("average", (2, 2), (2, 2)), Edge(Sliding(2, 2), Sliding(2, 2))),
        (WindowPool("average", (3, 3), (2, 2), ((1, 1), NONE)), Edge(Sliding(3, 2, 1, 1), Sliding(3, 2), 0.0)),
        (
            WindowPool("average", (3, 3), (2, 2), ((1, 1), NONE), count_include_pad=False),
            Edge(Sliding(3, 2, 1, 1), Sliding(3, 2), 0.0, average=False),
        ),
        (
            WindowPool("average", (3, 3), (2, 2), ceil_mode=True),
            Edge(Sliding(3, 2, ceil=True), Sliding(3, 2, ceil=True), 0.0, average=True),
        ),
        (
            WindowPool("average", (3, 3), (2, 2), ceil_mode=True, divisor=5),
            Edge(Sliding(3, 2, ceil=True), Sliding(3, 2, ceil=True), 0.0),
        ),
        (Pad(AROUND, "constant", 0.5), Edge(Sliding(1, 1, 1, 2), Sliding(1, 1, 3, -1), 0.5)),
        (Pad(AROUND, "constant", float("inf")), Edge(Sliding(1, 1, 1, 2), Sliding(1, 1, 3, -1), float("inf"))),
        (Pad((NONE, NONE, (1, 0), (3, -1)), "constant", 0.5), Edge(Sliding(1, 1, 1), Sliding(1, 1, 3, -1))),
        (Pad(AROUND, "reflect", 0.0), Edge(Sliding(1, 1, 1, 2), Sliding(1, 1, 3, -1))),
        (CropMap((1, 0), (0, 2), (1, 3)), Edge(Sliding(1, 1, -1, 0), Sliding(1, 3, 0, -2))),
        (ToGrid((2, 2), (8, 8)), Edge(Sliding(1, 2), Sliding(1, 2))),
        (FoldMap((2, 3)), Edge(Sliding(2, 2), Sliding(3, 3))),
        (UnfoldMap((2, 3)), Edge(Sliding(finer=2), Sliding(finer=3))),
        (Upsample("nearest", (2, 3)), Edge(Sliding(finer=2), Sliding(finer=3))),
        (Upsample("linear", (2, 3)), Edge(Sliding(finer=2), Sliding(finer=3), "last")),
        (SlidingPool("max", (1, 1)), Edge()),
        (SlidingPool("max", (3, 4)), Edge(Sliding(3, 1, 1, 1), Sliding(4, 1, 1, 2))),
        (SlidingNorm(2, (1, 1), 1e-5), Edge(fill="last")),
        (SlidingNorm(2, (3, 1), 1e-5), Edge(Sliding(3, 1, 1, 1), fill="last")),
        (SlidingStatistic("norm", 2, (2, 1), 4), Edge(Sliding(2, 1, 0, 1))),
        (SlidingStatistic("variance", 2, (2, 1), 4), Edge(Sliding(2, 1, 0, 1), fill="last")),
        (Add(), Edge()),
    ],
)
def test_edges(op, edge):
    assert find_edge(op, (3, 3)) == edge


@pytest.mark.parametrize("op", [Conv((2, 3), ((1, 1), (2, 0)), (1, 1), 1), WindowPool("max", (3, 3), (2, 3)),
                                CropMap((1, 0), (0, 2), (2, 3)), ToGrid((2, 3), (8, 9)), FoldMap((2, 3)),
                                UnfoldMap((2, 3)), Upsample("nearest", (2, 3))])  # fmt: skip
def test_both_know_the_same_stride(op):
    slide, edge = find_slide(op), find_edge(op, (3, 3))
    assert slide is not None
    assert tuple(sliding.stride for sliding in edge.along) == slide.stride
    assert tuple(sliding.finer for sliding in edge.along) == slide.finer


def test_no_kind_of_step_is_forgotten():
    """A new step that slides needs a place in both tables; one that works cell by cell needs none."""
    from fullyconv.refine.edges import _EDGES
    from fullyconv.refine.slides import _SLIDING

    assert _SLIDING - {Conv} <= set(_EDGES) <= set(_LOWERINGS) | {Upsample}
