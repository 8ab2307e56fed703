"""Fully connected layers over channels, positions, and several maps."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from planning import MAP, check_accepted, check_crops, check_refused, pooled

ACCEPTED = {
    "linear over channels": (
        lambda x, f: pooled(f(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)),
        5,
        {"f": nn.Linear(6, 5)},
    ),
    "linear over one column": (lambda x, f: f(x.permute(0, 3, 1, 2).flatten(2)).mean(1), 5, {"f": nn.Linear(48, 5)}),
    "a product with a matrix": (lambda x, e: x.flatten(1) @ e.weight, 5, {"e": nn.Embedding(MAP, 5)}),
    "a product with a transposed matrix": (
        lambda x, e: torch.mm(pooled(x), e.weight.t()),
        5,
        {"e": nn.Embedding(5, 6)},
    ),
    "a sum with a product": (
        lambda x, f: torch.addmm(f.bias, x.flatten(1), f.weight.t()),
        5,
        {"f": nn.Linear(MAP, 5)},
    ),
    "flattened maps": (
        lambda x, n: torch.cat([F.max_pool2d(x, 2).flatten(1), n(x.flatten(1)), pooled(x)], 1),
        MAP + 72 + 6,
        {"n": nn.BatchNorm1d(MAP)},
    ),
}


def transform_blocks(x: torch.Tensor, f: nn.Module) -> torch.Tensor:
    """Multiplies the columns, then the rows within each block of 2 x 2 cells, as a cosine transform does."""
    blocks = x.reshape(-1, 6, 4, 2, 3, 2).permute(0, 2, 4, 1, 3, 5)
    blocks = f(f(blocks).mT).mT.reshape(-1, 6, 4)[:, :, [0, 2, 1, 3]]
    return blocks.tanh().reshape(-1, 12, 6, 4).mean(1).flatten(1)


PARTS = {
    "of neighbouring channels": (
        lambda x, f: f(x.permute(0, 2, 3, 1).reshape(-1, 8, 6, 2, 3)).relu().mean((1, 2)).flatten(1),
        10,
        {"f": nn.Linear(3, 5)},
    ),
    "of every third channel": (
        lambda x, f: pooled(f(x.view(-1, 2, 3, 8, 6).movedim(1, -1)).relu().movedim(-1, 2).flatten(1, 2)),
        15,
        {"f": nn.Linear(2, 5)},
    ),
    "without a shift": (
        lambda x, f: f(x.view(-1, 2, 3, 8, 6).movedim(2, -1)).relu().amax((2, 3)).flatten(1),
        2,
        {"f": nn.Linear(3, 1, bias=False)},
    ),
    "of a vector": (lambda x, f: f(pooled(x).view(-1, 2, 3)).relu().flatten(1), 10, {"f": nn.Linear(3, 5)}),
    "of blocks of cells": (transform_blocks, 24, {"f": nn.Linear(2, 2)}),
}

REFUSED = {
    "a bias of one value": (
        lambda x, f: F.linear(pooled(x), f.weight, f.bias[:1]),
        5,
        {"f": nn.Linear(6, 5)},
        "may mix the values of a whole window",
    ),
    "a bias of one value, added": (
        lambda x, f: torch.addmm(f.bias[:1], pooled(x), f.weight.t()),
        5,
        {"f": nn.Linear(6, 5)},
        "may mix the values of a whole window",
    ),
    "a product of two values": (
        lambda x: (x.flatten(2) @ x.flatten(2).transpose(1, 2)).flatten(1),
        36,
        {},
        "may mix the values of a whole window",
    ),
    "a product with a matrix of the image": (
        lambda x: pooled(x) @ x[0, :, :, 0],
        8,
        {},
        "batch",
    ),
    "flattened maps times a matrix": (
        lambda x, e: torch.cat([F.max_pool2d(x, 2).flatten(1), x.flatten(1)], 1) @ e.weight,
        5,
        {"e": nn.Embedding(MAP + 72, 5)},
        "maps of different kinds are joined",
    ),
    "a squeezed row": (lambda x, f: f(x).flatten(1), 6 * 8 * 5, {"f": nn.Linear(6, 5)}, "part of the channels"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepts(name: str) -> None:
    check_accepted(*ACCEPTED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    check_refused(*REFUSED[name])


@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_the_channels_equals_crops(name: str) -> None:
    check_crops(*PARTS[name])
