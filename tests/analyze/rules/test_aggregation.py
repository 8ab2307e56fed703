"""Norms, variances and other statistics: of each cell, and of the window."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fullyconv
from planning import MAP, WINDOW, Between, check_crops, check_refused, pooled


def with_scale(norm: nn.RMSNorm) -> nn.RMSNorm:
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    return norm


def standardise(x: torch.Tensor) -> torch.Tensor:
    deviation, mean = torch.std_mean(x, 1, keepdim=True)
    return pooled((x - mean) / deviation)


def over_area(x: torch.Tensor) -> torch.Tensor:
    return torch.cat([part.flatten(1) for part in torch.var_mean(x, (2, 3), keepdim=True)], 1)


CELLS = {
    "length": lambda x: pooled(F.normalize(x)),
    "sum of absolute values": lambda x: pooled(x / x.norm(p=1, dim=1, keepdim=True)),
    "largest absolute value": lambda x: pooled(F.normalize(x, p=float("inf"), dim=-3)),
    "smallest absolute value": lambda x: pooled(x * torch.linalg.vector_norm(x, -float("inf"), 1, keepdim=True)),
    "number that differ from zero": lambda x: pooled(x / torch.linalg.vector_norm(x.relu(), 0, 1, True).clamp(min=1)),
    "length without an order": lambda x: pooled(x - torch.linalg.norm(x, dim=1, keepdim=True)),
    "length by an older name": lambda x: pooled(x - torch.ops.aten.norm.ScalarOpt_dim(x, None, [1], True)),
    "length of channels last": lambda x: pooled(F.normalize(x.permute(0, 2, 3, 1), dim=-1).permute(0, 3, 1, 2)),
    "length of shuffled channels": lambda x: pooled(F.normalize(x.view(-1, 2, 3, 8, 6).transpose(1, 2).flatten(1, 2))),
    "variance": lambda x: pooled(x / x.var(1, keepdim=True)),
    "variance of the whole population": lambda x: pooled(x / x.var(1, unbiased=False).unsqueeze(1)),
    "variance in two keywords": lambda x: pooled(x / x.var((1,), correction=0, keepdim=True)),
    "deviation": lambda x: pooled(x / x.std(-3, keepdim=True)),
    "deviation and mean": standardise,
    "smoothed maximum": lambda x: pooled(x - x.logsumexp(1, keepdim=True)),
    "minimum": lambda x: pooled(x - x.amin(1, keepdim=True)),
    "minimum with its place": lambda x: pooled(x - x.min(1, keepdim=True)[0]),
    "smaller of two": lambda x: pooled(torch.min(x, x * x)),
    "product": lambda x: pooled(x + x.prod(1, keepdim=True)),
    "length of one channel": lambda x: pooled(x / (x[:, :1].norm(dim=1, keepdim=True) + 1)),
    "length of the pooled vector": lambda x: F.normalize(pooled(x)),
    "length of single cells": lambda x: x.mean((2, 3), keepdim=True).norm(dim=(2, 3)),
    "deviation of the pooled vector": lambda x: pooled(x) / pooled(x).std(1, keepdim=True),
}

WINDOWS = {
    "variance of rows and columns": (lambda x: x.var((2, 3)), 6),
    "deviation of the whole population": (lambda x: x.std((2, 3), correction=0), 6),
    "variance and mean": (over_area, 12),
    "variance of flattened cells": (lambda x: x.flatten(2).var(-1), 6),
    "deviation of rows": (lambda x: x.std(2).flatten(1), 36),
    "length of columns": (lambda x: x.norm(dim=3).amax(2), 6),
    "length of all": (lambda x: torch.linalg.vector_norm(x, dim=(1, 2, 3)).unsqueeze(1), 1),
    "norm of each channel's matrix": (lambda x: torch.linalg.norm(x, dim=(2, 3)), 6),
    "variance of all": (lambda x: x.var((1, 2, 3), keepdim=True).flatten(1), 1),
    "smoothed maximum": (lambda x: x.logsumexp((2, 3)), 6),
    "smoothed maximum of all": (lambda x: x.logsumexp((1, 2, 3)).unsqueeze(1), 1),
    "minimum": (lambda x: x.amin((2, 3)), 6),
    "product of cells": (lambda x: x.flatten(2).prod(2), 6),
    "squares over a coarser map": (lambda x: F.max_pool2d(x, 2).std((2, 3)) + F.max_pool2d(x, 2).norm(dim=(2, 3)), 6),
}

ROOT_MEAN_SQUARES = {
    "of channels": (lambda x, n: pooled(n(x.movedim(1, -1)).movedim(-1, 1)), {"n": with_scale(nn.RMSNorm(6))}),
    "with its own eps": (lambda x, n: n(pooled(x)), {"n": with_scale(nn.RMSNorm(6, eps=0.1))}),
    "without a scale": (lambda x, n: n(pooled(x)), {"n": nn.RMSNorm(6, elementwise_affine=False)}),
}

REFUSED = {
    "a norm in another precision": (
        lambda x: torch.linalg.vector_norm(x, dim=(2, 3), dtype=torch.float64).float(),
        6,
        {},
        "may mix the values of a whole window",
    ),
    "a norm of matrices": (
        lambda x: torch.linalg.norm(x, 2, dim=(2, 3)),
        6,
        {},
        "may mix the values of a whole window",
    ),
    "a correction for few values": (
        lambda x: x.var((2, 3), correction=2),
        6,
        {},
        "may mix the values of a whole window",
    ),
    "the place of the minimum": (
        lambda x: x.flatten(2).min(-1)[1].float(),
        6,
        {},
        "may mix the values of a whole window",
    ),
    "the batch": (lambda x: pooled(x) / x.norm(), 6, {}, "takes a statistic over the batch"),
    "the batch's variance": (lambda x: pooled(x) / x.var(0).sum(), 6, {}, "takes a statistic over the batch"),
    "the batch's deviation and mean": (
        lambda x: pooled(x) - torch.std_mean(x, dim=0)[1].sum(),
        6,
        {},
        "takes a statistic over the batch",
    ),
    "a part of the channels": (
        lambda x: x.view(-1, 2, 3, 8, 6).norm(dim=2).flatten(1),
        96,
        {},
        "over a part of the channels",
    ),
    "the window's length on the map": (
        lambda x: pooled(x / x.norm(dim=(2, 3), keepdim=True)),
        6,
        {},
        "a value of the whole window meets the map",
    ),
    "the window's mean square": (
        lambda x, n: n(x.flatten(1)),
        MAP,
        {"n": nn.RMSNorm(MAP)},
        "its mean square is that of a whole window",
    ),
    "a scale of the image": (
        lambda x: F.rms_norm(pooled(x), (6,), pooled(x).view(6)),
        6,
        {},
        "its weights depend on the image",
    ),
}


@pytest.mark.parametrize("name", CELLS)
def test_accepts_statistics_of_cells(name: str) -> None:
    check_crops(CELLS[name], 6, {})


@pytest.mark.parametrize("name", WINDOWS)
def test_accepts_statistics_of_windows(name: str) -> None:
    check_crops(*WINDOWS[name], {})


@pytest.mark.parametrize("name", ROOT_MEAN_SQUARES)
def test_accepts_root_mean_squares(name: str) -> None:
    function, parts = ROOT_MEAN_SQUARES[name]
    check_crops(function, 6, parts)


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    check_refused(*REFUSED[name])


def test_variances_of_windows_keep_their_digits() -> None:
    """A mean of squares less a squared mean would have none left here."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 1), Deviation()).eval()
    nn.init.ones_(model[0].weight)
    nn.init.constant_(model[0].bias, 1e4)
    images = torch.rand(1, 1, 12, 13)
    expected = torch.stack([model(images[..., i : i + 8, j : j + 8]) for i in range(5) for j in range(6)], -1)
    torch.testing.assert_close(fullyconv.convert(model, (8, 8))(images).flatten(2), expected, rtol=1e-3, atol=0)


class Deviation(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.std((2, 3))


class Recalibrated(nn.Module):
    """A gate by the mean and the deviation of the window; the means are an output as well."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mix, self.fc = nn.Conv2d(3, 6, 3, 2), nn.Linear(12, 6), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.stem(x)
        mean = x.mean((2, 3))
        gate = self.mix(torch.cat([mean, x.std((2, 3))], 1)).sigmoid()
        return self.fc((x * gate[:, :, None, None]).amax((2, 3))), mean


def test_a_gate_that_also_reads_a_deviation_slides_and_the_means_stay_exact() -> None:
    torch.manual_seed(0)
    model = Recalibrated().double().eval()
    dense = fullyconv.convert(model, WINDOW, approximate={"squeeze-excitation"})
    assert (dense.report.tier, dense.report.guarantee) == (3, "approximation")
    assert any("takes the deviation of a sliding window" in how for how in dense.report.approximations)
    images = torch.randn(1, 3, 21, 17, dtype=torch.float64)
    expected, means = model(images[:, :, 2:19, 4:17])
    found = [scores[..., 1, 2] for scores in dense(images)]
    torch.testing.assert_close(found[1], means, rtol=1e-10, atol=1e-10)
    assert not torch.allclose(found[0], expected, rtol=1e-10, atol=1e-10)
    for scores, exact in zip(dense(images[:, :, 2:19, 4:17]), (expected, means), strict=True):
        torch.testing.assert_close(scores[..., 0, 0], exact, rtol=1e-10, atol=1e-10)


def test_a_gate_by_what_cannot_slide_stays_exact() -> None:
    def gate(x: torch.Tensor) -> torch.Tensor:
        return (x * x.amin((2, 3), keepdim=True).sigmoid()).mean((2, 3))

    torch.manual_seed(0)
    model = Between(gate, 6).eval()
    report = fullyconv.convert(model, WINDOW, approximate="all").report
    assert (report.tier, report.approximations) == (2, ())
    assert "a value of the whole window meets the map" in report.reasons[0]
