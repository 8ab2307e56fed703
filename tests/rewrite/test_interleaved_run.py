"""Fragments in one another give the scores of fragments apart: at odd sizes, with padding and without."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import fullyconv
from fullyconv import DenseModel
from fullyconv.capture.calls import Call, Ref
from fullyconv.refine.interleaved import Interleaved
from fullyconv.rewrite.dense_module import DenseModule
from fullyconv.rewrite.interleaved_run import LARGEST_HOLE, InterleavedRun, Passage, write_passages
from fullyconv.rewrite.refined import Route
from fullyconv.rewrite.spreading import _spread

WINDOW = (19, 22)
SIZES = [(32, 33), (37, 41), (43, 38)]


class Residual(nn.Module):
    """A strided block, with a 1x1 convolution beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.beside = nn.Conv2d(4, 4, 3, 2, 1), nn.Conv2d(4, 4, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.first(x)) + self.beside(x)


class Cropped(nn.Module):
    """An unpadded convolution, and its input without the cells that it has not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + x[:, :, 1:-1, 1:-1]


PADDED = nn.Conv2d(4, 4, 3, padding=1)
LAYERS: dict[str, list[nn.Module]] = {
    "unpadded": [nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 2, dilation=2)],
    "padded": [PADDED, nn.Conv2d(4, 4, (3, 2), padding=(2, 1), groups=2)],
    "strided": [PADDED, nn.Conv2d(4, 4, 3, 2, 1), PADDED],
    "residual": [Residual(), PADDED],
    "cropped": [Cropped()],
    "maxima": [nn.MaxPool2d(3, 1, 1), nn.MaxPool2d(2, 2), nn.MaxPool2d(2, 1, dilation=2)],
    "averages": [nn.AvgPool2d((2, 1), 1), nn.AvgPool2d(2, 2), nn.AvgPool2d((1, 4), 1)],
    "constants": [nn.ConstantPad2d((1, 2, 0, 1), 0.5), nn.Conv2d(4, 4, 3)],
    "cells": [nn.BatchNorm2d(4), nn.GELU(), nn.Conv2d(4, 4, 1), nn.Softmax2d()],
}


def convert(layers: list[nn.Module]) -> DenseModel:
    """Returns a network with a stride of 2 before some layers."""
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Conv2d(2, 4, 3, 2, 1), *copy.deepcopy(layers)).eval()
    cells = trunk(torch.zeros(1, 2, *WINDOW))[0].numel()
    model = nn.Sequential(trunk, nn.Flatten(), nn.Linear(cells, 3)).double().eval()
    return fullyconv.convert(model, WINDOW)


def find_route(dense: DenseModel) -> Route:
    assert isinstance(dense.module, DenseModule) and dense.module.route is not None
    return dense.module.route


def write(dense: DenseModel, size: tuple[int, int]) -> tuple[Passage, ...]:
    return write_passages(find_route(dense), (size[0] - WINDOW[0], size[1] - WINDOW[1]))


def run_both(dense: DenseModel, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Returns the scores with fragments in one another, and with each apart from its first stride on."""
    image = torch.randn(2, 2, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return dense(image), dense.with_fragment_memory(1)(image)


@pytest.mark.parametrize("name", LAYERS)
def test_both_ways_give_the_same(name: str) -> None:
    dense = convert(LAYERS[name])
    for stride in ((1, 1), (dense.grid.stride_px[0], 1), (dense.grid.stride_px[0] // 2, dense.grid.stride_px[1])):
        fine = dense.refine(stride)
        for size in SIZES:
            assert len(write(fine, size)) == len(find_route(fine).stages)  # nothing lies apart
            together, apart = run_both(fine, size)
            assert together.shape == apart.shape
            assert float((together - apart).abs().max()) <= 1e-12 * float(apart.abs().max())


def test_padding_that_is_not_spread_is_seen() -> None:
    """The comparison fails for a wrong passage."""
    fine = convert(LAYERS["padded"]).refine(1)
    module = fine.module
    assert isinstance(module, DenseModule)
    passages = list(write(fine, SIZES[1]))
    image = torch.randn(1, 2, *SIZES[1], dtype=torch.float64)
    ends = frozenset(output.tensor for output in module.program.outputs)

    def run() -> Tensor:
        with torch.no_grad():
            _, maps = InterleavedRun(passages, module.list_weights(), ends, 1 << 30).run(module.program.image, image)
        (map_,) = maps.values()
        return map_.tensor

    right = run()
    (conv,) = passages[1].instructions
    assert isinstance(conv, Call) and list(conv.args[4:6]) == [[2, 2], [2, 2]]  # padding and dilation
    passages[1] = replace(passages[1], instructions=[replace(conv, args=(*conv.args[:5], [1, 1], *conv.args[6:]))])
    wrong = run()[..., : right.shape[2], : right.shape[3]]
    assert float((wrong - right).abs().max()) > 1e-3


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (nn.MaxPool2d(3, 2, ceil_mode=True), "rounds up"),
        (nn.ReflectionPad2d(1), "mirrors"),
        (nn.AvgPool2d(3, 1, padding=1), "counts padding"),
        (nn.AvgPool2d(5, 1), "is long"),
        (nn.AvgPool2d((1, 3), 1), "would round otherwise"),
        (nn.AvgPool2d(2, 1, divisor_override=5), "has another divisor"),
        (nn.PixelShuffle(2), "divides cells"),
    ],
)
def test_what_needs_fragments_apart(layer: nn.Module, why: str) -> None:
    after = nn.Conv2d(1 if why == "divides cells" else 4, 4, 1)
    fine = convert([PADDED, layer, after]).refine(1)
    for size in SIZES:
        assert 0 < len(write(fine, size)) < len(find_route(fine).stages), why
        together, apart = run_both(fine, size)
        assert float((together - apart).abs().max()) <= 1e-12 * float(apart.abs().max())


def test_far_cells_lie_apart() -> None:
    """From the stage on that makes the hole too large."""
    down = nn.Conv2d(4, 4, 2, 2)
    fine = convert([down, down, nn.Conv2d(4, 4, 1)]).refine(1)
    passages = write(fine, SIZES[1])
    assert [passage.phases[0].factor for passage in passages] == [2, 4, 2 * LARGEST_HOLE]
    assert len(find_route(fine).stages) > len(passages)


def test_a_run_stops_where_maps_take_too_much() -> None:
    fine = convert(LAYERS["residual"]).refine(1)
    module = fine.module
    assert isinstance(module, DenseModule)
    run = InterleavedRun(write(fine, SIZES[0]), module.list_weights(), frozenset(), 1)
    place, maps = run.run(module.program.image, torch.randn(1, 2, *SIZES[0], dtype=torch.float64))
    assert place == 1
    (map_,) = maps.values()
    assert isinstance(map_, Interleaved) and map_.hole == (2, 2)


def test_averages_are_those_of_the_pool_to_the_last_bit() -> None:
    """Both add in the order of rows, and dividing by a power of two is exact."""
    torch.manual_seed(0)
    x = torch.randn(2, 3, 9, 11)
    call = Call("aten.avg_pool2d.default", (Ref("x"), [2, 2], [1, 1]), outputs=("y",))
    calls = _spread(call, (2, 3))
    assert calls is not None
    values = {"x": x}
    for each in calls:
        assert isinstance(each, Call)
        operation = getattr(getattr(torch.ops.aten, each.target.split(".")[1]), each.target.split(".")[2])
        arguments = [values[value.name] if isinstance(value, Ref) else value for value in each.args]
        values[each.outputs[0]] = operation(*arguments)
    for row in range(2):
        for column in range(3):
            apart = nn.functional.avg_pool2d(x[:, :, row::2, column::3], 2, 1)
            assert torch.equal(values["y"][:, :, row::2, column::3][:, :, : apart.shape[2], : apart.shape[3]], apart)
