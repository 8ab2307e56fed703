"""Runs a torch module on torch tensors or numpy arrays."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from fullyconv.capture.module import read_device, read_dtype

Images = TypeVar("Images", torch.Tensor, np.ndarray)


def run_eagerly(module: nn.Module, images: Images) -> Any:
    """Returns the module's outputs, as torch tensors or numpy arrays, like the images.

    Args:
        module: takes `(N, C, H, W)` of its own dtype and device.
        images: `(N, C, H, W)` floats of any dtype, on any device; not changed.

    Returns:
        The module's own structure of outputs, in its dtype; numpy has no bfloat16, so that becomes float32.
    """
    tensor = torch.from_numpy(images) if isinstance(images, np.ndarray) else images
    with torch.inference_mode():
        outputs = module(tensor.to(read_device(module), read_dtype(module)))
    return pytree.tree_map(_to_numpy, outputs) if isinstance(images, np.ndarray) else outputs


def _to_numpy(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    plain = tensor.float() if tensor.dtype is torch.bfloat16 else tensor
    array: np.ndarray[Any, Any] = plain.cpu().numpy()
    return array
