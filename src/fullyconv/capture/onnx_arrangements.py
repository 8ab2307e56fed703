"""ONNX operators that put values elsewhere, in normalised form: one short function for each, in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from fullyconv.capture.onnx_operations import Normal, OnnxUse
from fullyconv.graph import (
    Concat,
    DepthToSpace,
    Expand,
    Gather,
    Identity,
    Pad,
    Permute,
    Regroup,
    Select,
    Slice,
    Split,
)

_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def _identity(use: OnnxUse) -> Normal:
    return Identity(), use.inputs[:1]


def _regroup(use: OnnxUse) -> Normal:
    return Regroup(), use.inputs[:1]


def _expand(use: OnnxUse) -> Normal:
    same = prod(use.shape()) == prod(use.output_shapes[0])
    return (Regroup() if same else Expand()), use.inputs[:1]


def _transpose(use: OnnxUse) -> Normal:
    rank = len(use.shape())
    return Permute(tuple(use.get("perm", tuple(reversed(range(rank)))))), use.inputs[:1]


def _concat(use: OnnxUse) -> Normal:
    return Concat(use.axis(use.get("axis"))), use.inputs


def _split(use: OnnxUse) -> Normal:
    axis = use.axis(use.get("axis", 0))
    return Split(axis, tuple(shape[axis] for shape in use.output_shapes)), use.inputs[:1]


def _slice(use: OnnxUse) -> Normal:
    """Along one axis; `onnx_single_axes` has divided those along several.

    Refused: places that depend on the image.
    """
    starts, ends, axes, steps = (use.read(place) for place in (1, 2, 3, 4))
    if starts is None or ends is None or not all(use.is_constant_or_missing(place) for place in (3, 4)):
        return None
    if starts.size != 1:
        return None
    axis = use.axis(0 if axes is None else int(axes.reshape(-1)[0]))
    step = 1 if steps is None else int(steps.reshape(-1)[0])
    size = use.shape()[axis]
    start, stop, step = slice(int(starts.reshape(-1)[0]), int(ends.reshape(-1)[0]), step).indices(size)
    if step < 0:
        return Gather(axis, tuple(range(start, stop, step))), use.inputs[:1]
    if (start, stop, step) == (0, size, 1):
        return Identity(), use.inputs[:1]
    return Slice(axis, start, max(start, stop), step), use.inputs[:1]


def _gather(use: OnnxUse) -> Normal:
    """Refused: places that depend on the image, tables of places."""
    indices = use.read(1)
    if indices is None or indices.ndim > 1:
        return None
    axis = use.axis(use.get("axis", 0))
    size = use.shape()[axis]
    if indices.ndim == 0:
        return Select(axis, int(indices) % size), use.inputs[:1]
    places = tuple(int(index) % size for index in indices.tolist())
    if places == tuple(range(size)):
        return Identity(), use.inputs[:1]
    return Gather(axis, places), use.inputs[:1]


def _pad(use: OnnxUse) -> Normal:
    pads, value, axes = use.read(1), use.read(2), use.read(3)
    mode = _MODES.get(use.get("mode", "constant"))
    if pads is None or mode is None or not all(use.is_constant_or_missing(place) for place in (2, 3)):
        return None
    rank, flat = len(use.shape()), [int(size) for size in pads.reshape(-1)]
    chosen = list(range(rank)) if axes is None else [use.axis(axis) for axis in axes.reshape(-1)]
    if not any(flat):
        return Identity(), use.inputs[:1]
    if len(flat) != 2 * len(chosen):
        return None
    sides = [(0, 0)] * rank
    for place, axis in enumerate(chosen):
        sides[axis] = flat[place], flat[place + len(chosen)]
    return Pad(tuple(sides), mode, 0.0 if value is None else float(value.reshape(()))), use.inputs[:1]


def _tile(use: OnnxUse) -> Normal:
    """Refused: along several axes."""
    repeats = use.read(1)
    if repeats is None:
        return None
    axes = [axis for axis, times in enumerate(repeats.tolist()) if times != 1]
    if not axes:
        return Identity(), use.inputs[:1]
    if len(axes) > 1:
        return None
    return Gather(axes[0], tuple(range(use.shape()[axes[0]])) * int(repeats[axes[0]])), use.inputs[:1]


def _depth_to_space(use: OnnxUse) -> Normal:
    """Refused: the older order of the channels, in which those of a block are the outer ones."""
    block = use.get("blocksize")
    return (DepthToSpace((block, block)), use.inputs[:1]) if use.get("mode", "DCR") == "CRD" else None


ARRANGEMENTS: Mapping[str, Callable[[OnnxUse], Normal]] = {
    "Identity": _identity,
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _regroup),
    "Expand": _expand,
    "Transpose": _transpose,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "Pad": _pad,
    "Tile": _tile,
    "DepthToSpace": _depth_to_space,
}
