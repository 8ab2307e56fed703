"""Convolutions: what slides, what is padded, what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fullyconv.graph import Conv
from planning import check_accepted, check_refused, find_reason, plan_between, pooled

ACCEPTED = {
    "convolution": (lambda x, c: pooled(c(x)), 5, {"c": nn.Conv2d(6, 5, 3, dilation=2)}),
    "convolution, same": (lambda x, c: pooled(c(x)), 5, {"c": nn.Conv2d(6, 5, 4, padding="same")}),
    "convolution over all bins": (
        lambda x, c: c(F.adaptive_avg_pool2d(x, (3, 2))).flatten(1),
        5,
        {"c": nn.Conv2d(6, 5, (3, 2))},
    ),
}

REFUSED = {
    "weights of the image": (lambda x: F.conv2d(x, x[:1, :, :3, :3]).flatten(1), 24, {}, "batch"),
    "a map that is not one": (
        lambda x, c: c(x.transpose(2, 3)).flatten(1),
        5 * 24,
        {"c": nn.Conv2d(6, 5, 3)},
        "expected a map",
    ),
    "a convolution over some bins": (
        lambda x, c: c(F.adaptive_avg_pool2d(x, (3, 4))).flatten(1),
        5 * 6,
        {"c": nn.Conv2d(6, 5, 2)},
        "slides over the bins of an adaptive pool",
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepts(name: str) -> None:
    check_accepted(*ACCEPTED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    check_refused(*REFUSED[name])


def test_a_convolution_keeps_its_attributes() -> None:
    plan = plan_between(*ACCEPTED["convolution"][:2], **ACCEPTED["convolution"][2])
    assert plan.steps[1].op == Conv((1, 1), ((0, 0), (0, 0)), (2, 2), 1)
    assert plan.guarantee == "image crops"


def test_padding_is_noted_with_its_node() -> None:
    plan = plan_between(*ACCEPTED["convolution, same"][:2], **ACCEPTED["convolution, same"][2])
    assert plan.guarantee == "feature windows"
    assert plan.padding == ("parts.c (aten.conv2d): pads rows by 1 and 2, pads columns by 1 and 2",)
    assert plan.margins_px == ((2, 4), (2, 4))


def test_the_head_keeps_the_windows_border() -> None:
    """Padding after one axis was contracted is the window's padding, so it runs on windows."""

    def head(x: torch.Tensor, f: nn.Module, c: nn.Module) -> torch.Tensor:
        columns = f(x.permute(0, 3, 1, 2).flatten(2)).transpose(1, 2)  # (N, 5, 6): rows are gone
        return c(columns.unsqueeze(2)).flatten(1)

    plan = plan_between(head, 30, f=nn.Linear(48, 5), c=nn.Conv2d(5, 5, (1, 3), padding=(0, 1)))
    assert "after the head began, where the border is the window's" in find_reason(plan)
