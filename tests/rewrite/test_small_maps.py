"""Operations over rows and columns of which a window has one: they do nothing there, and belong to the head."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import fullyconv

LAST: dict[str, Callable[[Tensor], Tensor]] = {
    "gate": lambda x: x * x.mean((2, 3), keepdim=True).sigmoid(),
    "norm": lambda x: x / x.norm(dim=(2, 3), keepdim=True).add(1),
    "groups": lambda x: F.group_norm(x, 2),
    "layer": lambda x: F.layer_norm(x, [6, 1, 1]),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, 1).tanh(),
}


class OneCell(nn.Module):
    """A trunk that makes one cell of a window, then something over all cells, then a convolution."""

    def __init__(self, last: Callable[[Tensor], Tensor], padding: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 6, 4, 2), nn.ReLU(), nn.Conv2d(6, 6, 4, 2))
        self.last = last
        self.conv = nn.Conv2d(6, 5, 1 + 2 * padding, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.last(self.trunk(x))).amax((2, 3))


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("name", LAST)
def test_the_head_begins_there(name: str, padding: int) -> None:
    torch.manual_seed(0)
    model = OneCell(LAST[name], padding).eval()
    dense = fullyconv.convert(model, (10, 10))
    assert (dense.report.tier, dense.report.guarantee) == (1 + padding, "image crops")
    assert all("after the head began" in reason for reason in dense.report.reasons)
    report = fullyconv.verify(dense, model)
    assert report.passed, str(report)
    assert not report.notes
