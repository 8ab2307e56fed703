"""The axes of a feature map, seen from how it grows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fullyconv.errors import ModelError
from fullyconv.verify.original import Original
from fullyconv.verify.placement import locate_axes
from fullyconv.verify.splits import MapAxes, Probe, SplitTensor

WINDOW = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


class Shaped(nn.Module):
    """A strided stem whose map gets a shape, then a head that takes the mean of everything."""

    def __init__(self, shape: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.stem, self.shape = nn.Conv2d(3, 4, 4, stride=2), shape

    def trunk(self, images: Tensor) -> Tensor:
        return self.shape(torch.tanh(self.stem(images))) * 2

    def forward(self, images: Tensor) -> Tensor:
        return self.trunk(images).flatten(1).mean(1, keepdim=True)


def locate(shape: Callable[[Tensor], Tensor], stride_px: tuple[int, int] = (4, 2)) -> MapAxes:
    model = Shaped(shape).double()
    original = Original(model, WINDOW, torch.float64)
    with torch.no_grad():
        probe = Probe(WINDOW, (SplitTensor("map", model.trunk(WINDOW)),))
    (axes,) = locate_axes(original.cut(probe), original.window, ["map"], stride_px)
    return axes


@pytest.mark.parametrize(
    ("shape", "axis", "extent", "stride"),
    [
        (lambda x: x, (2, 3), (3, 3), (2, 2)),
        (lambda x: x.permute(0, 2, 3, 1), (1, 2), (3, 3), (2, 2)),
        (lambda x: x.permute(0, 3, 1, 2), (3, 1), (3, 3), (2, 2)),
        (lambda x: F.max_pool2d(x, 3, 1), (2, 3), (1, 1), (2, 2)),
        (lambda x: F.interpolate(x, scale_factor=2), (2, 3), (6, 6), (1, 1)),
    ],
)
def test_axes_extent_and_stride_are_seen(shape, axis, extent, stride):
    assert locate(shape) == MapAxes("map", axis, extent, stride)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (lambda x: F.max_pool2d(x, 3, 1).flatten(2), "height and width on axes of their own, both are on axis 2"),
        (lambda x: x.flatten(2).transpose(1, 2), "grows along one axis, by whole cells, with 8 pixels"),
        (lambda x: x.flatten(1), "grows along one axis, by whole cells, with 8 pixels"),
        (lambda x: F.interpolate(x, scale_factor=4), "grows along one axis, by whole cells, with 8 pixels"),
        (lambda x: F.avg_pool2d(x, (1, 3), 1).squeeze(3), "grows along one axis"),
        (lambda x: x.mean((2, 3)), "grows along one axis, by whole cells, with 8 pixels"),
        (lambda x: x[:, :, 1:3], "grows along one axis, by whole cells, with 8 pixels"),
    ],
)
def test_a_map_without_such_axes_is_refused(shape, message):
    with pytest.raises(ModelError, match=message):
        locate(shape)
