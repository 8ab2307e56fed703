"""Classifiers that lay patches of a map out as channels, multiply matrices cell by cell, and add patches up."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from zoo_arranging import Arranged


class OutlookAttention(nn.Module):
    """Each cell of a coarser map mixes the values of the patch around it, by weights that it computes itself."""

    def __init__(self, channels: int, heads: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.heads, self.kernel, self.stride = heads, kernel, stride
        self.values = nn.Linear(channels, channels, bias=False)
        self.weights = nn.Linear(channels, heads * kernel**4)
        self.last = nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, h, w, c = x.shape
        places, shape = self.kernel**2, {"kernel_size": self.kernel, "padding": self.kernel // 2, "stride": self.stride}
        values = F.unfold(self.values(x).permute(0, 3, 1, 2), **shape)
        values = values.reshape(n, self.heads, c // self.heads, places, -1).permute(0, 1, 4, 3, 2)
        coarse = F.avg_pool2d(x.permute(0, 3, 1, 2), self.stride, self.stride, ceil_mode=True).permute(0, 2, 3, 1)
        weights = self.weights(coarse).reshape(n, -1, self.heads, places, places).permute(0, 2, 1, 3, 4)
        mixed = (weights.softmax(-1) @ values).permute(0, 1, 4, 3, 2).reshape(n, c * places, -1)
        return self.last(F.fold(mixed, (h, w), **shape).permute(0, 2, 3, 1))


class Outlooker(nn.Module):
    def __init__(self, channels: int, heads: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(channels), OutlookAttention(channels, heads, kernel, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.attention(self.norm(x))


def outlook() -> nn.Module:
    """Outlook attention at every other cell of an even map, then at every cell."""

    def run(x: torch.Tensor, stem: nn.Module, a: nn.Module, b: nn.Module, fc: nn.Module) -> torch.Tensor:
        return fc(b(a(stem(x).permute(0, 2, 3, 1))).mean((1, 2)))

    return Arranged(
        run, stem=nn.Conv2d(3, 6, 4, 4), a=Outlooker(6, 2, 3, 2), b=Outlooker(6, 3, 3, 1), fc=nn.Linear(6, 4)
    )


def odd_outlook() -> nn.Module:
    """The same at every other cell of a map with an odd number of them, where the pool rounds up."""

    def run(x: torch.Tensor, stem: nn.Module, a: nn.Module, fc: nn.Module) -> torch.Tensor:
        return fc(a(stem(x).permute(0, 2, 3, 1)).mean((1, 2)))

    return Arranged(run, stem=nn.Conv2d(3, 6, 3, 2), a=Outlooker(6, 2, 3, 2), fc=nn.Linear(6, 4))


def patches() -> nn.Module:
    """Patches side by side, products of matrices, a part of the channels, overlapping patches; all without padding."""

    def run(
        x: torch.Tensor, a: nn.Module, part: nn.Module, mix: nn.Module, b: nn.Module, fc: nn.Module
    ) -> torch.Tensor:
        x = torch.tanh(part(a(x).unflatten(1, (2, 2)).movedim(2, -1)).movedim(-1, 2).flatten(1, 2))
        h, w = x.shape[2:]
        columns = mix(F.unfold(x, 2, stride=2).transpose(1, 2)).transpose(1, 2)
        form = torch.einsum("naij,nbij->nabij", x[:, :2], torch.tanh(x[:, 2:4])).flatten(1, 2)
        x = torch.cat([F.fold(columns, (h, w), 2, stride=2), form], 1)
        columns = F.unfold(x, (3, 2), dilation=(1, 2), stride=2)
        return fc(b(columns.unflatten(2, ((h - 3) // 2 + 1, (w - 3) // 2 + 1))).relu().flatten(1))

    parts = {"a": nn.Conv2d(3, 4, 3, 2), "part": nn.Linear(2, 2), "mix": nn.Linear(16, 16), "b": nn.Conv2d(48, 5, 2)}
    return Arranged(run, **parts, fc=nn.Linear(5 * 3 * 5, 4))
