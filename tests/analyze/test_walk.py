"""The walk: what no rule knows, nominal strides, and which steps come out."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fullyconv.analyze.plan import BinPool, ChannelNorm, ChannelReduce, CropMap, ShuffleChannels, SliceChannels
from fullyconv.graph import WindowPool
from planning import MAP, check_refused, plan_between, pooled


def test_an_unknown_operation_runs_on_windows() -> None:
    check_refused(lambda x: torch.cumprod(x, 2).flatten(1), MAP, {}, "may mix the values of a whole window")


STEPS = {
    BinPool: (lambda x: F.adaptive_avg_pool2d(x, (3, 4)).relu().flatten(1), 72, {}),
    ChannelNorm: (lambda x, n: pooled(n(x.transpose(1, 3)).transpose(1, 3)), 6, {"n": nn.LayerNorm(6)}),
    ChannelReduce: (lambda x: x.mean(1, keepdim=True).flatten(1), 48, {}),
    CropMap: (lambda x: pooled(x[:, :, 1:-2]), 6, {}),
    ShuffleChannels: (lambda x: pooled(x.view(-1, 2, 3, 8, 6).transpose(1, 2).reshape(-1, 6, 8, 6).relu()), 6, {}),
    SliceChannels: (lambda x: pooled(torch.split(x, [2, 4], 1)[1]), 4, {}),
    WindowPool: (lambda x: x.sum((1, 2, 3)).unsqueeze(1), 1, {}),
}


@pytest.mark.parametrize("step", STEPS)
def test_steps(step: type) -> None:
    function, features, parts = STEPS[step]
    plan = plan_between(function, features, **parts)
    assert any(isinstance(one.op, step) for one in plan.steps)


def test_strides_of_windows_stop_at_one_cell() -> None:
    """What runs on windows still says how far apart they should lie: by its strides, as long as cells are left."""

    def gate(x: torch.Tensor, c: nn.Module, d: nn.Module) -> torch.Tensor:
        x = x * pooled(x)[:, :, None, None]  # from here on windows
        return d(d(d(c(x)))).flatten(1)

    down = nn.Conv2d(6, 6, 3, 2, 1)
    plan = plan_between(gate, 6, c=down, d=down)  # 8 x 6 cells, then 4 x 3, 2 x 2, 1 x 1, 1 x 1
    assert plan.tier == 2 and plan.grid.stride_px == (2 * 8, 2 * 8)
