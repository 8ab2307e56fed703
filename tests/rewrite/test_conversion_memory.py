"""A conversion holds the network, its dense copy, and of what lies between only a part at a time."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fullyconv.analyze import make_plan
from fullyconv.capture.agreement import check_agreement
from fullyconv.capture.torch_export import capture
from fullyconv.rewrite.conversion import build_dense
from living import Living


def make_vgg() -> nn.Module:
    """Nearly all of it is the first fully connected layer, over an adaptive pool."""
    layers = (nn.Conv2d(3, 64, 3, 2), nn.ReLU(), nn.MaxPool2d(3), nn.AdaptiveAvgPool2d((7, 7)), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(64 * 49, 2048), nn.ReLU(), nn.Linear(2048, 4))


def make_shuffled() -> nn.Module:
    """Likewise, but the layer reads channels last."""

    class Last(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.permute(0, 2, 3, 1).flatten(1)

    layers = (nn.Conv2d(3, 64, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2), Last(), nn.BatchNorm1d(64 * 49))
    return nn.Sequential(*layers, nn.Linear(64 * 49, 2048), nn.ReLU(), nn.Linear(2048, 4))


class Standardised(nn.Conv2d):
    """As timm has it: by a batch normalisation of the weight."""

    def forward(self, x: Tensor) -> Tensor:
        flat = self.weight.reshape(1, self.out_channels, -1)
        weight = F.batch_norm(flat, None, None, training=True, momentum=0.0, eps=1e-6).reshape_as(self.weight)
        return F.conv2d(x, weight, self.bias, self.stride)


def make_standardised() -> nn.Module:
    """The last layers are the largest."""
    channels = (3, 32, 64, 128, 256, 320, 384)
    stages = [Standardised(i, o, 3, 1 + (o < 64)) for i, o in itertools.pairwise(channels)]
    return nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten())


@pytest.mark.parametrize("make", [make_vgg, make_shuffled, make_standardised])
def test_no_more_than_three_times_the_weights(make: Callable[[], nn.Module]) -> None:
    """Tensors and numpy's arrays, each at their most, with the network itself; capturing makes none that matter."""
    torch.manual_seed(0)
    model = make().eval()
    weights = sum(parameter.nbytes for parameter in model.parameters())
    captured = capture(model, (33, 33))
    tracemalloc.start()
    try:
        with Living(model) as tensors:
            check_agreement(captured, model)
            dense = build_dense(make_plan(captured.graph), captured, None)
        arrays = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert dense.report.tier == 1
    assert sum(parameter.nbytes for parameter in dense.module.parameters()) <= tensors.peak
    assert weights + tensors.peak + arrays < 3 * weights
