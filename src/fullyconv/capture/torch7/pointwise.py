"""Layers that act on each value: activations, softmax over the channels, and dropout at evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from fullyconv.capture.torch7.fields import Layer, describe, fill
from fullyconv.errors import ModelError


class Scale(nn.Module):
    """Multiplies by a number that was not learnt."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Returns the scaled tensor, of the same shape."""
        return x * self.factor


class OverAll(nn.Module):
    """Runs a layer that would mix rows and columns with channels, so only after they are gone: on `(N, C)`."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Returns what the layer gives for `(N, C)`.

        Raises:
            ModelError: the tensor has another number of axes.
        """
        if x.dim() != 2:
            raise ModelError(f"cudnn.SoftMax or LogSoftMax: expected (N, C), got {tuple(x.shape)}")
        result: Tensor = self.inner(x)
        return result


def build_threshold(layer: Layer) -> nn.Module:
    """Keeps what is above the threshold, and puts a value elsewhere; nn.ReLU is one too."""
    threshold, value = layer.read_number("threshold"), layer.read_number("val")
    return nn.ReLU() if threshold == value == 0 else nn.Threshold(threshold, value)


def build_prelu(layer: Layer) -> nn.Module:
    """A slope for each channel; with nOutputPlane 0 one for all."""
    count = layer.read_int("nOutputPlane") or 1
    return fill(nn.PReLU(count, device="meta"), {"weight": layer.read_tensor("weight", (count,))})


def build_cudnn_softmax(layer: Layer) -> nn.Module:
    """Softmax or its logarithm over the channels; without "Spatial" over all that an image has left."""
    is_log, is_spatial = "Log" in layer.class_name, "Spatial" in layer.class_name
    told = {
        "algorithm": ("CUDNN_SOFTMAX_LOG",) if is_log else ("CUDNN_SOFTMAX_FAST", "CUDNN_SOFTMAX_ACCURATE"),
        "mode": ("CUDNN_SOFTMAX_MODE_CHANNEL",) if is_spatial else ("CUDNN_SOFTMAX_MODE_INSTANCE",),
    }
    for name, usual in told.items():
        if layer.has(name) and layer.stored.fields[name] not in usual:
            raise layer.fail(f"{name}: expected {usual[-1]}, got {describe(layer.stored.fields[name])}")
    softmax = nn.LogSoftmax(1) if is_log else nn.Softmax(1)
    return softmax if is_spatial else OverAll(softmax)


def build_dropout(layer: Layer) -> nn.Module:
    """Nothing at evaluation, or in its first version, where `v2` is not true, a factor 1 - p."""
    if layer.read_flag("stochastic_inference", default=False):
        raise layer.fail("stochastic_inference: expected false, got true; its scores would be random")
    return nn.Identity() if layer.read_flag("v2", default=False) else _build_factor(layer)


def build_spatial_dropout(layer: Layer) -> nn.Module:
    """A factor 1 - p at evaluation; this layer never had the second version's scaling."""
    if layer.read_flag("stochasticInference", default=False):
        raise layer.fail("stochasticInference: expected false, got true; its scores would be random")
    return _build_factor(layer)


def _build_factor(layer: Layer) -> nn.Module:
    share = layer.read_number("p")
    if not 0 <= share < 1:
        raise layer.fail(f"p: expected 0 <= p < 1, got {share}")
    return Scale(1 - share) if share else nn.Identity()


POINTWISE: Mapping[str, Callable[[Layer], nn.Module]] = {
    "nn.Threshold": build_threshold,
    "nn.ReLU": build_threshold,
    "cudnn.ReLU": lambda layer: nn.ReLU(),
    **{f"{library}.Tanh": lambda layer: nn.Tanh() for library in ("nn", "cudnn")},
    **{f"{library}.Sigmoid": lambda layer: nn.Sigmoid() for library in ("nn", "cudnn")},
    "nn.PReLU": build_prelu,
    "nn.LeakyReLU": lambda layer: nn.LeakyReLU(layer.read_number("negval")),
    "nn.ELU": lambda layer: nn.ELU(layer.read_number("alpha")),
    **{name: lambda layer: nn.Softmax(1) for name in ("nn.SoftMax", "nn.SpatialSoftMax")},
    **{name: lambda layer: nn.LogSoftmax(1) for name in ("nn.LogSoftMax", "nn.SpatialLogSoftMax")},
    **{f"cudnn.{name}Max": build_cudnn_softmax for name in ("Soft", "LogSoft", "SpatialSoft", "SpatialLogSoft")},
    "nn.Dropout": build_dropout,
    "nn.SpatialDropout": build_spatial_dropout,
    "nn.Identity": lambda layer: nn.Identity(),
}
