"""Maps made coarser and finer without arithmetic."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fullyconv.analyze.rearrangement import FoldMap, UnfoldMap
from planning import MAP, check_refused, find_reason, plan_between, pooled
from zoo_arranging import fold_by_hand, unfold_by_hand

# what is done to a map of 8 x 6 cells of 2 x 2 pixels; the linear layer's features; the pixels between windows
ACCEPTED = {
    "pixel_unshuffle": (lambda x: pooled(F.pixel_unshuffle(x, 2).relu()), 24, {}, (4, 4)),
    "space to depth by hand": (lambda x: pooled(fold_by_hand(x, 2).relu()), 24, {}, (4, 4)),
    "rows alone": (lambda x: pooled(x.unflatten(2, (4, 2)).movedim(3, 1).flatten(1, 2).relu()), 12, {}, (4, 2)),
    "twice": (lambda x: F.pixel_unshuffle(fold_by_hand(x[..., :4], 2), 2).flatten(1), 2 * 96, {}, (8, 8)),
    "a block that is the window": (lambda x: F.pixel_unshuffle(x[:, :, 2:], 6).flatten(1), 216, {}, (12, 12)),
    "patches as tokens": (
        lambda x, d: d(x.reshape(-1, 6, 4, 2, 3, 2).permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)).mean(1),
        5,
        {"d": nn.Linear(24, 5)},
        (4, 4),
    ),
    "pixel_shuffle": (lambda x: F.max_pool2d(F.pixel_shuffle(x[:, :4], 2), 2).flatten(1), 48, {}, (2, 2)),
    "depth to space by hand": (lambda x: pooled(F.max_pool2d(unfold_by_hand(x[:, :4], 2), 3)), 1, {}, (6, 6)),
    "there and back": (lambda x: pooled(F.pixel_shuffle(F.pixel_unshuffle(x, 2).relu(), 2)), 6, {}, (4, 4)),
    "rows of finer rows": (lambda x: pooled(unfold_by_hand(x[:, :4], 2)[:, :, 1:]), 1, {}, (2, 2)),
    "finer rows, added": (lambda x: pooled(unfold_by_hand(x[:, :4], 2) + F.pixel_shuffle(x[:, :4], 2)), 1, {}, (2, 2)),
    "a linear layer on finer cells": (
        lambda x, d: d(unfold_by_hand(torch.cat([x, x[:, :2]], 1), 2).permute(0, 2, 3, 1)).amax((1, 2)),
        5,
        {"d": nn.Linear(2, 5)},
        (2, 2),
    ),
    "groups that cut across factors": (
        lambda x: pooled(F.pixel_unshuffle(x[:, :3], 2).unflatten(1, (2, 6)).amax(1)),
        6,
        {},
        (4, 4),
    ),
    "blocks of bins": (
        lambda x: F.adaptive_avg_pool2d(x, (4, 2)).view(-1, 6, 2, 2, 2).amax(3).flatten(1),
        24,
        {},
        (2, 2),
    ),
}

REFUSED = {
    "smaller than a pixel": (
        lambda x: F.max_pool2d(F.pixel_shuffle(torch.cat([x, x, x], 1)[:, :9], 3), 3).flatten(1),
        48,
        {},
        "makes cells smaller than a pixel",
    ),
    "smaller than a pixel by hand": (
        lambda x: F.max_pool2d(unfold_by_hand(torch.cat([x, x, x], 1)[:, :16], 4), 4).flatten(1),
        48,
        {},
        "makes cells smaller than a pixel",
    ),
    "rows without columns": (
        lambda x: F.pixel_unshuffle(x.transpose(1, 2), 2).flatten(1),
        MAP,
        {},
        "expected a map (batch, channels, rows, columns)",
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepts(name: str) -> None:
    function, features, parts, stride = ACCEPTED[name]
    plan = plan_between(function, features, **parts)
    assert plan.tier == 1, plan.reasons
    assert plan.grid.stride_px == stride


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    check_refused(*REFUSED[name])


@pytest.mark.parametrize(("step", "function"), [(FoldMap, F.pixel_unshuffle), (UnfoldMap, F.pixel_shuffle)])
def test_steps(step: type, function: object) -> None:
    plan = plan_between(lambda x: pooled(function(x[:, :4], 2).relu()), 16 if step is FoldMap else 1)
    assert [one.op for one in plan.steps if isinstance(one.op, step)] == [step((2, 2))]


def test_a_partition_does_not_spread_the_windows() -> None:
    """Where attention partitions a map, windows are cut before that, as near together as the map allows."""

    def attend(x: torch.Tensor, d: nn.Module) -> torch.Tensor:
        parts = x.reshape(-1, 6, 2, 4, 3, 2).permute(0, 2, 4, 3, 5, 1).reshape(-1, 8, 6)
        mixed = parts * d(parts).softmax(1)
        return pooled(x + mixed.view(-1, 2, 3, 4, 2, 6).permute(0, 5, 1, 3, 2, 4).reshape(-1, 6, 8, 6))

    plan = plan_between(attend, 6, d=nn.Linear(6, 6))
    assert "reads a part of the channels at a time" in find_reason(plan)
    assert plan.grid.stride_px == (2, 2)
    assert [cut.extent for cut in plan.cuts] == [(8, 6)]


def test_merged_patches_count_on_windows_too() -> None:
    def merge(x: torch.Tensor, d: nn.Module) -> torch.Tensor:
        x = x * pooled(x)[:, :, None, None]  # from here on windows
        return pooled(d(fold_by_hand(x, 2).movedim(1, -1)).movedim(-1, 1))

    plan = plan_between(merge, 5, d=nn.Linear(24, 5))
    assert plan.tier == 2 and plan.grid.stride_px == (4, 4)
