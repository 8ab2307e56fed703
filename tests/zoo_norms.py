"""Classifiers of the zoo that normalise by sums over channels, pool by powers, or multiply by named axes."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class AcrossChannels(nn.Module):
    """Response normalisation as networks ported from Caffe spell it."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.average = nn.AvgPool3d((size, 1, 1), stride=1, padding=(size // 2, 0, 0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = self.average(x.pow(2).unsqueeze(1)).squeeze(1)
        return x / (mean.mul(0.3) + 1).pow(0.75)


def response_norms() -> nn.Module:
    """AlexNet's kind: response normalisation across an even and an odd number of channels."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.LocalResponseNorm(4, alpha=0.5, k=2.0), nn.MaxPool2d(3, 2),
        nn.Conv2d(8, 12, 3, padding=1, groups=2), nn.ReLU(), AcrossChannels(5), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(12 * 4 * 6, 9), nn.Unflatten(1, (9, 1)), nn.LocalResponseNorm(3, alpha=0.2), nn.Flatten(),
        nn.Linear(9, 4),
    )  # fmt: skip


class Metric(nn.Module):
    """Unit vectors in each cell, a generalised mean, and the cosines to a few directions."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 10, 3, 2))
        self.power = nn.Parameter(torch.tensor([2.7]))
        self.directions = nn.Parameter(torch.randn(5, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.trunk(x)
        x = F.normalize(x, dim=1) + x / x.norm(p=1, dim=1, keepdim=True)
        x = x - torch.linalg.vector_norm(x, ord=float("inf"), dim=1, keepdim=True) / 3
        x = x.clamp(min=1e-3).pow(self.power).mean((2, 3)).pow(1.0 / self.power)
        return 16 * F.linear(F.normalize(x), F.normalize(self.directions))


class HandNorms(nn.Module):
    """Normalisations of each cell, and of the pooled vector, by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.more, self.fc = nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 8, 3), nn.Linear(8, 4)
        self.rms, self.last = nn.RMSNorm(8), nn.RMSNorm(8, eps=1e-3)
        self.weight = nn.Parameter(torch.rand(8, 1, 1) + 0.5)
        for norm in (self.rms, self.last):
            nn.init.uniform_(norm.weight, 0.5, 1.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = (x - x.mean(1, keepdim=True)) * self.weight / torch.sqrt(x.var(1, keepdim=True, unbiased=False) + 1e-6)
        variance, mean = torch.var_mean(self.more(x), 1, keepdim=True)
        x = (self.more(x) - mean) * torch.rsqrt(variance + 1e-6)
        x = self.rms(x.movedim(1, -1)).movedim(-1, 1).amax((2, 3))
        deviation, mean = torch.std_mean(x, -1, keepdim=True)
        return self.fc(self.last((x - mean) / deviation))


class NamedAxes(nn.Module):
    """Products written with named axes: of each cell, of the whole map, of vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.cells = nn.Conv2d(3, 6, 3, 2), nn.Conv1d(8, 5, 1)
        self.mix, self.whole = nn.Parameter(torch.randn(8, 6)), nn.Parameter(torch.randn(7, 5, 48) * 0.1)
        self.last = nn.Parameter(torch.randn(2, 7, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.einsum("nchw,dc->ndhw", self.stem(x), self.mix).relu()
        x = self.cells(x.flatten(2)).relu()
        x = torch.einsum("kcl,ncl->nk", self.whole, x).tanh()
        return torch.einsum("...c,acb->...ab", x, self.last).flatten(1)


def power_pools() -> nn.Module:
    """Pools by powers in the trunk, and as a head one of each kind."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.LPPool2d(2, 2), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.ReLU(), nn.LPPool2d(3.0, 2, 1), Pools()
    )


class Pools(nn.Module):
    """What people pool a window by: smooth and hard extremes, spread, length."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(36, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = (
            x.mean((2, 3)),
            x.amax((2, 3)),
            x.std((2, 3)),
            x.logsumexp((2, 3)),
            x.amin((2, 3)),
            x.norm(dim=(2, 3)),
        )
        return self.fc(torch.cat(pooled, 1))


class Blurred(nn.Module):
    """A pool that blurs: reflecting padding, a fixed kernel, a stride."""

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.stem, self.fc = nn.Conv2d(3, 6, 3), nn.Linear(6, 4)
        self.register_buffer("kernel", (line[:, None] * line).repeat(6, 1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(self.stem(x).relu(), 2, stride=1)
        x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), self.kernel, stride=2, groups=6)
        return self.fc(x.logsumexp(1, keepdim=True).sub(x).mean((2, 3)))


class WholeNorm(nn.Module):
    """Divides the map by its own length: the windowed head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.fc = nn.Conv2d(3, 6, 3, 2), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.fc((x / torch.linalg.vector_norm(x, dim=(1, 2, 3), keepdim=True)).amax((2, 3)))


# Name: the network, its window, and what its conversion must say: tier, guarantee, stride.
NORMS = {
    "response_norms": (response_norms, (41, 57), 1, "feature windows", (8, 8)),
    "metric": (Metric, (23, 31), 1, "image crops", (4, 4)),
    "hand_norms": (HandNorms, (17, 21), 1, "image crops", (2, 2)),
    "named_axes": (NamedAxes, (17, 13), 1, "image crops", (2, 2)),
    "power_pools": (power_pools, (20, 24), 1, "image crops", (2, 2)),
    "blurred": (Blurred, (16, 20), 1, "feature windows", (2, 2)),
    "whole_norm": (WholeNorm, (17, 13), 2, "image crops", (2, 2)),
}
