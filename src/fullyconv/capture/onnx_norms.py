"""ONNX normalisations by their own statistics, and variances that exporters spell out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fullyconv.capture.onnx_operations import NORMALISERS, Normal, OnnxUse, find_axes
from fullyconv.graph import GroupNorm, RmsNorm, Statistic

if TYPE_CHECKING:
    import onnx_ir as ir


def _instance_norm(use: OnnxUse) -> Normal:
    """A group for each of the second axis's places; exporters put the groups of a group norm there."""
    return GroupNorm(use.shape()[1], use.get("epsilon", 1e-5)), use.inputs[:3]


def _group_norm(use: OnnxUse) -> Normal:
    """Refused: one scale for each group, as operators before opset 21 have it, where groups have several channels."""
    if use.shape(1) != use.shape()[1:2]:
        return None
    return GroupNorm(use.get("num_groups"), use.get("epsilon", 1e-5)), use.inputs[:3]


def _rms_norm(use: OnnxUse) -> Normal:
    axes = len(use.shape()) - use.axis(use.get("axis", -1))
    return RmsNorm(axes, use.get("epsilon", 1e-5)), use.inputs[:2]


def _mean(use: OnnxUse) -> Normal:
    """A mean of squares of what is left of a map without its mean is a variance.

    As such it is a statistic of the map. Piece by piece, the window's mean would meet the map that it came from, which
    is local in the channels alone: that is left as it is.
    """
    axes, source = find_axes(use), _find_variance_source(use)
    if axes is None or source is None or len(use.shape()) != 4 or len(axes) < 2:
        return NORMALISERS["ReduceMean"](use)
    return Statistic("variance", axes, bool(use.get("keepdims", 1)), 0.0), (source,)


def _find_variance_source(use: OnnxUse) -> str | None:
    """Returns the name of x where the node is the mean of (x - mean x) squared, over the same axes."""
    centred = _find_root(use.node.inputs[0], use)
    difference = centred.producer() if centred is not None else None
    if difference is None or difference.op_type != "Sub":
        return None
    x, mean = difference.inputs
    node = mean.producer() if mean is not None else None
    if x is None or node is None or node.op_type != "ReduceMean" or node.inputs[0] is not x:
        return None
    names = tuple("" if value is None else str(value.name) for value in node.inputs)
    inner = replace(use, node=node, inputs=names)
    same = find_axes(inner) == find_axes(use) and bool(inner.get("keepdims", 1))
    return str(x.name) if same else None


def _find_root(square: ir.Value | None, use: OnnxUse) -> ir.Value | None:
    """Returns what a value is the square of."""
    node = square.producer() if square is not None else None
    if node is None:
        return None
    first, last = (*node.inputs, None, None)[:2]
    if node.op_type == "Mul" and first is last:
        return first
    if node.op_type == "Pow" and last is not None and str(last.name) in use.constants:
        return first if np.array_equal(use.constants[str(last.name)]().reshape(-1), [2]) else None
    return None


NORMS: Mapping[str, Callable[[OnnxUse], Normal]] = {
    "InstanceNormalization": _instance_norm,
    "GroupNormalization": _group_norm,
    "RMSNormalization": _rms_norm,
    "ReduceMean": _mean,
}
