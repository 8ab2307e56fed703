"""Classifiers written with einops: tier 1 where they are local."""

from __future__ import annotations

import pytest
import torch
from einops import rearrange, reduce
from einops.layers.torch import Rearrange, Reduce
from torch import Tensor, nn
from torch.nn import functional as F

import fullyconv
from zoo_parts import randomise


class Tokens(nn.Module):
    """Patches as tokens, averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.mixing, self.unit = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        tokens = rearrange(self.patches(images), "b c h w -> b (h w) c")
        tokens = tokens + self.mixing(F.gelu(tokens))
        return self.unit(reduce(tokens, "b n c -> b c", "mean"))


class Mixed(nn.Module):
    """Tokens mixed with each other, which is not local."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.mixing, self.unit = nn.Conv2d(3, 8, 4, 4), nn.Linear(16, 16), nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        x = rearrange(self.patches(images), "b c h w -> b c (h w)")
        return self.unit(F.gelu(self.mixing(x)).mean(2))


def folded() -> nn.Module:
    """Space to depth, and a linear layer over all of the map in channels-last order."""
    return nn.Sequential(
        Rearrange("b c (h p) (w q) -> b (p q c) h w", p=2, q=2), nn.Conv2d(12, 6, 3), nn.ReLU(),
        Reduce("b c (h p) (w q) -> b c h w", "max", p=2, q=2), Rearrange("b c h w -> b (h w c)"), nn.Linear(54, 4),
    )  # fmt: skip


@pytest.mark.parametrize(("model", "tier"), [(Tokens, 1), (folded, 1), (Mixed, 2)])
def test_einops(model, tier):
    torch.manual_seed(0)
    module = randomise(model())
    dense = fullyconv.convert(module, window=(16, 16))
    assert (dense.report.tier, dense.report.guarantee) == (tier, "image crops")
    report = fullyconv.verify(dense, module)
    assert report.passed, str(report)
    assert report.errors["image crops"]["float64"] < 1e-12
