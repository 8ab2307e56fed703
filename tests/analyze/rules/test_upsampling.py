"""Maps made finer by repeating cells and by interpolating."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fullyconv
from fullyconv.analyze import make_plan
from fullyconv.capture.torch_export import capture
from fullyconv.graph import Upsample
from planning import MAP, WINDOW, Between, check_crops, check_refused, find_reason, plan_between, pooled


def deep() -> nn.Module:
    return nn.Conv2d(6, 6, 2, 2)


def up(x: torch.Tensor, mode: str = "nearest", **how: object) -> torch.Tensor:
    return F.interpolate(x, mode=mode, **({"scale_factor": 2} | how))


def expand(x: torch.Tensor) -> torch.Tensor:
    return x[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 2)


# What is done to a map of 8 x 6 cells of 2 x 2 pixels; the linear layer's features; its parts.
EXACT = {
    "back to pixels": (lambda x: pooled(up(x).tanh()), 6, {}),
    "by a size": (lambda x: pooled(up(x, scale_factor=None, size=(16, 12)).tanh()), 6, {}),
    "of the exact kind": (lambda x: pooled(up(x, "nearest-exact").tanh()), 6, {}),
    "rows alone": (lambda x: pooled(up(x, scale_factor=(2, 1)).tanh()), 6, {}),
    "beside what it was": (lambda x, d: pooled((x + up(d(x))).relu()), 6, {"d": deep()}),
    "joined to what it was": (lambda x, d: torch.cat([up(d(x)), x], 1).flatten(1), 2 * MAP, {"d": deep()}),
    "in two steps": (
        lambda x, d: pooled((x - up(up(d(x), scale_factor=(2, 1)), scale_factor=(1, 2))).abs()),
        6,
        {"d": deep()},
    ),
    "of one row": (
        lambda x, d: pooled((x * up(d(x), scale_factor=(8, 2))).relu()),
        6,
        {"d": nn.Conv2d(6, 6, (8, 2), (8, 2))},
    ),
    "rows that are not powers of two": (
        lambda x, d: pooled((x * up(d(x), scale_factor=(4, 3))).relu()),
        6,
        {"d": nn.Conv2d(6, 6, (4, 3), (4, 3))},
    ),
    "then slid over": (lambda x, d, e: e(up(d(x))).amax((2, 3)), 5, {"d": deep(), "e": nn.Conv2d(6, 5, 3, 2)}),
    "one column after the other": (lambda x: pooled(x.repeat_interleave(2, 3).tanh()), 6, {}),
    "columns of tokens": (lambda x: x.permute(0, 2, 3, 1).repeat_interleave(2, 2).softmax(3).mean((1, 2)), 6, {}),
    "by hand": (
        lambda x, d: pooled((x + expand(d(x)).flatten(4).flatten(2, 3)).relu()),
        6,
        {"d": deep()},
    ),
    "a factor of one": (lambda x: pooled(up(x, "bilinear", scale_factor=1).tanh()), 6, {}),
    "as exported programs spell it": (
        lambda x: pooled(torch.ops.aten.upsample_nearest2d.default(x, [16, 12], 2.0).tanh()),
        6,
        {},
    ),
    "columns of a pooled row": (
        lambda x: up(x.amax(2, keepdim=True), scale_factor=(1, 2)).softmax(1).flatten(1),
        72,
        {},
    ),
    "finer, then folded": (lambda x: pooled(F.pixel_unshuffle(up(x).tanh(), 4)), 96, {}),
    "every other one of them": (lambda x: pooled(up(x)[:, :, ::2, 1::2].tanh()), 6, {}),
}

REFUSED = {
    "to a third": (lambda x: up(x, scale_factor=None, size=(12, 9)).mean((2, 3)), 6, {}, "by no whole factor"),
    "to a smaller map": (lambda x: up(x, scale_factor=0.5).mean((2, 3)), 6, {}, "by no whole factor"),
    "by a factor that only rounds to a whole one": (
        lambda x: up(x, scale_factor=(2.1, 2.0)).mean((2, 3)),
        6,
        {},
        "by no whole factor",
    ),
    "by one factor that only rounds to a whole one": (
        lambda x: torch.ops.aten.upsample_nearest2d.default(x, [16, 12], None, 2.1).mean((2, 3)),
        6,
        {},
        "by no whole factor",
    ),
    "no rows": (lambda x: x[:, :, []].sum((2, 3)), 6, {}, "puts rows, columns or the batch in another order"),
    "by a factor that float32 misses": (
        lambda x, d: up(d(x), scale_factor=(41, 1)).mean((2, 3)),
        6,
        {"d": deep()},
        "by no whole factor",
    ),
    "corner to corner": (lambda x: up(x, "bilinear", align_corners=True).mean((2, 3)), 6, {}, "not from the middle"),
    "interpolated to thrice as many": (
        lambda x, d: up(d(x), "bilinear", scale_factor=3).amax((2, 3)),
        6,
        {"d": nn.Conv2d(6, 6, 3, 3)},
        "no power of two",
    ),
    "smaller than a pixel": (lambda x: up(x, scale_factor=4).amax((2, 3)), 6, {}, "smaller than a pixel"),
    "interpolated in the head": (
        lambda x: up(F.adaptive_max_pool2d(x, (8, 6)), "bilinear").amax((2, 3)),
        6,
        {},
        "after the head began",
    ),
    "a pooled vector": (
        lambda x: (x + up(x.mean((2, 3), keepdim=True), scale_factor=None, size=(8, 6))).amax((2, 3)),
        6,
        {},
        "a value of the whole window is spread over the map",
    ),
    "a pooled row": (
        lambda x: (x + up(x.amax(2, keepdim=True), scale_factor=(8, 1))).amax((2, 3)),
        6,
        {},
        "a value of the whole window meets the map",
    ),
    "columns in turns": (
        lambda x: pooled(x.repeat(1, 1, 1, 2)),
        6,
        {},
        "puts rows, columns or the batch in another order",
    ),
    "repeated rows smaller than a pixel": (
        lambda x: pooled(x.repeat_interleave(4, 2)),
        6,
        {},
        "smaller than a pixel",
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_repeated_cells_equal_crops(name: str) -> None:
    check_crops(*EXACT[name])


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    check_refused(*REFUSED[name])


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_interpolation_pads(mode: str) -> None:
    """At the border it is otherwise than within the image, like a padded convolution."""

    def refine(x: torch.Tensor, d: nn.Module) -> torch.Tensor:
        return (x + up(d(x), mode)).amax((2, 3))

    torch.manual_seed(0)
    model = Between(refine, 6, d=deep()).eval()
    dense = fullyconv.convert(model, WINDOW)
    assert (dense.report.tier, dense.report.guarantee) == (1, "feature windows")
    reach = 1 if mode == "bilinear" else 2
    assert [f"pads rows by {reach} and {reach}" in line for line in dense.report.guarantee_reasons] == [True]
    report = fullyconv.verify(dense, model)
    assert report.passed, str(report)
    images = torch.randn(1, 3, 33, 29, dtype=torch.float64)
    cells, window = dense.to(torch.float64)(images)[0, :, 2, 2], images[:, :, 8:25, 8:21]
    assert (cells - model.double()(window)[0]).abs().max() > 1e-4  # only feature windows are promised


def test_scores_at_the_least_stride_at_which_windows_are_alike() -> None:
    plan = plan_between(lambda x, d: pooled((x + up(d(x))).relu()), 6, d=deep())
    assert (plan.tier, plan.grid.stride_px, plan.align) == (1, (4, 4), True)
    assert [step.op for step in plan.steps if isinstance(step.op, Upsample)] == [Upsample("nearest", (2, 2))]


def test_counts_on_windows_too() -> None:
    """After a gate the stride is estimated: that of the finer cells, and not of the coarser ones."""

    def refine(x: torch.Tensor, d: nn.Module) -> torch.Tensor:
        return pooled(up(d(x * pooled(x)[:, :, None, None])).relu())

    plan = plan_between(refine, 6, d=deep())
    assert "a value of the whole window meets the map" in find_reason(plan)
    assert plan.grid.stride_px == (2, 2)


def test_a_gate_that_is_resized_can_be_approximated() -> None:
    def gate(x: torch.Tensor, d: nn.Module) -> torch.Tensor:
        return (x * up(d(x.mean((2, 3), keepdim=True)), scale_factor=None, size=(8, 6)).sigmoid()).amax((2, 3))

    torch.manual_seed(0)
    graph = capture(Between(gate, 6, d=nn.Conv2d(6, 6, 1)).eval(), WINDOW).graph
    assert make_plan(graph).tier == 2
    assert make_plan(graph, approximate=frozenset({"squeeze-excitation"})).tier == 3
