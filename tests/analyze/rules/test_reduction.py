"""Reductions over whole axes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from planning import check_accepted, check_crops, check_refused, pooled

ACCEPTED = {
    "mean of rows and columns": (pooled, 6, {}),
    "maximum": (lambda x: x.amax((2, 3)), 6, {}),
    "maximum with its place": (lambda x: x.flatten(2).max(-1)[0], 6, {}),
    "pool of flattened cells": (lambda x: F.adaptive_avg_pool1d(x.flatten(2), 1).flatten(1), 6, {}),
    "one axis after the other": (lambda x: x.amax(2).mean(2), 6, {}),
    "rows alone": (lambda x: x.mean(2).flatten(1), 36, {}),
    "sum over all": (lambda x: x.sum((1, 2, 3)).unsqueeze(1), 1, {}),
    "a part of the channels": (lambda x: x.view(-1, 2, 3, 8, 6).amax(2).flatten(1), 96, {}),
    "the outer part, and columns": (lambda x: x.view(-1, 2, 3, 8, 6).sum((1, 4)).flatten(1), 24, {}),
    "cells of a block": (lambda x: pooled(x.view(-1, 6, 4, 2, 3, 2).mean((3, 5)).relu()), 6, {}),
    "mean of channels": (lambda x: x.mean(1, keepdim=True).flatten(1), 48, {}),
}


def waves(*shape: int) -> torch.Tensor:
    """Returns a constant, another one at each position."""
    return torch.arange(torch.Size(shape).numel(), dtype=torch.float64).reshape(shape).sin()


WEIGHED = {
    "each position": (lambda x: (x * waves(8, 6)).sum((2, 3)), 6, {}),
    "each position of each channel": (lambda x: (x * waves(6, 8, 6)).mean((2, 3)), 6, {}),
    "each row": (lambda x: (waves(8, 1) * x).mean((2, 3), keepdim=True).flatten(1).relu(), 6, {}),
    "flattened cells": (lambda x: (x.flatten(2) * waves(48)).sum(2).tanh(), 6, {}),
    "cells before channels": (lambda x: (x.permute(0, 2, 3, 1) * waves(8, 6, 1)).sum((1, 2)), 6, {}),
    "rows, of which there is one": (lambda x: (x.amax(2, keepdim=True) * waves(1, 6)).sum((2, 3)), 6, {}),
    "columns that are left": (lambda x: (x.amax(2) * waves(6)).sum(2), 6, {}),
    "one of two channels": (lambda x: (x.view(-1, 2, 3, 8, 6) * waves(2, 1, 8, 6)).sum((3, 4)).flatten(1), 6, {}),
}

REFUSED = {
    "weighed twice": (
        lambda x: (x * waves(8, 6).float() + waves(6, 8, 6).float()).sum((2, 3)),
        6,
        {},
        "comes before an operation that is not linear",
    ),
    "the largest of weighed values": (
        lambda x: (x * waves(8, 6).float()).amax((2, 3)),
        6,
        {},
        "comes before an operation that is not linear",
    ),
    "weighed rows alone": (
        lambda x: (x * waves(8, 6).float()).sum(2).flatten(1),
        36,
        {},
        "comes before an operation that is not linear",
    ),
    "a count over positions": (lambda x: (x > 0).sum((2, 3)).float(), 6, {}, "pools whole numbers or truth values"),
    "whether any is": (lambda x: (x > 0).amax((2, 3)).float(), 6, {}, "pools whole numbers or truth values"),
    "a mean in another precision": (
        lambda x: x.mean((2, 3), dtype=torch.float64).float(),
        6,
        {},
        "may mix the values of a whole window",
    ),
    "the place of the maximum": (
        lambda x: x.flatten(2).max(-1)[1].float(),
        6,
        {},
        "may mix the values of a whole window",
    ),
    "padding in the head": (
        lambda x, c: c(x.mean(2, keepdim=True)).flatten(1),
        30,
        {"c": nn.Conv2d(6, 5, (1, 3), padding=(0, 1))},
        "after the head began, where the border is the window's",
    ),
    "the batch": (lambda x: pooled(x - x.mean(0)), 6, {}, "reduces over the batch"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepts(name: str) -> None:
    check_accepted(*ACCEPTED[name])


@pytest.mark.parametrize("name", WEIGHED)
def test_weighed_positions_equal_crops(name: str) -> None:
    check_crops(*WEIGHED[name])


def test_products_of_two_number_types_run_on_windows() -> None:
    check_refused(lambda x: (x * waves(8, 6)).sum((2, 3)).float(), 6, {}, "that is not linear")


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    check_refused(*REFUSED[name])
