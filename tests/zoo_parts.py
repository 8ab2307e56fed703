"""What the zoo's classifiers are made of."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Returns the module in evaluation mode, with weights and statistics that are far from neutral."""
    generator = torch.Generator().manual_seed(seed)
    for child in module.modules():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            size = child.running_mean.shape
            child.running_mean.copy_(torch.randn(size, generator=generator) * 0.2)
            child.running_var.copy_(torch.rand(size, generator=generator) + 0.5)
        if (
            isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm)
            and child.weight is not None
        ):
            with torch.no_grad():
                child.weight.copy_(torch.rand(child.weight.shape, generator=generator) + 0.5)
                child.bias.copy_(torch.randn(child.bias.shape, generator=generator) * 0.2)
    return module.eval()


def conv(inputs: int, outputs: int, stride: int = 1, padding: int = 0) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class Functional(nn.Module):
    """A trunk and a head given as functions, for variations of one theme."""

    def __init__(self, trunk: nn.Module, head: Any, **parts: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(self, self.trunk(x))
