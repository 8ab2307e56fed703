"""Pools along one axis, and the response normalisations that are made of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fullyconv
from planning import MAP, check_accepted, check_crops, check_refused, pooled


def respond(**numbers: float) -> dict[str, nn.Module]:
    return {"n": nn.LocalResponseNorm(**numbers)}


ACCEPTED = {
    "odd response norm": (lambda x, n: pooled(n(x)), 6, respond(size=3, alpha=0.5)),
    "even response norm": (lambda x, n: pooled(n(x)), 6, respond(size=4, alpha=0.5, beta=0.6, k=2.0)),
    "response norm wider than the channels": (lambda x, n: pooled(n(x)), 6, respond(size=15, alpha=2.0)),
    "response norm of flattened cells": (lambda x, n: n(x.flatten(2)).mean(2), 6, respond(size=3, alpha=0.5)),
    "response norm of vectors": (lambda x, n: n(pooled(x).unsqueeze(2)).flatten(1), 6, respond(size=3, alpha=0.5)),
    "response norm of one channel": (lambda x, n: pooled(n(x[:, :1]) + x), 6, respond(size=3, alpha=0.5)),
    "response norm of one cell": (lambda x, n: n(x.mean((2, 3), True)).flatten(1), 6, respond(size=2, alpha=0.5)),
    "volume of one channel": (
        lambda x: pooled(F.avg_pool3d(x[:, None], (3, 1, 1), (2, 1, 1), (1, 0, 0), True, False, 5)[:, 0]),
        4,
        {},
    ),
    "largest of neighbours": (
        lambda x: pooled(F.max_pool3d(x[:, None], (2, 1, 1), 1, (1, 0, 0), (3, 1, 1))[:, 0]),
        5,
        {},
    ),
    "largest of three": (lambda x: F.max_pool1d(pooled(x)[:, None], 3, 2, 1).flatten(1), 3, {}),
    "mean of two": (lambda x: F.avg_pool1d(pooled(x)[:, None], 2)[:, 0], 3, {}),
    "mean of all cells": (lambda x: F.avg_pool1d(x.flatten(2), 48).flatten(1), 6, {}),
    "maximum of all cells": (lambda x: F.max_pool1d(x.flatten(2), 48).flatten(1), 6, {}),
    "columns as channels": (
        lambda x: F.avg_pool2d(pooled(x).view(-1, 1, 6, 1), (2, 1), (2, 1)).flatten(1),
        3,
        {},
    ),
}

REFUSED = {
    "along flattened cells": (
        lambda x: F.avg_pool1d(x.flatten(2), 3).flatten(1),
        96,
        {},
        "pools along an axis that is not the channels",
    ),
    "along a part of the channels": (
        lambda x: F.max_pool3d(x.view(-1, 2, 3, 8, 6), (3, 1, 1), (2, 1, 1), (1, 0, 0)).flatten(1),
        192,
        {},
        "pools along an axis that is not the channels",
    ),
    "along channels and rows": (
        lambda x: F.avg_pool3d(x[:, None], (3, 2, 1)).flatten(1),
        48,
        {},
        "may mix the values of a whole window",
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepts(name: str) -> None:
    check_crops(*ACCEPTED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    check_refused(*REFUSED[name])


def test_padding_of_a_volumes_rows_is_that_of_the_map() -> None:
    check_accepted(lambda x: pooled(F.pad(x[:, None], (1, 1, 0, 2, 1, 0))[:, 0]), 7, {})
    check_refused(lambda x: F.pad(x.flatten(2), (1, 0)).flatten(1), MAP + 6, {}, "pads axes that are not channels")


def test_gates_of_all_cells_are_no_pools_along_channels() -> None:
    check_refused(lambda x: pooled(x * F.avg_pool1d(x.flatten(2), 48).unsqueeze(3)), 6, {}, "a value of the whole")


def test_response_norms_run_in_half_precision() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.LocalResponseNorm(3, alpha=0.5), nn.AdaptiveAvgPool2d(1)).eval()
    dense, images = fullyconv.convert(model, (9, 8)), torch.rand(1, 3, 11, 12)
    halved = fullyconv.convert(model, (9, 8)).to(torch.bfloat16)
    torch.testing.assert_close(halved(images.bfloat16()).float(), dense(images), rtol=0.05, atol=0.02)
