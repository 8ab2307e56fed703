"""Bilinear layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from planning import check_crops, check_refused, pooled


def maximum(x: torch.Tensor) -> torch.Tensor:
    return x.amax((2, 3))


EXACT = {
    "a vector with itself": (lambda x, b: b(pooled(x), pooled(x)), 5, {"b": nn.Bilinear(6, 6, 5)}),
    "without a shift": (lambda x, b: b(pooled(x), maximum(x)), 5, {"b": nn.Bilinear(6, 6, 5, bias=False)}),
    "of different lengths": (lambda x, b: b(pooled(x), maximum(x)[:, :4]), 5, {"b": nn.Bilinear(6, 4, 5)}),
    "of one output": (lambda x, b: b(maximum(x), pooled(x)).sigmoid(), 1, {"b": nn.Bilinear(6, 6, 1)}),
    "of one value each": (lambda x, b: b(maximum(x)[:, :1], pooled(x)[:, 2:3]), 5, {"b": nn.Bilinear(1, 1, 5)}),
    "of each cell": (
        lambda x, b: b(x.permute(0, 2, 3, 1), x.relu().permute(0, 2, 3, 1)).mean((1, 2)), 5,
        {"b": nn.Bilinear(6, 6, 5)},
    ),
    "of maps of different strides": (
        lambda x, b, d: b(pooled(x), pooled(d(x))), 5, {"b": nn.Bilinear(6, 7, 5), "d": nn.Conv2d(6, 7, 2, 2)},
    ),
    "channels in another order": (
        lambda x, b: b(x.unflatten(1, (2, 3)).transpose(1, 2).flatten(1, 2).mean((2, 3)), pooled(x)), 5,
        {"b": nn.Bilinear(6, 6, 5)},
    ),
}  # fmt: skip

REFUSED = {
    "with a constant": (
        lambda x, b: b(pooled(x), torch.ones(x.shape[0], 6)), 5, {"b": nn.Bilinear(6, 6, 5)}, "product of two values",
    ),
    "along rows": (
        lambda x, b: b(x.transpose(2, 3), x.transpose(2, 3)).flatten(1), 180, {"b": nn.Bilinear(8, 8, 5)},
        "an axis that is not all channels",
    ),
    "of rows with columns": (
        lambda x, b: b(x[:, :, 1:7].permute(0, 2, 3, 1), x[:, :, 1:7].permute(0, 3, 2, 1)).mean((1, 2)), 5,
        {"b": nn.Bilinear(6, 6, 5)}, "values whose axes are of different kinds",
    ),
    "weights of the image": (
        lambda x: F.bilinear(pooled(x), pooled(x), x[:, :, :6, 0]), 2, {}, "product of two values",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_equals_crops(name: str) -> None:
    check_crops(*EXACT[name])


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    check_refused(*REFUSED[name])
