"""The dial between speed and crops."""

from __future__ import annotations

import pytest
import torch

import zoo
from fullyconv.errors import FollowError, OptionError
from fullyconv.verify.tradeoff import TradeoffSettings, measure_tradeoff


def make_image() -> torch.Tensor:
    return torch.randn(1, 3, 90, 110, generator=torch.Generator().manual_seed(0))


def test_from_crops_to_the_dense_network() -> None:
    entry = zoo.ZOO["resnet"]
    told: list[tuple[int, int]] = []
    points = measure_tradeoff(
        zoo.build("resnet"), entry.window, make_image(), progress=lambda done, total: told.append((done, total))
    )
    assert points[0].windowed_from == "image" and points[0].shared == 0
    assert points[0].mean_difference < 1e-6 and points[0].top1_agreement == 1
    assert points[-1].windowed_from is None and points[-1].shared == 1
    assert points[-1].mean_difference > 1e-3
    shares = [point.shared for point in points]
    assert shares == sorted(shares) and len(set(shares)) == len(shares)
    costs = [point.macs_per_window for point in points]
    assert costs == sorted(costs, reverse=True)
    # 8 x 8 pixels of 32 x 48 are new in each window, and nothing else is computed
    assert costs[-1] == pytest.approx(costs[0] * 64 / (32 * 48))
    assert told == [(i + 1, len(points)) for i in range(len(points))]


def test_as_many_splits_as_asked_for() -> None:
    settings = TradeoffSettings(splits=3, windows_per_image=4)
    points = measure_tradeoff(zoo.build("resnet"), (32, 48), make_image(), settings=settings)
    assert points[0].windowed_from == "image"
    assert len(points) == 3 and points[0].windows == 4


def test_unpadded_networks_lose_nothing() -> None:
    entry = zoo.ZOO["plain"]
    image = torch.randn(1, 1, 60, 70)
    points = measure_tradeoff(zoo.build("plain"), entry.window, image, settings=TradeoffSettings(splits=3))
    assert max(point.mean_difference for point in points) < 1e-5


def test_settings_make_sense() -> None:
    with pytest.raises(OptionError, match="at least 2 splits and 2 windows"):
        TradeoffSettings(splits=1)


def test_what_runs_on_crops_only_has_no_splits() -> None:
    mixing = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4, track_running_stats=False)).eval()
    with pytest.raises(FollowError, match="there are no places to choose from: a window's scores depend on the other"):
        measure_tradeoff(mixing, (9, 8), make_image())
