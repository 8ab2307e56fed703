"""A copy of a network to work on, so that the caller's own is never changed."""

from __future__ import annotations

import copy
import warnings

import torch
from torch import nn

from fullyconv.errors import ModelError


def copy_network(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Returns a copy of `module` in `dtype`, in evaluation mode, on the CPU.

    The CPU, wherever the network is: graphics cards multiply float32 with fewer bits unless told otherwise.

    Raises:
        ModelError: it cannot be copied.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's own pytree deprecations
            duplicate = copy.deepcopy(module)
    except Exception as error:
        raise ModelError(
            f"{type(module).__name__}: the network cannot be copied ({error}); remove "
            "reparametrisations such as weight_norm, or give an exported program"
        ) from error
    for child in duplicate.modules():
        child.training = False  # eval() is forbidden on exported programs
    return duplicate.to(device="cpu", dtype=dtype)
