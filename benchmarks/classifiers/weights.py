"""Random weights under which errors show: nothing neutral, nothing silent, nothing that explodes.

Freshly made networks hide errors. BatchNorm statistics are 0 and 1, biases and position tables 0, residual
branches scaled to 0 or 1e-6, and the signal fades from layer to layer until every image has the same scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)

# Below this a layer's output counts as constant, and dividing by its deviation would only blow up rounding.
_FAINT = 1e-12


def randomise(module: nn.Module, images: Tensor, seed: int) -> nn.Module:
    """Puts the module in evaluation mode and gives it weights under which its scores depend on every part.

    Args:
        module: changed in place and returned.
        images: `(N, C, H, W)` of the window's size; each layer's output gets a standard deviation of 1 on them.
        seed: of all weights that are drawn anew.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            _draw_statistics(name, buffer, generator)
        for parameter in module.parameters():
            if parameter.is_floating_point() and parameter.numel() and _is_constant(parameter):
                _draw(parameter, generator)
        module.eval()
        with _scaling_layers(module):
            module(images)
    return module


def _draw_statistics(name: str, buffer: Tensor, generator: torch.Generator) -> None:
    last = name.rpartition(".")[2]
    if last == "running_mean":
        buffer.copy_(torch.randn(buffer.shape, generator=generator) * 0.2)
    elif last == "running_var":
        buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)


def _is_constant(parameter: Tensor) -> bool:
    return bool((parameter == parameter.flatten()[0]).all())


def _draw(parameter: Tensor, generator: torch.Generator) -> None:
    """Gives scales about 1, the small scales of residual branches about 0.3, and what was 0 about 0."""
    value = float(parameter.flatten()[0])
    if abs(value) > 0.5:
        drawn = value * (torch.rand(parameter.shape, generator=generator) + 0.5)
    elif value:
        drawn = torch.rand(parameter.shape, generator=generator) * 0.4 + 0.1
    else:
        drawn = torch.randn(parameter.shape, generator=generator) * 0.2
    parameter.copy_(drawn)


@contextmanager
def _scaling_layers(module: nn.Module) -> Iterator[None]:
    """Scales each layer, when the forward first comes to it, to outputs of deviation 1."""
    done: set[int] = set()
    layers = [child for child in module.modules() if isinstance(child, _LAYERS) and _is_plain(child)]
    hooks = [layer.register_forward_hook(partial(_scale, done)) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _is_plain(layer: nn.Module) -> bool:
    """Returns whether the layer uses its weight as it is; a standardised weight cannot be scaled."""
    return any(type(layer).forward is base.forward for base in _LAYERS) and "weight" in dict(layer.named_parameters())


def _scale(done: set[int], layer: nn.Module, _: Any, output: Tensor) -> Tensor | None:
    deviation = float(output.std()) if output.numel() > 1 else 1.0
    if id(layer.weight) in done or deviation < _FAINT:
        return None
    done.add(id(layer.weight))
    for tensor in (layer.weight, layer.bias):
        if isinstance(tensor, Tensor):
            tensor.div_(deviation)
    return output / deviation
