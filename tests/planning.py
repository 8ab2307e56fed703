"""Plans of small modules, for tests of single rules."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from fullyconv.analyze import Plan, make_plan
from fullyconv.capture.torch_export import capture


class Between(nn.Module):
    """A function between an unpadded convolution, which makes a 6-channel map, and a pooled linear layer or not."""

    def __init__(self, function: Callable[..., torch.Tensor], features: int, **parts: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, 2)
        self.function = function
        self.parts = nn.ModuleDict(parts)
        self.fc = nn.Linear(features, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.function(self.stem(x), **self.parts))


WINDOW = (17, 13)  # the stem makes it a map of 8 x 6 cells
MAP = 6 * 8 * 6  # values of that map


def pooled(x: torch.Tensor) -> torch.Tensor:
    """Returns the mean of each channel."""
    return x.mean((2, 3))


def plan_between(function: Callable[..., torch.Tensor], features: int, **parts: nn.Module) -> Plan:
    """Returns the plan of `function` between a stem and a linear layer over `features`."""
    torch.manual_seed(0)
    return make_plan(capture(Between(function, features, **parts).eval(), WINDOW).graph)


def find_reason(plan: Plan) -> str:
    """Returns the one reason why part of a network runs on windows."""
    assert plan.tier == 2
    (reason,) = plan.reasons
    return reason


def check_accepted(function: Callable[..., torch.Tensor], features: int, parts: dict[str, nn.Module]) -> None:
    """Fails if any part of the network runs on windows."""
    plan = plan_between(function, features, **parts)
    assert plan.tier == 1, plan.reasons
    assert plan.grid.stride_px[1] in (2, 4)


def check_refused(
    function: Callable[..., torch.Tensor], features: int, parts: dict[str, nn.Module], reason: str
) -> None:
    """Fails if nothing runs on windows, or for another reason."""
    assert reason in find_reason(plan_between(function, features, **parts))
