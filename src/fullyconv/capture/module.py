"""What must be known of a torch module before it is run: its number type, its channels, its health."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from fullyconv.errors import ModelError


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Puts `module` in evaluation mode for the block; every training flag is restored afterwards."""
    flags = {child: child.training for child in module.modules()}
    try:
        for child in flags:
            child.training = False
        yield
    finally:
        for child, training in flags.items():
            child.training = training


def copy_module(module: nn.Module) -> nn.Module:
    """Returns a copy of `module` in evaluation mode, on its own device.

    Raises:
        ModelError: it cannot be copied.
    """
    try:
        with warnings.catch_warnings(), torch.no_grad():  # or copied weights of TorchScript would have gradients
            warnings.simplefilter("ignore", FutureWarning)  # torch's own pytree deprecations
            duplicate = copy.deepcopy(module)
    except Exception as error:
        raise ModelError(
            f"{type(module).__name__}: the network cannot be copied ({error}); remove "
            "reparametrisations such as weight_norm, or give an exported program"
        ) from error
    for child in duplicate.modules():
        child.training = False  # eval() is forbidden on exported programs
    return duplicate


def read_dtype(module: nn.Module) -> torch.dtype:
    """Returns the dtype of the first floating parameter or buffer, float32 if there is none."""
    tensors = [*module.parameters(), *module.buffers()]
    return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), torch.float32)


def read_device(module: nn.Module) -> torch.device:
    """Returns the device of the first parameter or buffer, the CPU if there is none."""
    return next((tensor.device for tensor in [*module.parameters(), *module.buffers()]), torch.device("cpu"))


def check_weights(module: nn.Module) -> None:
    """Returns if every parameter is finite, and no buffer holds NaN.

    Buffers may be infinite: masks and the bounds of clamps are.

    Raises:
        ModelError: one is not; the message names it.
    """
    parameters = dict(module.named_parameters())
    for name, tensor in [*parameters.items(), *module.named_buffers()]:
        if not tensor.is_floating_point() or not tensor.numel():
            continue
        # The extremes tell, and unlike a mask they take no memory: NaN and infinity are extremes.
        extremes = torch.stack(torch.aminmax(tensor.detach()))
        is_sound = torch.isfinite(extremes) if name in parameters else ~torch.isnan(extremes)
        if not bool(is_sound.all()):
            raise ModelError(
                f"{name}: expected finite weights, got NaN or infinity; the training diverged or the file is "
                "damaged, use an earlier checkpoint"
            )


def suggest_channels(module: nn.Module, window: tuple[int, int]) -> list[int]:
    """Returns the input channels to try, the likeliest first.

    The first convolution says it; for a network that flattens the image at once, the first linear layer does.
    """
    suggestions = []
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            suggestions.append(child.in_channels)
            break
    for child in module.modules():
        if isinstance(child, nn.Linear) and child.in_features % (window[0] * window[1]) == 0:
            suggestions.append(child.in_features // (window[0] * window[1]))
            break
    return list(dict.fromkeys([*suggestions, 3, 1, 4, 2]))
