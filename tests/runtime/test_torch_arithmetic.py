"""In which numbers torch multiplies."""

from __future__ import annotations

import pytest
import torch

from fullyconv.runtime.specification import Runtime
from fullyconv.runtime.torch_arithmetic import computing, whole_float32


def multiply() -> torch.Tensor:
    values = torch.ones(2, 2)
    return values @ values


@pytest.mark.parametrize("arithmetic", ["bfloat16", "float16"])
def test_halves_are_for_the_block_only(arithmetic):
    with computing(Runtime(arithmetic=arithmetic)):
        assert multiply().dtype == getattr(torch, arithmetic)
    assert multiply().dtype == torch.float32


def test_exact_is_exact():
    with computing(Runtime()):
        assert multiply().dtype == torch.float32


def read_switches():
    backends = torch.backends
    return [switch.fp32_precision for switch in (backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul)]


def test_graphics_cards_multiply_whole_float32():
    """The switches are there without a card; by default torch's convolutions drop 13 bits on one."""
    before = read_switches()
    assert "ieee" not in before
    with computing(Runtime(device="cuda")):
        assert read_switches() == ["ieee"] * 3
    assert read_switches() == before
    with pytest.raises(RuntimeError, match="out"), whole_float32():
        raise RuntimeError("out")
    assert read_switches() == before
