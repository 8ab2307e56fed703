"""Patches of a map as columns, and columns added up to a map."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fullyconv
from planning import WINDOW, Between, check_crops, check_refused, pooled


def tokens(x: torch.Tensor) -> torch.Tensor:
    """Returns the means of columns `(N, values, places)`."""
    return x.mean(2)


EXACT = {
    "side by side": (lambda x: tokens(F.unfold(x, 2, stride=2).relu()), 24, {}),
    "overlapping": (lambda x: tokens(F.unfold(x, 3).relu()), 54, {}),
    "of other rows than columns": (
        lambda x: tokens(F.unfold(x, (3, 2), dilation=(1, 2), stride=(2, 1)).tanh()), 36, {},
    ),
    "one for the whole window": (lambda x: F.unfold(x, (8, 6)).flatten(1), 288, {}),
    "in rows": (lambda x: F.unfold(x, 2, stride=2).unflatten(2, (4, 3)).tanh().amax((2, 3)), 24, {}),
    "added up side by side": (lambda x: pooled(F.fold(F.unfold(x, 2, stride=2).tanh(), (8, 6), 2, stride=2)), 6, {}),
    "rows of cells": (
        lambda x: pooled(F.fold(F.unfold(x, (4, 1), stride=(4, 1)).tanh(), (8, 6), (4, 1), stride=(4, 1))), 6, {},
    ),
}  # fmt: skip

REFUSED = {
    "padded after the head began": (
        lambda x: F.unfold(x.amax((2, 3), keepdim=True), 3, padding=1).flatten(1), 54, {}, "after the head began",
    ),
    "places in another order": (
        lambda x: pooled(F.fold(F.unfold(x, 2, stride=2).unflatten(2, (4, 3)).mT.flatten(2), (8, 6), 2, stride=2)), 6,
        {}, "not those of a map in their order",
    ),
    "of another map": (
        lambda x: pooled(F.fold(F.unfold(x, 2, stride=2), (6, 8), 2, stride=2)), 6, {},
        "not those of a map in their order",
    ),
    "large patches that overlap": (
        lambda x: F.unfold(x.repeat(1, 3000, 1, 1), (7, 5)).mean((1, 2), keepdim=True).flatten(1), 1, {}, "too large",
    ),
    "finer than pixels": (
        lambda x: pooled(F.fold(x[:, :1].expand(-1, 9, -1, -1).flatten(2), (24, 18), 3, stride=3)), 1, {},
        "smaller than a pixel",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_equals_crops(name: str) -> None:
    check_crops(*EXACT[name])


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    check_refused(*REFUSED[name])


def add_up(x: torch.Tensor, mix: nn.Module, shape: dict[str, int]) -> torch.Tensor:
    """Mixes the values of each patch, and adds the patches up to a map of the same size."""
    columns = mix(F.unfold(x, **shape).transpose(1, 2)).transpose(1, 2)
    return pooled(F.fold(columns, x.shape[2:], **shape).tanh())


# Of a map of 8 x 6 cells: kernels that meet, overlap once and several times, leave cells out, reach far beyond.
@pytest.mark.parametrize(
    ("kernel_size", "stride", "padding", "dilation"),
    [
        (3, 1, 1, 1), (3, 2, 1, 1), (3, 2, 0, 1), (4, 2, 0, 1), (2, 2, 1, 1), (5, 2, 2, 1), (2, 1, 0, 3), (3, 2, 2, 2),
        (3, 3, 0, 1), (2, 4, 0, 1), (1, 2, 0, 1), (2, 2, 2, 1), (6, 4, 2, 1), (5, 3, 1, 1),
    ],
)  # fmt: skip
def test_columns_add_up_as_in_the_classifier(kernel_size: int, stride: int, padding: int, dilation: int) -> None:
    shape = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
    torch.manual_seed(0)
    mix = nn.Linear(6 * kernel_size**2, 6 * kernel_size**2)
    model = Between(partial(add_up, shape=shape), 6, mix=mix).eval()
    if stride == 3:  # cells of a third of four pixels
        model.stem.stride = (1, 1)
    dense = fullyconv.convert(model, WINDOW)
    assert dense.report.tier == 1, dense.report
    report = fullyconv.verify(dense, model)
    assert report.passed, str(report)
    assert report.checked_beyond_window
    assert report.errors["feature windows"]["float64"] < 1e-12


def test_a_wrong_tap_is_seen() -> None:
    shape = {"kernel_size": 3, "stride": 2, "padding": 1}
    torch.manual_seed(0)
    model = Between(partial(add_up, shape=shape), 6, mix=nn.Linear(54, 54)).eval()
    dense = fullyconv.convert(model, WINDOW)
    taps = {name: value for name, value in dense.module.state_dict().items() if name.endswith("places")}
    assert [sorted(set(value.flatten().tolist())) for value in taps.values()] == [[0.0, 1.0]] * 2
    with torch.no_grad():
        last = list(taps.values())[-1]
        last.copy_(last.flip(2))
    assert not fullyconv.verify(dense, model).passed
