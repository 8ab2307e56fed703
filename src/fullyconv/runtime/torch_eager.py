"""Runs a torch module on torch tensors or numpy arrays."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from fullyconv.capture.module import read_device, read_dtype
from fullyconv.errors import ImageError
from fullyconv.runtime.runner import Runner

Images = TypeVar("Images", torch.Tensor, np.ndarray)


def run_eagerly(module: nn.Module, images: Images, runner: Runner | None = None) -> Any:
    """Returns the module's outputs, as torch tensors or numpy arrays, like the images.

    Args:
        module: takes `(N, C, H, W)` of its own dtype and device.
        runner: what runs in its place, if anything does; takes images wherever they are.
        images: `(N, C, H, W)` floats of any dtype, on any device; not changed.

    Returns:
        The module's own structure of outputs, in its dtype; numpy has no bfloat16, so that becomes float32.

    Raises:
        ImageError: they are neither, or not of floats.
    """
    tensor = read_images(images)
    with torch.inference_mode():
        given = tensor.to(tensor.device if runner else read_device(module), read_dtype(module))
        outputs = (runner or module)(given)
    return pytree.tree_map(_to_numpy, outputs) if isinstance(images, np.ndarray) else outputs


def read_images(images: object) -> torch.Tensor:
    """Returns images as a tensor; arrays are copied only where torch cannot share their memory.

    Raises:
        ImageError: they are neither a tensor nor an array, or not of floats.
    """
    if isinstance(images, np.ndarray):
        _check_floats(images.dtype, is_floating=np.issubdtype(images.dtype, np.floating))
        return torch.from_numpy(_share(images))
    if not isinstance(images, torch.Tensor):
        raise ImageError(f"images: expected a torch tensor or a numpy array, got {type(images).__name__}")
    _check_floats(images.dtype, is_floating=images.is_floating_point())
    return images


def _check_floats(dtype: object, *, is_floating: bool) -> None:
    if not is_floating:
        raise ImageError(
            f"images: expected floats, preprocessed as dense.card.preprocessing says, got {dtype}; "
            "fullyconv.images.prepare(image, dense.card) does it for 8-bit pixels"
        )


def _share(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Returns an array whose memory torch can use: writable, forwards, of native numbers of up to 8 bytes."""
    size = min(array.dtype.itemsize, 8)
    known = array.dtype.isnative and size == array.dtype.itemsize
    if known and array.flags.writeable and min(array.strides, default=0) >= 0:
        return array
    return np.array(array, dtype=f"=f{size}", order="C")


def _to_numpy(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    plain = tensor.float() if tensor.dtype is torch.bfloat16 else tensor
    array: np.ndarray[Any, Any] = plain.cpu().numpy()
    return array
