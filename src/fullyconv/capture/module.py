"""What must be known of a torch module before it is run: its number type, its channels, its health."""

from __future__ import annotations

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
        if not tensor.is_floating_point():
            continue
        is_sound = torch.isfinite(tensor) if name in parameters else ~torch.isnan(tensor)
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
