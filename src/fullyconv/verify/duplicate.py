"""A copy of a network to work on, so that the caller's own is never changed."""

from __future__ import annotations

import torch
from torch import nn

from fullyconv.capture.module import copy_module, read_dtype


def copy_network(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Returns a copy of `module` in `dtype`, in evaluation mode, on the CPU.

    The CPU, wherever the network is: graphics cards multiply float32 with fewer bits unless told otherwise. One that
    is in `dtype` already keeps what it has in another, on purpose.

    Raises:
        ModelError: it cannot be copied.
    """
    copied = copy_module(module).to(device="cpu")
    return copied if read_dtype(copied) == dtype else copied.to(dtype=dtype)
