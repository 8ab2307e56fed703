"""Normalisations, slopes and softmax."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from planning import MAP, check_accepted, check_crops, check_refused, pooled

ACCEPTED = {
    "batch norm": (lambda x, n: pooled(n(x)), 6, {"n": nn.BatchNorm2d(6)}),
    "batch norm of positions": (lambda x, n: n(x.flatten(1)), MAP, {"n": nn.BatchNorm1d(MAP)}),
    "batch norm after a shift of each position": (
        lambda x, n, s: n(x + s.weight.view(6, 8, 6)).flatten(1),
        MAP,
        {"n": nn.BatchNorm2d(6), "s": nn.Embedding(6, 48)},
    ),
    "layer norm of channels": (lambda x, n: pooled(n(x.transpose(1, 3)).transpose(1, 3)), 6, {"n": nn.LayerNorm(6)}),
    "slope a channel": (lambda x, p: pooled(p(x)), 6, {"p": nn.PReLU(6)}),
    "one slope": (lambda x, p: p(x.flatten(1)), MAP, {"p": nn.PReLU()}),
    "softmax of channels": (lambda x: pooled(x.softmax(1)), 6, {}),
}

REFUSED = {
    "the window's softmax": (lambda x: x.flatten(2).softmax(2).flatten(1), MAP, {}, "positions of the window"),
    "the window's statistics": (
        lambda x, n: n(x).flatten(1),
        MAP,
        {"n": nn.LayerNorm([6, 8, 6])},
        "statistics are those of a whole window",
    ),
    "a batch norm of rows": (
        lambda x, n: n(x.transpose(1, 2)).flatten(1),
        MAP,
        {"n": nn.BatchNorm2d(8)},
        "an axis that is not the channels",
    ),
    "a slope for each position": (lambda x, p: p(x.flatten(1)), MAP, {"p": nn.PReLU(MAP)}, "slope for each position"),
    "a scale before a rectifier": (
        lambda x, n: n(x.flatten(1)).relu(),
        MAP,
        {"n": nn.BatchNorm1d(MAP)},
        "differs between positions comes before",
    ),
    "flattened maps normalised": (
        lambda x, n: n(torch.cat([F.max_pool2d(x, 2).flatten(1), x.flatten(1)], 1)),
        MAP + 72,
        {"n": nn.BatchNorm1d(MAP + 72)},
        "maps of different kinds are joined",
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepts(name: str) -> None:
    check_accepted(*ACCEPTED[name])


def test_a_batch_norm_after_a_shift_of_each_position_equals_crops() -> None:
    check_crops(*ACCEPTED["batch norm after a shift of each position"])


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    check_refused(*REFUSED[name])
