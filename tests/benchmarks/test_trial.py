"""A trial's row says what happened, whatever it was, and the weights are such that a fault shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from classifiers import Case, Classifier
from classifiers.weights import randomise
from torch import nn
from trial import TrialSettings, try_case

import zoo

SETTINGS = TrialSettings(windows=2)


def try_module(module: Callable[[], nn.Module], window: tuple[int, int], **options: Any) -> dict[str, Any]:
    return try_case(Case("small", "a", lambda: Classifier(module(), window, **options)), SETTINGS)


def test_a_right_conversion() -> None:
    row = try_module(zoo.alexnet, (63, 47))
    assert row["outcome"] == "right", row
    assert (row["tier"], row["guarantee"], row["window"]) == (1, "feature windows", (63, 47))
    assert row["errors"]["feature windows"]["float64"] < 1e-7  # the folded pooling is kept in float32
    assert row["errors"]["window"]["float32"] < 2e-5


def test_one_window_is_enough_when_quick() -> None:
    case = Case("small", "a", lambda: Classifier(zoo.alexnet(), (63, 47)))
    row = try_case(case, TrialSettings(quick=True))
    assert row["outcome"] == "right"
    assert set(row["errors"]) == {"window"}


class Deaf(nn.Module):
    """Gives every image the same scores."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * 0).mean((2, 3)) + torch.arange(3.0)


def test_scores_that_say_nothing_of_the_image_are_invalid() -> None:
    row = try_module(Deaf, (8, 8))
    assert row["outcome"] == "invalid"
    assert "two images give the same scores" in row["message"]


class Cancelling(nn.Module):
    """Its scores are what is left of two large numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.conv(x) + 3e5).mean((2, 3)) - 3e5


def test_scores_that_are_rounding_are_invalid() -> None:
    row = try_module(Cancelling, (8, 8))
    assert row["outcome"] == "invalid"
    assert "the original's own float32 is off" in row["message"]


class Fickle(nn.Module):
    """Its scores change from call to call, so nothing can equal them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.calls = nn.Conv2d(3, 4, 3), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.conv(x).mean((2, 3)) * (1 + 1e-4 * (self.calls % 7))


def test_a_wrong_conversion() -> None:
    row = try_module(Fickle, (8, 8))
    assert row["outcome"] == "wrong"
    assert "float64" in row["message"]


def fail() -> nn.Module:
    raise RuntimeError("no such model")


def test_what_cannot_be_made_or_run() -> None:
    assert try_module(fail, (8, 8))["message"] == "RuntimeError: no such model"
    row = try_module(lambda: nn.Conv2d(1, 1, 3), (8, 8))
    assert row["outcome"] == "invalid"
    assert "channels" in row["message"]


def test_weights_that_are_neutral_become_lively() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()]
    module = nn.Sequential(
        *layers, *[nn.Conv2d(8, 8, 3, padding=1) for _ in range(12)], nn.Flatten(), nn.Linear(288, 5)
    )
    images = torch.randn(2, 3, 8, 8)
    nn.init.zeros_(module[-1].weight)
    randomise(module, images, seed=0)
    with torch.no_grad():
        scores = module(images)
    assert 0.1 < float((scores[0] - scores[1]).abs().max()) < 10
    assert float(module[1].weight.detach().std()) > 0.1
    assert not module.training


@pytest.mark.parametrize("seed", [0, 1])
def test_weights_depend_on_the_seed_alone(seed: int) -> None:
    def make(seed: int) -> torch.Tensor:
        torch.manual_seed(0)
        module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        return randomise(module, images, seed)[1].weight

    assert torch.equal(make(seed), make(seed))
    assert not torch.equal(make(seed), make(seed + 1))
