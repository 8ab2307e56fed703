"""Batch normalisation at evaluation, old and new files."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from fullyconv.capture.torch7.fields import Layer, fill

# Before it, the layer kept 1 / sqrt(variance + eps) under the name running_std (nn/BatchNormalization.lua, `read`).
_FIRST_VERSION_WITH_VARIANCE = 2


def build_batch_norm(layer: Layer) -> nn.Module:
    """(x - running_mean) / sqrt(running_var + eps), times weight plus bias where there are any."""
    (count,) = layer.read_shape("running_mean", 1)
    eps = layer.read_number("eps")
    kind = nn.BatchNorm2d if "Spatial" in layer.class_name else nn.BatchNorm1d
    return fill(
        kind(count, eps, device="meta"),
        {
            "running_mean": layer.read_tensor("running_mean", (count,)),
            "running_var": _read_variance(layer, count, eps),
            "weight": layer.read_tensor("weight", (count,)) if layer.has("weight") else torch.ones(count),
            "bias": layer.read_tensor("bias", (count,)) if layer.has("bias") else torch.zeros(count),
            "num_batches_tracked": torch.tensor(0),
        },
    )


def _read_variance(layer: Layer, count: int, eps: float) -> Tensor:
    if layer.version < _FIRST_VERSION_WITH_VARIANCE and layer.has("running_std"):
        variance = layer.read_tensor("running_std", (count,)).double().pow(-2).sub(eps).float()
    else:
        variance = layer.read_tensor("running_var", (count,))
    if not bool((variance + eps > 0).all()):
        raise layer.fail("its running variance: expected more than -eps in each channel")
    return variance


NORMALISATION: Mapping[str, Callable[[Layer], nn.Module]] = {
    f"{library}.{name}": build_batch_norm
    for library in ("nn", "cudnn")
    for name in ("BatchNormalization", "SpatialBatchNormalization")
}
