"""Normalisations by a value's own mean and variance."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from planning import MAP, check_accepted, check_refused, pooled

FIXED = nn.InstanceNorm2d(6, track_running_stats=True)

ACCEPTED = {
    "group norm of a vector": (lambda x, n: n(pooled(x)), 6, {"n": nn.GroupNorm(2, 6)}),
    "group norm of one cell": (lambda x, n: n(F.adaptive_max_pool2d(x, 1)).flatten(1), 6, {"n": nn.GroupNorm(3, 6)}),
    "group norm of bins": (lambda x, n: n(F.adaptive_max_pool2d(x, 2)).flatten(1), 24, {"n": nn.GroupNorm(3, 6)}),
    "layer norm of a part of the channels": (
        lambda x, n: pooled(n(x.permute(0, 2, 3, 1).reshape(-1, 8, 6, 2, 3)).flatten(3).permute(0, 3, 1, 2)),
        6,
        {"n": nn.LayerNorm(3)},
    ),
    "layer norm of two axes of channels": (
        lambda x, n: pooled(n(x.permute(0, 2, 3, 1).reshape(-1, 8, 6, 2, 3)).flatten(3).permute(0, 3, 1, 2)),
        6,
        {"n": nn.LayerNorm([2, 3])},
    ),
    "instance norm with running statistics": (lambda x, n: pooled(n(x)), 6, {"n": FIXED}),
    "positions of one cell": (
        lambda x, n: n(F.adaptive_avg_pool2d(x, 1)).flatten(1),
        6,
        {"n": nn.LayerNorm([6, 1, 1])},
    ),
}

WINDOW, BATCH = "statistics are those of a whole window", "statistics run over the batch"

REFUSED = {
    "group norm": (lambda x, n: pooled(n(x)), 6, {"n": nn.GroupNorm(2, 6)}, WINDOW),
    "instance norm": (lambda x, n: pooled(n(x)), 6, {"n": nn.InstanceNorm2d(6)}, WINDOW),
    "layer norm of rows": (lambda x, n: pooled(n(x)), 6, {"n": nn.LayerNorm(6)}, WINDOW),
    "layer norm of the batch": (
        lambda x: F.layer_norm(x.transpose(0, 3), [2]).transpose(0, 3).flatten(1),
        MAP,
        {},
        BATCH,
    ),
    "group norm of the batch": (
        lambda x: F.group_norm(x.transpose(0, 2), 2).transpose(0, 2).flatten(1),
        MAP,
        {},
        BATCH,
    ),
    "groups of rows": (
        lambda x: F.group_norm(x.transpose(1, 2), 2).transpose(1, 2).flatten(1),
        MAP,
        {},
        "its groups are parts of an axis with rows or columns",
    ),
    "a weight for each position": (
        lambda x, n, w: F.layer_norm(x, (6, 8, 6), w.weight.view(6, 8, 6)).flatten(1),
        MAP,
        {"n": nn.Identity(), "w": nn.Embedding(1, MAP)},
        "has a scale or shift for each position of the window",
    ),
    "weights from the image": (
        lambda x: F.group_norm(x.view(1, 6, 8, 6), 2, x.mean((2, 3))[0]).flatten(1),
        MAP,
        {},
        "its weights depend on the image",
    ),
    "weights of a layer norm from the image": (
        lambda x: F.layer_norm(x.view(1, 6, 8, 6).transpose(1, 3), [6], x.mean((2, 3))[0]).flatten(1),
        MAP,
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


def test_instance_norm_that_updates_its_statistics_is_left_alone() -> None:
    def update(x: torch.Tensor, n: nn.Module) -> torch.Tensor:
        return F.instance_norm(x, n.running_mean, n.running_var, use_input_stats=True).flatten(1)

    check_refused(update, MAP, {"n": nn.InstanceNorm2d(6, track_running_stats=True)}, "may mix the values")
