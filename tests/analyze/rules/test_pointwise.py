"""Value-by-value operations with constants and other maps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from planning import MAP, check_accepted, check_refused, pooled

ACCEPTED = {
    "constant a channel": (lambda x, e: pooled(x - e.weight.view(1, 6, 1, 1)), 6, {"e": nn.Embedding(1, 6)}),
    "constants of positions": (lambda x, e: (x.flatten(1) - e.weight) * 2 / 3, MAP, {"e": nn.Embedding(1, MAP)}),
    "the larger": (lambda x, e: pooled(torch.max(x, e.weight.view(1, 6, 1, 1))), 6, {"e": nn.Embedding(1, 6)}),
    "new channels by broadcasting": (lambda x: (pooled(x)[:, :, None] * pooled(x)[:, None]).flatten(1), 36, {}),
    "one channel, a constant for each of six": (
        lambda x, e: pooled(x[:, 3:4] - e.weight.view(6, 1, 1)),
        6,
        {"e": nn.Embedding(1, 6)},
    ),
    "two maps": (lambda x, c: pooled(x * torch.sigmoid(c(x))), 6, {"c": nn.Conv2d(6, 1, 1)}),
}

REFUSED = {
    "a quotient rounded": (
        lambda x, e: torch.div(x.flatten(1), e.weight, rounding_mode="floor"),
        MAP,
        {"e": nn.Embedding(1, MAP)},
        "differs between positions comes before",
    ),
    "a constant over positions": (
        lambda x, e: pooled(torch.maximum(x, e.weight)),
        6,
        {"e": nn.Embedding(8, 6)},
        "differs between positions comes before",
    ),
    "a number divided by positions": (
        lambda x, e: e.weight - x.flatten(1),
        MAP,
        {"e": nn.Embedding(1, MAP)},
        "differs between positions comes before",
    ),
    "rows added to columns": (lambda x: pooled(x[:, :, :6] + x[:, :, 2:].mT), 6, {}, "broadcast to other axes"),
    "a constant over positions of more channels": (
        lambda x, e: (x[:, :1] - e.weight.view(6, 8, 6)).flatten(1),
        MAP,
        {"e": nn.Embedding(6, 48)},
        "broadcasts the value to a larger one",
    ),
    "a constant over positions, of two maps": (
        lambda x, e: pooled(torch.addcmul(x, x.relu(), e.weight)),
        6,
        {"e": nn.Embedding(8, 6)},
        "meets several values",
    ),
    "a gate of the window": (
        lambda x: (x * pooled(x)[:, :, None, None]).flatten(1),
        MAP,
        {},
        "meets the map that it came from",
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepts(name: str) -> None:
    check_accepted(*ACCEPTED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    check_refused(*REFUSED[name])
