"""Random weights under which errors show: nothing neutral, nothing silent, nothing that explodes.

Freshly made networks hide errors. BatchNorm statistics are 0 and 1, biases and position tables 0, residual
branches scaled to 0 or 1e-6, and what the image says fades from layer to layer until every image has the same
scores. So what is constant is drawn anew, and then each layer and each statistic is fitted to two images, in
one pass: a layer's outputs vary by about 1 from place to place, as they do in a trained network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_LAYERS = (*_CONVOLUTIONS, nn.Linear)

# Where variation is a smaller part of the signal, what is common stays, and layers are fitted to the size of the
# signal, not of what varies in it: to enlarge the rest enlarges the rounding of float32 as well. In gates, which
# pool most variation away, and in the last layer of EfficientNet-B0 that made 1e-4 of the scores, in the original.
LEAST_VARIATION = 0.3

# Norms give a third of what passes beside them, so that a residual branch adds little rounding to the sum: in
# networks of fifty blocks it grew from one to the next until it was as large as the scores.
NORM_DEVIATION = 1 / 3


def randomise(module: nn.Module, images: Tensor, seed: int, *, least_variation: float = LEAST_VARIATION) -> nn.Module:
    """Puts the module in evaluation mode and gives it weights under which its scores depend on every part.

    Args:
        module: changed in place and returned.
        images: `(N, C, H, W)` of the window's size, N at least 2, that the weights are fitted to.
        seed: of all weights that are drawn anew.
        least_variation: where variation is a smaller part of a signal, what is common to it stays.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.is_floating_point() and parameter.numel() and _is_constant(parameter):
                _draw(parameter, generator)
        for norm in _list_norms(module):
            if isinstance(norm.weight, Tensor):
                norm.weight.copy_(torch.rand(norm.weight.shape, generator=generator) + 0.5)
        module.eval()
        with _fitting(module, generator, least_variation):
            module(images)
    return module


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


def _list_norms(module: nn.Module) -> list[Any]:
    """Returns the modules that keep statistics."""
    return [child for child in module.modules() if isinstance(getattr(child, "running_mean", None), Tensor)]


@contextmanager
def _fitting(module: nn.Module, generator: torch.Generator, least: float) -> Iterator[None]:
    """Fits each layer and each norm when the forward first comes to it."""
    done: set[int] = set()
    layers = [child for child in module.modules() if isinstance(child, _LAYERS) and _is_plain(child)]
    hooks = [layer.register_forward_hook(partial(_fit_layer, done, least)) for layer in layers]
    hooks += [
        norm.register_forward_pre_hook(partial(_fit_norm, done, generator, least)) for norm in _list_norms(module)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _is_plain(layer: nn.Module) -> bool:
    """Returns whether the layer uses its weight as it is; a standardised weight cannot be scaled."""
    return any(type(layer).forward is base.forward for base in _LAYERS) and "weight" in dict(layer.named_parameters())


def _fit_layer(done: set[int], least: float, layer: Any, _: Any, output: Tensor) -> Tensor | None:
    if id(layer.weight) in done:
        return None
    done.add(id(layer.weight))
    axis = -1 if isinstance(layer, nn.Linear) else 1
    mean, deviation = measure(output, axis, least)
    layer.weight.div_(deviation)
    if layer.bias is None:
        return output / deviation
    layer.bias.sub_(mean).div_(deviation)
    return ((output.movedim(axis, -1) - mean) / deviation).movedim(-1, axis)


def _fit_norm(done: set[int], generator: torch.Generator, least: float, norm: Any, inputs: tuple[Tensor, ...]) -> None:
    if id(norm.running_mean) in done:
        return
    done.add(id(norm.running_mean))
    mean, deviation = measure(inputs[0], 1, least)
    shape = norm.running_mean.shape
    norm.running_mean.copy_(mean + 0.2 * deviation * torch.randn(shape, generator=generator))
    norm.running_var.copy_((deviation / NORM_DEVIATION) ** 2 * (torch.rand(shape, generator=generator) + 0.5))


def measure(values: Tensor, axis: int, least_variation: float = LEAST_VARIATION) -> tuple[Tensor, float]:
    """Returns the mean of each channel, 0 where values vary little about it, and their size."""
    rows = values.movedim(axis, -1).flatten(0, -2)
    variation = float(rows.var(0, correction=0).mean().sqrt())
    size = float(rows.square().mean().sqrt())
    mean = rows.mean(0) if variation >= least_variation * size else torch.zeros_like(rows[0])
    return mean, size or 1.0
