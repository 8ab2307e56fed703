"""Regions within a forward: in line where they change no value, refused with the reason where they do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch
from torch import nn

import fullyconv
from fullyconv.capture.torch_export import capture
from fullyconv.errors import FollowError

Region = Callable[[], AbstractContextManager[object]]


class Within(nn.Module):
    """Does part of its forward within one region and part of that within another."""

    def __init__(self, outer: Region, inner: Region) -> None:
        super().__init__()
        self.outer, self.inner = outer, inner
        self.stem, self.more, self.fc = nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 5, 3), nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        with self.outer():
            x, beside = torch.relu(x), x * 2
            with self.inner():
                x = self.more(x + beside).float()
        return self.fc(x.mean((2, 3)))


def autocast(enabled: bool) -> Region:
    return lambda: torch.autocast("cpu", torch.bfloat16, enabled=enabled)


@pytest.mark.parametrize("outer", [autocast(enabled=False), torch.enable_grad, torch.no_grad])
@pytest.mark.parametrize("inner", [autocast(enabled=False), torch.enable_grad, torch.no_grad])
def test_what_changes_no_value_is_put_in_line(outer: Region, inner: Region) -> None:
    torch.manual_seed(0)
    model = Within(outer, inner).eval()
    dense = fullyconv.convert(model, (17, 21))
    assert (dense.report.tier, dense.report.guarantee) == (1, "image crops")
    report = fullyconv.verify(dense, model)
    assert report.passed, report


def test_autocast_that_is_switched_on_is_refused() -> None:
    with pytest.raises(FollowError, match=r"\(torch.autocast\): expected a forward that leaves number types alone"):
        capture(Within(autocast(enabled=True), torch.no_grad).eval(), (17, 21))


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).mean((2, 3))
        return torch.cond(x.sum() > 0, self.fc, lambda v: self.fc(v) * 2, (x,))


def test_branches_are_refused() -> None:
    with pytest.raises(FollowError, match=r"\(torch.cond\): expected a forward that does the same for every image"):
        capture(Branching().eval(), (9, 9))
