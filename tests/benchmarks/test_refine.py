"""Fragments are the dilated network, at the border too; the benchmark's other ways give the same scores."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import fullyconv
from refine import NETWORKS, Block, dilate, make_convolutional


def make_small(name: str) -> nn.Module:
    """Returns a network of the same kinds of layers, quick enough for a test."""
    torch.manual_seed(1)
    if name == "pools":
        layers = [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, padding=1)]
        layers += [nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Flatten(), nn.Linear(6 * 16, 5), nn.ReLU(), nn.Linear(5, 2)]
    else:
        layers = [nn.Conv2d(3, 4, 5, 2, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1), Block(4, 6, 2), Block(6, 6, 1)]
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2)]
    return nn.Sequential(*layers).eval().double()


@pytest.mark.parametrize("name", ["pools", "residual"])
def test_fragments_are_the_dilated_network(name: str) -> None:
    """Padding that is dilated too: the border is defined so. The image leaves rest pixels."""
    module = make_small(name)
    dense = fullyconv.convert(module, (16, 16))
    image = torch.randn(1, 3, 37, 50, dtype=torch.float64)
    cells = dense.grid.feature_window[0]
    for stride in (4, 2, 1):
        with torch.no_grad():
            dilated = dilate(make_convolutional(module, cells), stride)(image)
            fine = dense.refine(stride)(image)
        rows, columns = fine.shape[2:]
        assert float((dilated[..., :rows, :columns] - fine).abs().max()) < 1e-13


def test_networks_have_the_strides_that_are_told() -> None:
    strides = {name: fullyconv.convert(make(), (64, 64)).grid.stride_px for name, make in NETWORKS.items()}
    assert strides == {"compact": (8, 8), "vgg": (32, 32), "resnet": (32, 32)}
