"""Copies of networks."""

from __future__ import annotations

import torch
from torch import nn

from fullyconv.verify.duplicate import copy_network


class Mixed(nn.Module):
    """Has a table in single precision, whatever its weights are in."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2).double()
        self.register_buffer("table", torch.rand(3))


def test_what_is_kept_in_another_number_type_stays() -> None:
    model = Mixed()
    assert copy_network(model, torch.float64).table.dtype == torch.float32
    assert copy_network(model, torch.float32).fc.weight.dtype == torch.float32


def test_the_copy_is_another_network() -> None:
    model = Mixed()
    with torch.no_grad():
        copy_network(model, torch.float64).fc.weight.zero_()
    assert model.fc.weight.abs().sum() > 0
