"""Channels in another order, stacked, repeated, and worked on in groups."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fullyconv.analyze.rearrangement import TakeChannels
from planning import MAP, check_accepted, check_refused, plan_between, pooled

ODD = torch.tensor([4, -6, 1])
MASK = torch.tensor([True, False, True, True, False, False])


def norm_vector(x: torch.Tensor, n: nn.Module) -> torch.Tensor:
    return n(F.adaptive_avg_pool2d(x, 1)).flatten(1)


ACCEPTED = {
    "colours in another order": (lambda x: pooled(x[:, [2, 1, 0]]), 3, {}),
    "numbers from the end": (lambda x: pooled(x[:, ODD]), 3, {}),
    "a mask": (lambda x: pooled(x[:, MASK]), 3, {}),
    "a table that is the same everywhere": (
        lambda x: pooled(x.gather(1, (ODD % 6)[None, :2, None, None].expand(x.shape[0], -1, 8, 6))),
        2,
        {},
    ),
    "index_select of a vector": (lambda x: pooled(x).index_select(-1, (ODD % 6)[[0, 2]]), 2, {}),
    "flip": (lambda x: pooled(x.flip(-3)), 6, {}),
    "roll backwards": (lambda x: pooled(x.roll(-8, 1)), 6, {}),
    "roll of grouped channels": (lambda x: pooled(x.unflatten(1, (2, 3)).roll(1, 2).flatten(1, 2)), 6, {}),
    "repeat": (lambda x: pooled(x.repeat(1, 2, 1, 1)), 12, {}),
    "repeat of nothing": (lambda x: pooled(x.repeat(1, 1, 1, 1)), 6, {}),
    "tile of the last axis": (lambda x: pooled(x).tile(3), 18, {}),
    "repeat_interleave": (lambda x: pooled(x.repeat_interleave(2, dim=1)), 12, {}),
    "one channel made three": (lambda x: pooled(x[:, 1:2].expand(-1, 3, -1, -1)), 3, {}),
    "channel shuffle": (lambda x: pooled(F.channel_shuffle(x, 3)), 6, {}),
    "stack": (lambda x: pooled(torch.stack([x, -x], 2).flatten(1, 2)), 12, {}),
    "sum of a stack": (lambda x: pooled(torch.stack([x, x.relu()]).sum(0)), 6, {}),
    "unbind": (lambda x: pooled(x.unflatten(1, (2, 3)).unbind(1)[1]), 3, {}),
    "joined groups": (
        lambda x: pooled(torch.cat([x.unflatten(1, (2, 3)), x.unflatten(1, (2, 3))], 2).flatten(1, 2)),
        12,
        {},
    ),
    "groups minus their mean": (
        lambda x: pooled((x.unflatten(1, (2, 3)) - x.unflatten(1, (2, 3)).mean(2, keepdim=True)).flatten(1, 2)),
        6,
        {},
    ),
    "sums so far": (lambda x: pooled(x.cumsum(-3)), 6, {}),
    "gated linear unit": (lambda x: F.glu(pooled(x), -1), 3, {}),
    "group norm of a vector": (norm_vector, 6, {"n": nn.GroupNorm(3, 6)}),
    "group norm without weights": (norm_vector, 6, {"n": nn.GroupNorm(2, 6, affine=False)}),
}

UNKNOWN = "may mix the values of a whole window"

REFUSED = {
    "rows flipped": (lambda x: x.flip(2).flatten(1), MAP, {}, "puts rows, columns or the batch in another order"),
    "columns rolled": (lambda x: x.roll(1, 3).flatten(1), MAP, {}, "puts rows, columns or the batch"),
    "the batch flipped": (lambda x: pooled(x.flip(0)), 6, {}, "puts rows, columns or the batch"),
    "several axes flipped": (lambda x: x.flip(1, 2).flatten(1), MAP, {}, UNKNOWN),
    "everything rolled": (lambda x: x.roll(1).flatten(1), MAP, {}, UNKNOWN),
    "rows repeated": (lambda x: x.repeat(1, 1, 2, 1).flatten(1), 2 * MAP, {}, "puts rows, columns or the batch"),
    "rows and channels repeated": (lambda x: x.repeat(1, 2, 2, 1).flatten(1), 4 * MAP, {}, UNKNOWN),
    "a new axis by repeating": (lambda x: pooled(x.repeat(3, 1, 1, 1, 1)[0]), 6, {}, UNKNOWN),
    "values repeated without an axis": (lambda x: x.repeat_interleave(2).view(2, -1), 2 * MAP, {}, UNKNOWN),
    "channels chosen by the image": (lambda x: pooled(x).gather(1, pooled(x).argsort(1)), 6, {}, UNKNOWN),
    "a table that differs": (
        lambda x: pooled(x.gather(1, (torch.arange(2 * 6 * 48) % 5).view(2, 6, 8, 6)[: x.shape[0]])),
        6,
        {},
        UNKNOWN,
    ),
    "a table of numbers": (lambda x: pooled(x[:, torch.tensor([[0, 1], [2, 3]])].flatten(1, 2)), 4, {}, UNKNOWN),
    "rows and channels by number": (lambda x: x[:, (ODD % 6), [0, 1, 2]].flatten(1), 18, {}, UNKNOWN),
    "a constant in the stack": (
        lambda x, e: torch.stack([x, e.weight.expand(2, 6, 8, 6)], 1).flatten(1),
        2 * MAP,
        {"e": nn.Embedding(8, 6)},
        "joins a constant",
    ),
    "a stack of different axes": (
        lambda x: torch.stack([x.flatten(1), x.permute(0, 2, 3, 1).flatten(1)], 1).flatten(1),
        2 * MAP,
        {},
        "stacks values whose axes are of different kinds",
    ),
    "sums over rows": (lambda x: x.cumsum(2).flatten(1), MAP, {}, "works along an axis that is not channels"),
    "sums of another type": (
        lambda x: pooled(x.cumsum(1, dtype=torch.float64).float()),
        6,
        {},
        "changes the number type",
    ),
    "half of the columns as gates": (lambda x: F.glu(x, -1).flatten(1), MAP // 2, {}, "an axis that is not channels"),
    "group norm of a map": (
        lambda x, n: pooled(n(x)),
        6,
        {"n": nn.GroupNorm(2, 6)},
        "its statistics are those of a whole window",
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepts(name: str) -> None:
    check_accepted(*ACCEPTED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    check_refused(*REFUSED[name])


def test_choosing_all_in_order_is_nothing() -> None:
    plan = plan_between(lambda x: pooled(x.repeat(1, 1, 1, 1)), 6)
    assert not any(isinstance(step.op, TakeChannels) for step in plan.steps)
