"""Plans of small modules, for tests of single rules."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

import fullyconv
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


def check_crops(function: Callable[..., torch.Tensor], features: int, parts: dict[str, nn.Module]) -> None:
    """Fails unless the network converts as a whole and gives, in float64, what it gives for each crop."""
    torch.manual_seed(0)
    model = Between(function, features, **parts).double().eval()
    dense = fullyconv.convert(model, WINDOW)
    assert (dense.report.tier, dense.report.guarantee) == (1, "image crops"), dense.report
    images = torch.randn(2, 3, 22, 19, dtype=torch.float64)
    y, x = dense.grid.stride_px
    with torch.no_grad():
        scores = dense(images)
        assert scores.shape[2:] == (5 // y + 1, 6 // x + 1)
        for i in range(scores.shape[2]):
            for j in range(scores.shape[3]):
                crops = images[:, :, i * y : i * y + WINDOW[0], j * x : j * x + WINDOW[1]]
                torch.testing.assert_close(scores[..., i, j], model(crops), rtol=1e-10, atol=1e-10)
