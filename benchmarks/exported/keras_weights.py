"""A Keras network with weights under which errors show.

As in classifiers/weights.py: what Keras makes neutral is drawn anew, then each layer and each BatchNormalization is
fitted to images when the forward first comes to it, with what is before it as it will stay. Statistics of one pass as
in training are those of other signals: under them the gates of EfficientNet-B0 were given values in the thousands, and
its scores in float32 were 1e-4 from those in float64, in the file itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from classifiers.weights import NORM_DEVIATION, measure

_LAYERS = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense")
_NORM = "BatchNormalization"

Fit = Callable[[Any, Any], None]
"""Given a layer and its input."""


def randomise_keras(model: Any, images: np.ndarray, seed: int) -> None:
    """Changes the model's weights; `images` are `(N, h, w, C)`."""
    random = np.random.default_rng(seed)
    layers = list(_list_layers(model))
    for weight in (weight for layer in layers for weight in layer.trainable_weights):
        values = _read(weight)
        if values.size and np.ptp(values) == 0:
            weight.assign(_draw(float(values.flat[0]), values.shape, random).astype(values.dtype))
    is_normed = any(type(layer).__name__ == _NORM for layer in layers)
    fits: dict[str, Fit] = {name: partial(_fit_layer, is_normed) for name in _LAYERS}
    fits[_NORM] = partial(_fit_norm, random)
    with _fitting(layers, fits):
        model(images, training=False)


def _list_layers(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        yield from _list_layers(layer) if hasattr(layer, "layers") else [layer]


def _read(value: Any) -> np.ndarray:
    import keras

    array: np.ndarray = keras.ops.convert_to_numpy(value)
    return array


def _draw(value: float, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Returns scales about 1, the small scales of residual branches about 0.3, and what was 0 about 0."""
    if abs(value) > 0.5:
        return value * random.uniform(0.5, 1.5, shape)
    return random.uniform(0.1, 0.5, shape) if value else 0.2 * random.standard_normal(shape)


@contextmanager
def _fitting(layers: list[Any], fits: dict[str, Fit]) -> Iterator[None]:
    """Fits each layer when the forward first comes to it."""
    fitted = [layer for layer in layers if type(layer).__name__ in fits]
    for layer in fitted:
        object.__setattr__(layer, "call", partial(_fit_once, layer, fits[type(layer).__name__]))
    yield
    for layer in fitted:
        layer.__dict__.pop("call", None)


def _fit_once(layer: Any, fit: Fit, inputs: Any, *options: Any, **named: Any) -> Any:
    if layer.__dict__.pop("call", None):
        fit(layer, inputs)
    return layer.call(inputs, *options, **named)


def _fit_layer(is_normed: bool, layer: Any, inputs: Any) -> None:
    import keras

    activation, layer.activation = layer.activation, keras.activations.linear
    mean, deviation = measure(torch.from_numpy(_read(layer.call(inputs))), -1)
    layer.activation = activation
    if not is_normed:  # as in training: centred at each of many layers, images differ by more and more
        mean = torch.zeros_like(mean)  # of what is small beside rounding
    kernel = [weight for weight in layer.trainable_weights if "kernel" in weight.name][-1]
    kernel.assign(_read(kernel) / deviation)
    if layer.use_bias:
        layer.bias.assign((_read(layer.bias) - mean.numpy()) / deviation)


def _fit_norm(random: np.random.Generator, norm: Any, inputs: Any) -> None:
    mean, deviation = measure(torch.from_numpy(_read(inputs)), norm.axis)
    moved = mean.numpy() + 0.2 * deviation * random.standard_normal(mean.shape)
    spread = (deviation / NORM_DEVIATION) ** 2 * random.uniform(0.5, 1.5, mean.shape)
    norm.moving_mean.assign(moved.astype(np.float32))
    norm.moving_variance.assign(spread.astype(np.float32))
