"""Pools: sliding, global, adaptive."""

from __future__ import annotations

import pytest
from torch.nn import functional as F

from planning import MAP, check_accepted, check_crops, plan_between, pooled

ACCEPTED = {
    "max pool": (lambda x: pooled(F.max_pool2d(x, 3, 2)), 6, {}),
    "adaptive identity": (lambda x: F.adaptive_avg_pool2d(x, (8, 6)).flatten(1), MAP, {}),
    "adaptive bins, linear": (lambda x: F.adaptive_avg_pool2d(x, (3, 4)).flatten(1), 72, {}),
    "adaptive bins, other": (lambda x: F.adaptive_avg_pool2d(x, (3, 4)).relu().flatten(1), 72, {}),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepts(name: str) -> None:
    check_accepted(*ACCEPTED[name])


def test_rounding_up_is_noted() -> None:
    plan = plan_between(lambda x: pooled(F.max_pool2d(x, 3, 2, ceil_mode=True)), 6)
    assert plan.guarantee == "feature windows"
    assert "rounds up at the end of the rows" in plan.padding[0]


def test_rounding_up_that_changes_nothing_is_not() -> None:
    assert plan_between(lambda x: pooled(F.max_pool2d(x, 2, 2, ceil_mode=True)), 6).guarantee == "image crops"


def test_an_average_pool_of_the_whole_map_is_global() -> None:
    plan = plan_between(lambda x: F.avg_pool2d(x, (8, 6)).flatten(1), 6)
    assert plan.grid.stride_px == (2, 2)
    assert plan.feature_maps[0].extent == (8, 6)


def test_folding_is_noted() -> None:
    plan = plan_between(*ACCEPTED["adaptive bins, linear"][:2])
    assert plan.layers[0].old_shape == (4, 72) and plan.layers[0].new_shape == (4, 6, 8, 6)
    assert plan.layers[0].note == "adaptive pooling folded in"


def test_a_pool_that_reaches_beyond_the_whole_map_is_global():
    """As in networks from Caffe: what lies beyond does not count, so it is no padding of the trunk's."""

    def beyond(x):
        return F.avg_pool2d(x, (10, 8), stride=2, padding=1, count_include_pad=False).flatten(1)

    def largest(x):
        return F.max_pool2d(x, (8, 6), stride=(8, 6)).flatten(1)

    for function in (beyond, largest):
        plan = plan_between(function, 6)
        assert (plan.tier, plan.guarantee, plan.grid.stride_px) == (1, "image crops", (2, 2))
        check_crops(function, 6, {})


def test_a_pool_that_counts_what_lies_beyond_pads():
    plan = plan_between(lambda x: F.avg_pool2d(x, (10, 8), stride=1, padding=1).flatten(1), 6)
    assert plan.guarantee == "feature windows"
