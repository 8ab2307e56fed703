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
from fullyconv.patches import Patches, TransposedConv

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
    """A table of all places in their order is a reshape; refused: any other, and places that depend on the image."""
    indices = use.read(1)
    if indices is None:
        return None
    axis = use.axis(use.get("axis", 0))
    size = use.shape()[axis]
    if indices.ndim == 0:
        return Select(axis, int(indices) % size), use.inputs[:1]
    places = tuple(int(index) % size for index in indices.reshape(-1))
    if places == tuple(range(size)):
        return (Regroup() if indices.ndim > 1 else Identity()), use.inputs[:1]
    if indices.ndim > 1:
        return None
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


def _conv_transpose(use: OnnxUse) -> Normal:
    """Refused: along one axis or three.

    Where the size is given, or is to be the stride's multiple, padding follows from what it is at window size.
    """
    kernel, size = use.shape(1)[2:], use.output_shapes[0][2:]
    if len(kernel) != 2:
        return None
    stride, dilation = tuple(use.get("strides", (1, 1))), tuple(use.get("dilations", (1, 1)))
    pads = tuple(use.get("pads", (0, 0, 0, 0)))[:2]
    if use.get("output_shape") is not None or use.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        more = use.get("output_padding", (0, 0))
        lengths = zip(use.shape()[2:], stride, kernel, dilation, more, size, strict=True)
        spare = [(cells - 1) * step + (taps - 1) * d + 1 + extra - to for cells, step, taps, d, extra, to in lengths]
        pads = tuple(total // 2 if use.get("auto_pad") == "SAME_UPPER" else total - total // 2 for total in spare)
    patches = Patches((kernel[0], kernel[1]), dilation, (pads[0], pads[1]), stride)
    op = TransposedConv(patches, (size[0], size[1]), use.get("group", 1))
    return op, (use.name(0), use.name(1), use.name(2))


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
    "ConvTranspose": _conv_transpose,
}
