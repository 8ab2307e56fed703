"""Joining, splitting, slicing, padding."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fullyconv
from planning import MAP, WINDOW, check_accepted, check_crops, check_refused, pooled

ACCEPTED = {
    "concatenation": (lambda x: pooled(torch.cat([x, x * 2], 1)), 12, {}),
    "split": (lambda x: pooled(torch.split(x, [2, 4], 1)[1]), 4, {}),
    "slice of channels": (lambda x: pooled(x[:, 1::2]), 3, {}),
    "slice of grouped channels": (lambda x: pooled(x.view(-1, 2, 3, 8, 6)[:, :, 1]), 2, {}),
    "slice of rows": (lambda x: pooled(x[:, :, 1:-2]), 6, {}),
    "padding": (lambda x: pooled(F.pad(x, (1, 2, 0, 1))), 6, {}),
    "padding of channels": (lambda x: pooled(F.pad(x, (0, 0, 0, 0, 1, 2))), 9, {}),
    "padding of a part of the channels": (
        lambda x: pooled(F.pad(x.view(-1, 2, 3, 8, 6), (0, 0, 0, 0, 2, 1), value=0.5).exp().flatten(1, 2)),
        12,
        {},
    ),
    "padding of the outer part": (
        lambda x: pooled(F.pad(x.view(-1, 2, 3, 8, 6), (0, 0, 0, 0, 0, 0, 1, 0), value=0.5).exp().flatten(1, 2)),
        9,
        {},
    ),
    "padding by nothing": (lambda x: pooled(F.pad(x.transpose(1, 3), (0, 0, 0, 0)).transpose(1, 3)), 6, {}),
    "parts by number": (lambda x: pooled(x.tensor_split(4, 1)[0]), 2, {}),
    "a narrowed map": (lambda x: pooled(x.narrow(1, -4, 3)), 3, {}),
    "reflection": (lambda x: pooled(F.pad(x, (1, 1, 1, 1), "reflect")), 6, {}),
}

REFUSED = {
    "padding that wraps around": (
        lambda x: pooled(F.pad(x, (1, 1, 1, 1), "circular")),
        6,
        {},
        "wraps around the window",
    ),
    "a constant beside the map": (
        lambda x, e: torch.cat([x, e.weight.expand(2, 1, 8, 6)], 1).flatten(1),
        7 * 48,
        {"e": nn.Embedding(8, 6)},
        "joins a constant",
    ),
    "flattened maps before a rectifier": (
        lambda x: torch.cat([F.max_pool2d(x, 2).flatten(1), x.flatten(1)], 1).relu(),
        MAP + 72,
        {},
        "maps of different kinds are joined",
    ),
    "rows joined": (
        lambda x: torch.cat([x, x], 2).flatten(1),
        2 * MAP,
        {},
        "joins along an axis that is not the channels",
    ),
    "positions sliced": (lambda x: x.flatten(1)[:, 3:], MAP - 3, {}, "slices the batch, or an axis that holds several"),
    "rows split": (lambda x: x.split(4, 2)[1].flatten(1), MAP // 2, {}, "an axis that is not channels"),
    "positions padded": (lambda x: F.pad(x.flatten(1), (0, 1)), MAP + 1, {}, "pads axes that are not channels, rows"),
    "batch padded": (
        lambda x: F.pad(x, (0, 0, 0, 0, 0, 0, 0, 1))[:-1].flatten(1),
        MAP,
        {},
        "pads axes that are not channels, rows",
    ),
}


@pytest.mark.parametrize("name", [name for name in ACCEPTED if "part" in name])
def test_parts_of_the_channels_equal_crops(name: str) -> None:
    check_crops(*ACCEPTED[name])


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepts(name: str) -> None:
    check_accepted(*ACCEPTED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    check_refused(*REFUSED[name])


class TwiceGated(nn.Module):
    """A gate by mean and maximum of the window, of vectors or of maps of one cell."""

    def __init__(self, keepdim: bool) -> None:
        super().__init__()
        self.stem, self.mix, self.fc, self.keepdim = nn.Conv2d(3, 6, 3, 2), nn.Linear(12, 6), nn.Linear(6, 4), keepdim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        pooled = torch.cat([x.mean((2, 3), keepdim=self.keepdim), x.amax((2, 3), keepdim=self.keepdim)], 1)
        if self.keepdim:
            gate = F.conv2d(pooled, self.mix.weight[:, :, None, None], self.mix.bias)
        else:
            gate = self.mix(pooled)[:, :, None, None]
        return self.fc((x * gate.sigmoid()).amax((2, 3)))


def test_approximated_statistics_are_joined_cell_by_cell() -> None:
    flat, maps = (TwiceGated(keepdim).double().eval() for keepdim in (False, True))
    maps.load_state_dict(flat.state_dict())
    images = torch.rand(2, 3, 26, 23, dtype=torch.float64)
    dense = [fullyconv.convert(model, WINDOW, approximate={"squeeze-excitation"}) for model in (flat, maps)]
    assert [each.report.tier for each in dense] == [3, 3]
    torch.testing.assert_close(dense[0](images), dense[1](images), rtol=1e-10, atol=1e-10)
