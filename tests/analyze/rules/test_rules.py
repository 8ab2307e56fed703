"""Each rule accepts what it says and refuses the rest with its reason; values are compared in tests/rewrite."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fullyconv.analyze.plan import BinPool, ChannelNorm, ChannelReduce, CropMap, ShuffleChannels, SliceChannels
from fullyconv.graph import Conv, WindowPool
from planning import find_reason, plan_between


def pooled(x: torch.Tensor) -> torch.Tensor:
    return x.mean((2, 3))


MAP = 6 * 8 * 6  # values of the stem's map


ACCEPTED = {
    "convolution": (lambda x, c: pooled(c(x)), 5, {"c": nn.Conv2d(6, 5, 3, dilation=2)}),
    "convolution, same": (lambda x, c: pooled(c(x)), 5, {"c": nn.Conv2d(6, 5, 4, padding="same")}),
    "convolution over all bins": (
        lambda x, c: c(F.adaptive_avg_pool2d(x, (3, 2))).flatten(1),
        5,
        {"c": nn.Conv2d(6, 5, (3, 2))},
    ),
    "max pool": (lambda x: pooled(F.max_pool2d(x, 3, 2)), 6, {}),
    "adaptive identity": (lambda x: F.adaptive_avg_pool2d(x, (8, 6)).flatten(1), MAP, {}),
    "adaptive bins, linear": (lambda x: F.adaptive_avg_pool2d(x, (3, 4)).flatten(1), 72, {}),
    "adaptive bins, other": (lambda x: F.adaptive_avg_pool2d(x, (3, 4)).relu().flatten(1), 72, {}),
    "mean of rows and columns": (pooled, 6, {}),
    "maximum": (lambda x: x.amax((2, 3)), 6, {}),
    "sum over all": (lambda x: x.sum((1, 2, 3)).unsqueeze(1), 1, {}),
    "mean of channels": (lambda x: x.mean(1, keepdim=True).flatten(1), 48, {}),
    "linear over channels": (
        lambda x, f: pooled(f(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)),
        5,
        {"f": nn.Linear(6, 5)},
    ),
    "linear over one column": (lambda x, f: f(x.permute(0, 3, 1, 2).flatten(2)).mean(1), 5, {"f": nn.Linear(48, 5)}),
    "batch norm": (lambda x, n: pooled(n(x)), 6, {"n": nn.BatchNorm2d(6)}),
    "batch norm of positions": (lambda x, n: n(x.flatten(1)), MAP, {"n": nn.BatchNorm1d(MAP)}),
    "layer norm of channels": (lambda x, n: pooled(n(x.transpose(1, 3)).transpose(1, 3)), 6, {"n": nn.LayerNorm(6)}),
    "slope a channel": (lambda x, p: pooled(p(x)), 6, {"p": nn.PReLU(6)}),
    "one slope": (lambda x, p: p(x.flatten(1)), MAP, {"p": nn.PReLU()}),
    "softmax of channels": (lambda x: pooled(x.softmax(1)), 6, {}),
    "concatenation": (lambda x: pooled(torch.cat([x, x * 2], 1)), 12, {}),
    "split": (lambda x: pooled(torch.split(x, [2, 4], 1)[1]), 4, {}),
    "slice of channels": (lambda x: pooled(x[:, 1::2]), 3, {}),
    "slice of grouped channels": (lambda x: pooled(x.view(-1, 2, 3, 8, 6)[:, :, 1]), 2, {}),
    "slice of rows": (lambda x: pooled(x[:, :, 1:-2]), 6, {}),
    "padding": (lambda x: pooled(F.pad(x, (1, 2, 0, 1))), 6, {}),
    "padding of channels": (lambda x: pooled(F.pad(x, (0, 0, 0, 0, 1, 2))), 9, {}),
    "reflection": (lambda x: pooled(F.pad(x, (1, 1, 1, 1), "reflect")), 6, {}),
    "channel shuffle": (lambda x: pooled(x.view(-1, 2, 3, 8, 6).transpose(1, 2).reshape(-1, 6, 8, 6).relu()), 6, {}),
    "constant a channel": (lambda x, e: pooled(x - e.weight.view(1, 6, 1, 1)), 6, {"e": nn.Embedding(1, 6)}),
    "constants of positions": (lambda x, e: (x.flatten(1) - e.weight) * 2 / 3, MAP, {"e": nn.Embedding(1, MAP)}),
    "flattened maps": (
        lambda x, n: torch.cat([F.max_pool2d(x, 2).flatten(1), n(x.flatten(1)), pooled(x)], 1),
        MAP + 72 + 6,
        {"n": nn.BatchNorm1d(MAP)},
    ),
    "two maps": (lambda x, c: pooled(x * torch.sigmoid(c(x))), 6, {"c": nn.Conv2d(6, 1, 1)}),
}

REFUSED = {
    "weights of the image": (lambda x: F.conv2d(x, x[:1, :, :3, :3]).flatten(1), 24, {}, "batch"),
    "an unknown operation": (lambda x: torch.roll(x, 1, 2).flatten(1), MAP, {}, "may mix the values of a whole window"),
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
    "padding in the head": (
        lambda x, c: c(x.mean(2, keepdim=True)).flatten(1),
        30,
        {"c": nn.Conv2d(6, 5, 1)},
        "rows or columns alone",
    ),
    "a part of the channels": (
        lambda x, f: f(x.permute(0, 2, 3, 1).reshape(-1, 8, 6, 2, 3)).flatten(1),
        8 * 6 * 2 * 5,
        {"f": nn.Linear(3, 5)},
        "part of the channels",
    ),
    "a squeezed row": (lambda x, f: f(x).flatten(1), 6 * 8 * 5, {"f": nn.Linear(6, 5)}, "part of the channels"),
    "half of the rows": (
        lambda x: x.view(-1, 6, 2, 4, 6).amax((3, 4)).flatten(1),
        12,
        {},
        "splits the batch, the rows or the columns",
    ),
    "the window's softmax": (lambda x: x.flatten(2).softmax(2).flatten(1), MAP, {}, "positions of the window"),
    "the window's statistics": (
        lambda x, n: n(x).flatten(1),
        MAP,
        {"n": nn.LayerNorm([6, 8, 6])},
        "statistics are those of a whole window",
    ),
    "a gate of the window": (
        lambda x: (x * pooled(x)[:, :, None, None]).flatten(1),
        MAP,
        {},
        "meets the map that it came from",
    ),
    "a slope for each position": (lambda x, p: p(x.flatten(1)), MAP, {"p": nn.PReLU(MAP)}, "slope for each position"),
    "a scale before a rectifier": (
        lambda x, n: n(x.flatten(1)).relu(),
        MAP,
        {"n": nn.BatchNorm1d(MAP)},
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
    "a constant beside the map": (
        lambda x, e: torch.cat([x, e.weight.expand(2, 1, 8, 6)], 1).flatten(1),
        7 * 48,
        {"e": nn.Embedding(8, 6)},
        "joins a constant",
    ),
    "flattened maps before a rectifier": (
        lambda x: torch.cat([F.max_pool2d(x, 2).flatten(1), x.flatten(1)], 1).relu(),
        MAP + 72,
        {},
        "maps of different kinds are joined",
    ),
    "flattened maps normalised": (
        lambda x, n: n(torch.cat([F.max_pool2d(x, 2).flatten(1), x.flatten(1)], 1)),
        MAP + 72,
        {"n": nn.BatchNorm1d(MAP + 72)},
        "maps of different kinds are joined",
    ),
    "rows joined": (
        lambda x: torch.cat([x, x], 2).flatten(1),
        2 * MAP,
        {},
        "joins along an axis that is not the channels",
    ),
    "positions sliced": (lambda x: x.flatten(1)[:, 3:], MAP - 3, {}, "slices the batch, or an axis that holds several"),
    "rows split": (lambda x: x.split(4, 2)[1].flatten(1), MAP // 2, {}, "an axis that is not channels"),
    "vectors padded": (lambda x: F.pad(pooled(x), (0, 1)), 7, {}, "pads axes that are not channels, rows and columns"),
    "new channels by broadcasting": (
        lambda x: (pooled(x)[:, :, None] * pooled(x)[:, None]).flatten(1),
        36,
        {},
        "broadcast",
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepts(name: str) -> None:
    function, features, parts = ACCEPTED[name]
    plan = plan_between(function, features, **parts)
    assert plan.tier == 1, plan.reasons
    assert plan.grid.stride_px[1] in (2, 4)


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    function, features, parts, reason = REFUSED[name]
    assert reason in find_reason(plan_between(function, features, **parts))


def test_a_convolution_keeps_its_attributes() -> None:
    plan = plan_between(*ACCEPTED["convolution"][:2], **ACCEPTED["convolution"][2])
    assert plan.steps[1].op == Conv((1, 1), ((0, 0), (0, 0)), (2, 2), 1)
    assert plan.guarantee == "image crops"


def test_padding_is_noted_with_its_node() -> None:
    plan = plan_between(*ACCEPTED["convolution, same"][:2], **ACCEPTED["convolution, same"][2])
    assert plan.guarantee == "feature windows"
    assert plan.padding == ("parts.c (aten.conv2d): pads rows by 1 and 2, pads columns by 1 and 2",)
    assert plan.margins_px == ((2, 4), (2, 4))


def test_rounding_up_is_noted() -> None:
    plan = plan_between(lambda x: pooled(F.max_pool2d(x, 3, 2, ceil_mode=True)), 6)
    assert plan.guarantee == "feature windows"
    assert "rounds up at the end of the rows" in plan.padding[0]


def test_rounding_up_that_changes_nothing_is_not() -> None:
    assert plan_between(lambda x: pooled(F.max_pool2d(x, 2, 2, ceil_mode=True)), 6).guarantee == "image crops"


def test_an_average_pool_of_the_whole_map_is_global() -> None:
    plan = plan_between(lambda x: F.avg_pool2d(x, (8, 6)).flatten(1), 6)
    assert plan.grid.stride_px == (2, 2)
    assert plan.feature_maps[0].extent == (8, 6)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("adaptive bins, other", BinPool),
        ("layer norm of channels", ChannelNorm),
        ("mean of channels", ChannelReduce),
        ("slice of rows", CropMap),
        ("channel shuffle", ShuffleChannels),
        ("split", SliceChannels),
        ("sum over all", WindowPool),
    ],
)
def test_steps(name: str, step: type) -> None:
    function, features, parts = ACCEPTED[name]
    plan = plan_between(function, features, **parts)
    assert any(isinstance(one.op, step) for one in plan.steps)


def test_folding_is_noted() -> None:
    plan = plan_between(*ACCEPTED["adaptive bins, linear"][:2])
    assert plan.layers[0].old_shape == (4, 72) and plan.layers[0].new_shape == (4, 6, 8, 6)
    assert plan.layers[0].note == "adaptive pooling folded in"


def test_the_head_keeps_the_windows_border() -> None:
    """Padding after one axis was contracted is the window's padding, so it runs on windows."""

    def head(x: torch.Tensor, f: nn.Module, c: nn.Module) -> torch.Tensor:
        columns = f(x.permute(0, 3, 1, 2).flatten(2)).transpose(1, 2)  # (N, 5, 6): rows are gone
        return c(columns.unsqueeze(2)).flatten(1)

    plan = plan_between(head, 30, f=nn.Linear(48, 5), c=nn.Conv2d(5, 5, (1, 3), padding=(0, 1)))
    assert "after the head began, where the border is the window's" in find_reason(plan)


def test_strides_of_windows_stop_at_one_cell() -> None:
    """What runs on windows still says how far apart they should lie: by its strides, as long as cells are left."""

    def gate(x: torch.Tensor, c: nn.Module, d: nn.Module) -> torch.Tensor:
        x = x * pooled(x)[:, :, None, None]  # from here on windows
        return d(d(d(c(x)))).flatten(1)

    down = nn.Conv2d(6, 6, 3, 2, 1)
    plan = plan_between(gate, 6, c=down, d=down)  # 8 x 6 cells, then 4 x 3, 2 x 2, 1 x 1, 1 x 1
    assert plan.tier == 2 and plan.grid.stride_px == (2 * 8, 2 * 8)
