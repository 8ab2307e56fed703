"""Where windows are cut: after the last arithmetic that can be shared, and before what only arranges its result."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from planning import plan_between


def gate(x: torch.Tensor) -> torch.Tensor:
    """Mixes a window."""
    return (x * torch.softmax(x.flatten(2), 2).view_as(x)).flatten(1)


def gate_parts(x: torch.Tensor) -> torch.Tensor:
    first, second, third = x.unflatten(1, (3, 2)).unbind(1)
    return gate(first * torch.cumsum(second, 2) + torch.cumsum(third, 2))


ARRANGED = {
    "padded": lambda x, c: gate(F.pad(c(x), (0, 1, 0, 2))),
    "permuted": lambda x, c: gate(c(x).permute(0, 2, 3, 1).contiguous()),
    "in three parts": lambda x, c: gate_parts(c(x)),
    "padded and projected": lambda x, c: gate(c(F.pad(c(x), (0, 1, 0, 2))).relu()),
    "every other row": lambda x, c: gate(c(x)[:, :, ::2]),
}


@pytest.mark.parametrize("name", ARRANGED)
def test_what_is_only_arranged_is_cut_once_and_before(name: str) -> None:
    features = {
        "padded": 6 * 10 * 7,
        "padded and projected": 6 * 10 * 7,
        "in three parts": 2 * 8 * 6,
        "every other row": 6 * 4 * 6,
    }.get(name, 6 * 8 * 6)
    plan = plan_between(ARRANGED[name], features, c=nn.Conv2d(6, 6, 1))
    assert plan.tier == 2
    (feature_map,) = plan.feature_maps
    assert feature_map.shape[1:] == (6, 8, 6)
    assert [cut.value for cut in plan.cuts] == [feature_map.value]
    assert plan.guarantee == "image crops"


def test_padding_that_a_kernel_mixes_with_the_map_is_shared() -> None:
    def mix(x: torch.Tensor, c: nn.Module) -> torch.Tensor:
        return gate(c(F.pad(x, (1, 1, 1, 1))))

    plan = plan_between(mix, 288, c=nn.Conv2d(6, 6, 3))
    assert (plan.guarantee, plan.feature_maps[0].shape[1:]) == ("feature windows", (6, 8, 6))


def test_arithmetic_is_shared_though_it_makes_a_second_cut() -> None:
    def mix(x: torch.Tensor, c: nn.Module) -> torch.Tensor:
        x = c(x)
        return gate(x + torch.cumsum(x.relu(), 2))

    plan = plan_between(mix, 288, c=nn.Conv2d(6, 6, 1))
    assert len(plan.cuts) == 2
