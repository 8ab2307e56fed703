"""Classifiers of the zoo with norms by their own statistics, and gates of channels by their neighbours."""

from __future__ import annotations

import torch
from torch import nn


def norms_of_windows() -> nn.Module:
    """Statistics of the whole map: tier 2."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.GroupNorm(2, 8), nn.ReLU(), nn.Conv2d(8, 6, 3, 2, 1),
        nn.InstanceNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5),
    )  # fmt: skip


def norms_of_vectors() -> nn.Module:
    """Statistics of channels alone, before and after the pool, and fixed ones: tier 1."""
    fixed = nn.InstanceNorm2d(6, affine=True, track_running_stats=True)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 2), fixed, nn.ReLU(), nn.Conv2d(6, 12, 3, 2), NormOfParts(), nn.Conv2d(12, 8, 1),
        nn.AdaptiveMaxPool2d((2, 1)), nn.GroupNorm(2, 8), nn.Flatten(), nn.Linear(16, 12), nn.GroupNorm(2, 12),
        nn.ReLU(), nn.Linear(12, 5),
    )  # fmt: skip


class NormOfParts(nn.Module):
    """A layer norm of groups of channels, whose scales the groups share."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm([2, 3])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        parts = x.permute(0, 2, 3, 1).reshape(n, h, w, c // 6, 2, 3)
        return self.norm(parts).reshape(n, h, w, c).permute(0, 3, 1, 2)


class ChannelGate(nn.Module):
    """A gate whose channels look at their neighbours, by a 1-D convolution."""

    def __init__(self, mode: str = "zeros") -> None:
        super().__init__()
        self.along = nn.Conv1d(1, 1, 3, padding=1, padding_mode=mode, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = self.along(x.mean((2, 3)).view(x.shape[0], 1, -1)).sigmoid()
        return x * gate.view(x.shape[0], -1, 1, 1).expand_as(x)


def channel_gates() -> nn.Module:
    """A gate in the trunk: tier 2."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.ReLU(), ChannelGate(), nn.Conv2d(8, 6, 3, 2), ChannelGate("circular"), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5),
    )  # fmt: skip


# Maker, window, tier, guarantee and stride.
STATISTICS = {
    "norms_of_windows": (norms_of_windows, (25, 33), 2, "image crops", (4, 4)),
    "norms_of_vectors": (norms_of_vectors, (23, 31), 1, "image crops", (4, 4)),
    "channel_gates": (channel_gates, (23, 31), 2, "image crops", (4, 4)),
}
