import dataclasses
from typing import Any

import pytest
import torch
from torch import nn

from fullyconv.card import ModelCard
from fullyconv.errors import OptionError
from fullyconv.grid import Grid
from fullyconv.scan import largest_tile_px, measure_bytes_per_pixel


def test_rule_by_hand(dense: Any) -> None:
    layer = nn.Conv2d(3, 8, 1)
    one = dataclasses.replace(
        dense, module=layer, grid=Grid((8, 8), (4, 4), (1, 1)), card=ModelCard((8, 8), 3)
    )
    # the convolution reads 3 and writes 8 values a pixel; the input stays in memory
    assert measure_bytes_per_pixel(one) == 4 * (2 * (3 + 8) + 3)
    layer.double()
    assert measure_bytes_per_pixel(one) == 8 * (2 * (3 + 8) + 3)


def test_weights_do_not_count(dense: Any) -> None:
    layer = nn.Conv2d(3, 1, 8)
    one = dataclasses.replace(
        dense, module=layer, grid=Grid((8, 8), (1, 1), (1, 1)), card=ModelCard((8, 8), 3)
    )
    pixels, scores = 16 * 16, 9 * 9
    assert measure_bytes_per_pixel(one) == -(-4 * (2 * (3 * pixels + scores) + 3 * pixels) // pixels)


def test_network_without_parameters(dense: Any) -> None:
    bare = dataclasses.replace(dense, module=nn.AvgPool2d(dense.grid.window_px, dense.grid.stride_px))
    assert measure_bytes_per_pixel(bare) > 0


def test_tile_follows_the_budget(dense: Any) -> None:
    cost = measure_bytes_per_pixel(dense)
    assert largest_tile_px(dense, 1000 * cost) == 1000
    assert largest_tile_px(dense, 1) == 1
    with pytest.raises(OptionError, match="memory: expected at least 1 byte, got 0"):
        largest_tile_px(dense, 0)


def test_measuring_leaves_no_trace(dense: Any) -> None:
    before = torch.get_rng_state()
    measure_bytes_per_pixel(dense)
    assert torch.equal(before, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in dense.module.parameters())
