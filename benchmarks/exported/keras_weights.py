"""A Keras network with weights under which errors show.

As in classifiers/weights.py, what Keras makes neutral is drawn anew, and the statistics of BatchNormalization are
fitted to images, by one pass as in training. Where a network has none, its kernels are drawn so that a rectifier
between two layers leaves the size of the signal as it is (He and others, 2015, equation 10).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from classifiers.weights import NORM_DEVIATION


def randomise_keras(model: Any, images: np.ndarray, seed: int) -> None:
    """Changes the model's weights; `images` are `(N, h, w, C)`."""
    random = np.random.default_rng(seed)
    layers = list(_list_layers(model))
    norms = [layer for layer in layers if type(layer).__name__ == "BatchNormalization"]
    for layer in layers:
        for weight in layer.trainable_weights:
            weight.assign(_draw(weight, random, is_normed=bool(norms)))
        if layer in norms and layer.scale:
            layer.gamma.assign(NORM_DEVIATION * np.array(layer.gamma))  # as there, for the sums of residual networks
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    model(images, training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        _move(norm, random)


def _list_layers(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        yield from _list_layers(layer) if hasattr(layer, "layers") else [layer]


def _draw(weight: Any, random: np.random.Generator, *, is_normed: bool) -> np.ndarray:
    values = np.array(weight)
    if np.ptp(values) > 0:
        if is_normed:
            return values
        inputs = np.prod(values.shape[:-1])
        return (random.standard_normal(values.shape) * np.sqrt(2 / inputs)).astype(values.dtype)
    value = float(values.flat[0]) if values.size else 0.0
    drawn = value * random.uniform(0.5, 1.5, values.shape) if value else 0.1 * random.standard_normal(values.shape)
    return drawn.astype(values.dtype)


def _move(norm: Any, random: np.random.Generator) -> None:
    mean, variance = np.array(norm.moving_mean), np.array(norm.moving_variance)
    moved = mean + 0.2 * np.sqrt(variance) * random.standard_normal(mean.shape)
    norm.moving_mean.assign(moved.astype(mean.dtype))
    spread = variance * random.uniform(0.5, 1.5, variance.shape)
    norm.moving_variance.assign(spread.astype(variance.dtype))
