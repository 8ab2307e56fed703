import dataclasses

import pytest
import torch
from torch import nn

from fullyconv import DenseModel
from fullyconv.card import ModelCard
from fullyconv.errors import OptionError
from fullyconv.grid import Grid
from fullyconv.scan import largest_tile_px, measure_bytes_per_pixel
from fullyconv.scan.memory import plan_tile_px


def replace_module(dense: DenseModel, module: nn.Module, stride: int) -> DenseModel:
    """Returns a network of one operation on windows of 8x8 and 3 channels."""
    grid = Grid((8, 8), (stride, stride), (1, 1))
    return dataclasses.replace(dense, module=module, grid=grid, card=ModelCard((8, 8), 3))


def test_rule_by_hand(dense: DenseModel) -> None:
    layer = nn.Conv2d(3, 8, 1)
    # the convolution reads 3 and writes 8 values a pixel; the input stays in memory
    assert measure_bytes_per_pixel(replace_module(dense, layer, 4)) == 4 * (2 * (3 + 8) + 3)
    layer.double()
    assert measure_bytes_per_pixel(replace_module(dense, layer, 4)) == 8 * (2 * (3 + 8) + 3)


def test_weights_do_not_count(dense: DenseModel) -> None:
    one = replace_module(dense, nn.Conv2d(3, 1, 8), 1)
    pixels, scores = 16 * 16, 9 * 9
    assert measure_bytes_per_pixel(one) == -(-4 * (2 * (3 * pixels + scores) + 3 * pixels) // pixels)


def test_network_without_parameters(dense: DenseModel) -> None:
    assert measure_bytes_per_pixel(replace_module(dense, nn.AvgPool2d(8, 4), 4)) == 4 * (2 * 3 + 3) + 1


def test_tile_follows_the_budget(dense: DenseModel) -> None:
    cost = measure_bytes_per_pixel(dense)
    assert largest_tile_px(dense, 1000 * cost) == 1000
    assert largest_tile_px(dense, 1) == 1
    with pytest.raises(OptionError, match="memory: expected at least 1 byte, got 0"):
        largest_tile_px(dense, 0)


def test_measuring_leaves_no_trace(dense: DenseModel) -> None:
    before = torch.get_rng_state()
    measure_bytes_per_pixel(dense)
    assert torch.equal(before, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in dense.module.parameters())


def test_a_scan_counts_all_that_it_holds(dense: DenseModel) -> None:
    one = replace_module(dense, nn.Conv2d(3, 8, 1), 4)
    small, large = plan_tile_px(one, 2**30, 8), plan_tile_px(one, 2**31, 8)
    assert 2 * small < large < 3 * small, "what libraries take is there once"
    assert plan_tile_px(one, 2**30, 800) < small, "scores count"
    assert small * measure_bytes_per_pixel(one) < 2**30
    with pytest.raises(OptionError, match=r"memory: expected at least \d+ MB, .* got 95.37 MB"):
        plan_tile_px(one, 10**8, 8)


def test_no_tensor_has_2_to_the_31_values(dense: DenseModel) -> None:
    one = replace_module(dense, nn.Conv2d(3, 8, 1), 4)
    assert plan_tile_px(one, 2**50, 8) * 8 < 2**31
