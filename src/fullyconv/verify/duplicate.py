"""A copy of a network to work on, so that the caller's own is never changed."""

from __future__ import annotations

import torch
from torch import nn

from fullyconv.capture.module import copy_module, read_dtype
from fullyconv.errors import CaptureError
from fullyconv.rewrite.grid_module import GridModule
from fullyconv.rewrite.program import OnnxProgram


def copy_network(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Returns a copy of `module` in `dtype`, in evaluation mode, on the CPU.

    The CPU, wherever the network is: graphics cards multiply float32 with fewer bits unless told otherwise. One that
    is in `dtype` already keeps what it has in another, on purpose.

    Raises:
        CaptureError: it is an ONNX network, which does not run in `dtype`.
        ModelError: it cannot be copied.
    """
    if is_onnx_network(module) and read_dtype(module) != dtype:
        return _widen(module, dtype)
    copied = copy_module(module).to(device="cpu")
    return copied if read_dtype(copied) == dtype else copied.to(dtype=dtype)


def is_onnx_network(module: nn.Module) -> bool:
    """Returns whether a dense network is one in ONNX."""
    return isinstance(module, GridModule) and isinstance(module.program, OnnxProgram)


def _widen(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    from fullyconv.rewrite.onnx_module import OnnxModule
    from fullyconv.verify.onnx_double import widen_network

    assert isinstance(module, OnnxModule)
    if (read_dtype(module), dtype) != (torch.float32, torch.float64):
        raise CaptureError(f"an ONNX network in {read_dtype(module)} does not run in {dtype}")
    return widen_network(module)
