"""1-D convolutions along channels."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fullyconv
from planning import MAP, WINDOW, Between, check_accepted, check_refused, pooled

LINE = {"c": nn.Conv1d(1, 1, 3, padding=1)}


def along(x: torch.Tensor, c: nn.Module) -> torch.Tensor:
    return c(pooled(x).unsqueeze(1)).flatten(1)


ACCEPTED = {
    "of a vector": (along, 6, LINE),
    "of a vector, in steps, of several lines": (
        lambda x, c: c(pooled(x).view(-1, 2, 3)).flatten(1),
        18,
        {"c": nn.Conv1d(2, 6, 3, 2, padding=2, groups=2, bias=False)},
    ),
    "padding by name": (along, 6, {"c": nn.Conv1d(1, 1, 3, padding="same", dilation=2)}),
    "padding that is none": (along, 4, {"c": nn.Conv1d(1, 1, 3, padding="valid")}),
    "dilated": (along, 4, {"c": nn.Conv1d(1, 2, 3, dilation=2)}),
    "wrapped around": (
        lambda x, c: c(F.pad(pooled(x).unsqueeze(1), (2, 1), mode="circular")).flatten(1),
        7,
        {"c": nn.Conv1d(1, 1, 3)},
    ),
}

REFUSED = {
    "along cells": (
        lambda x, c: c(x.flatten(2)).flatten(1),
        MAP,
        {"c": nn.Conv1d(6, 6, 3, padding=1)},
        "not all channels",
    ),
    "padding of one end": (along, 6, {"c": nn.Conv1d(1, 1, 4, padding="same")}, "pads one end more than the other"),
    "weights from the image": (
        lambda x: F.conv1d(pooled(x).view(1, 1, 6), pooled(x).view(1, 1, 6)[..., :3]).flatten(1),
        4,
        {},
        "its weights depend on the image",
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepts(name: str) -> None:
    check_accepted(*ACCEPTED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    check_refused(*REFUSED[name])


@pytest.mark.parametrize("name", ACCEPTED)
def test_scores_equal_the_classifier(name: str) -> None:
    torch.manual_seed(0)
    function, features, parts = ACCEPTED[name]
    model = Between(function, features, **parts).eval()
    assert fullyconv.verify(fullyconv.convert(model, WINDOW), model).passed
