"""Finer grids bit for bit: on whole numbers every sum is exact, in whichever order a convolution adds.

On other numbers no two runs are bit for bit the same: a network on an image from its second window on differs from
itself on the whole image in the last bit, as matrix products of other sizes add in another order.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

import fullyconv
from fullyconv import DenseModel
from zoo import plain, resnet, vgg

# Averages are over 4 or 32 cells: quarters and such are exact too.
NETWORKS = {"plain": (plain, (26, 38)), "vgg": (vgg, (28, 28)), "resnet": (resnet, (32, 64))}
REST = (57, 50)  # pixels beyond a window; no whole number of strides
TYPES = {torch.float32: 2**24, torch.float64: 2**53}
TAKEN = 0.2  # of the weights; more would make larger sums than float32 holds


def make_exact(make: Callable[[], nn.Module]) -> nn.Module:
    """Returns a classifier with weights of -1, 0 and 1, and statistics that are whole numbers."""
    generator = torch.Generator().manual_seed(0)
    module = make().eval()
    with torch.no_grad():
        for value in (*module.parameters(), *module.buffers()):
            if value.is_floating_point():
                signs = torch.randint(0, 2, value.shape, generator=generator) * 2 - 1
                value.copy_(signs * (torch.rand(value.shape, generator=generator) < TAKEN))
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                assert layer.running_var is not None
                layer.eps = 0.0
                layer.running_var.fill_(1.0)
                layer.weight.fill_(1.0)
    return module


def draw(dense: DenseModel, dtype: torch.dtype) -> Tensor:
    size = [window + rest for window, rest in zip(dense.grid.window_px, REST, strict=True)]
    pixels = torch.randint(-4, 5, (1, dense.card.channels, *size), generator=torch.Generator().manual_seed(1))
    return pixels.to(dtype)


def list_inner(dense: DenseModel, begin: tuple[int, int], size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yields the cells of an image from `begin` on that see no border elsewhere than the whole image has it."""
    axes = zip(begin, size, dense.grid.window_px, dense.grid.stride_px, dense.margins_px, strict=True)
    spans = [
        [
            cell
            for cell, place in enumerate(range(first, length - window + 1, stride))
            if not first or (place - before >= first and place + window + after <= length)
        ]
        for first, length, window, stride, (before, after) in axes
    ]
    yield from itertools.product(*spans)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_finer_scores_are_shift_and_stitch_to_the_last_bit(name: str, dtype: torch.dtype) -> None:
    make, window = NETWORKS[name]
    dense = fullyconv.convert(make_exact(make).to(dtype), window)
    image, (sy, sx) = draw(dense, dtype), dense.grid.stride_px
    compared = differing = 0
    for stride in (sy // 2, 1):
        fine = dense.refine(stride)(image)
        assert float(fine.abs().max()) < TYPES[dtype] / 2**5  # whole numbers, and parts of 32, are exact there
        assert torch.equal(fine, fine.double().mul(32).round().div(32).to(dtype))
        for top, left in itertools.product(range(0, sy, stride), range(0, sx, stride)):
            shifted = dense(image[:, :, top:, left:])
            for i, j in list_inner(dense, (top, left), (int(image.shape[2]), int(image.shape[3]))):
                y, x = (top + i * sy) // stride, (left + j * sx) // stride
                assert torch.equal(fine[..., y, x], shifted[..., i, j])
                compared += 1
                differing += not torch.equal(fine[..., y, x], fine[..., y, x - 1])
    assert compared > 50
    assert differing > compared / 2  # a score of another window would be seen
