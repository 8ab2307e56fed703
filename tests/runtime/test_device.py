"""Devices that are asked for."""

from __future__ import annotations

import pytest
import torch

from fullyconv.errors import OptionError
from fullyconv.runtime.device import check_device


def test_the_cpu_is_always_there():
    assert check_device("cpu") == "cpu"


@pytest.mark.parametrize("device", ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "mps", "CPU"])
def test_others_are_unknown(device):
    with pytest.raises(OptionError, match="expected cpu, cuda or cuda:N"):
        check_device(device)


def test_a_missing_one_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        OptionError, match=r"device cuda: this machine has none that torch .* can use; leave the device"
    ):
        check_device("cuda")


def test_the_number_must_be_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert (check_device("cuda"), check_device("cuda:1")) == ("cuda:0", "cuda:1")
    with pytest.raises(OptionError, match="device cuda:2: this machine has 2 CUDA devices, counted from 0"):
        check_device("cuda:2")
