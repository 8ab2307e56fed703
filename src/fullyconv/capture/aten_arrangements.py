"""ATen operations that put values elsewhere, in normalised form: one short function for each, in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fullyconv.capture.aten_operations import Normal, Use
from fullyconv.capture.calls import Ref
from fullyconv.graph import DepthToSpace, Gather, Identity, Permute, SpaceToDepth, Stack, Unbind
from fullyconv.patches import Overlap, Patches


def _gather(use: Use, axis: int, indices: list[int]) -> Normal:
    size = use.shape()[axis]
    if indices == list(range(size)):
        return Identity(), use.names("self")
    return Gather(axis, tuple(index % size for index in indices)), use.names("self")


def _repeat(use: Use) -> Normal:
    """Both `repeat` and `tile`: a number for each axis.

    Refused: along several axes, or for axes before the first.
    """
    repeats = list(use.arguments.get("repeats", use.arguments.get("dims")))
    missing = len(use.shape()) - len(repeats)
    repeats = [1] * missing + repeats
    axes = [axis for axis, times in enumerate(repeats) if times != 1]
    if missing < 0 or len(axes) > 1 or any(not isinstance(times, int) for times in repeats):
        return None
    axis = axes[0] if axes else 0
    return _gather(use, axis, list(range(use.shape()[axis])) * repeats[axis])


def _repeat_interleave(use: Use) -> Normal:
    times, dim = use["repeats"], use["dim"]
    if not isinstance(times, int) or dim is None:
        return None
    axis = use.axis(dim)
    return _gather(use, axis, [index for index in range(use.shape()[axis]) for _ in range(times)])


def _flip(use: Use) -> Normal:
    axes = [use.axis(axis) for axis in use["dims"] if use.shape()[axis] > 1]
    if len(axes) > 1:
        return None
    axis = axes[0] if axes else 0
    indices = list(range(use.shape()[axis]))
    return _gather(use, axis, indices[::-1] if axes else indices)


def _roll(use: Use) -> Normal:
    """Refused: along several axes, or over the flattened value."""
    shifts, dims = ([value] if isinstance(value, int) else list(value) for value in (use["shifts"], use["dims"]))
    if len(dims) != 1 or len(shifts) != 1:
        return None
    axis = use.axis(dims[0])
    size = use.shape()[axis]
    return _gather(use, axis, [(index - shifts[0]) % size for index in range(size)])


def _index(use: Use) -> Normal:
    """Refused: numbers that depend on the image, several lists of them, tables of them."""
    given = [(axis, value) for axis, value in enumerate(use["indices"]) if value is not None]
    if len(given) != 1 or len(use.shapes[given[0][1].name]) != 1:
        return None
    if str(getattr(use.constants.get(given[0][1].name), "dtype", "")) == "torch.uint8":  # an old form of a mask
        return None
    axis, indices = given[0][0], _read_indices(use, given[0][1])
    return None if indices is None else _gather(use, axis, indices)


def _index_select(use: Use) -> Normal:
    indices = _read_indices(use, use["index"])
    return None if indices is None or not use.shape() else _gather(use, use.axis(use["dim"]), indices)


def _gather_values(use: Use) -> Normal:
    """The same numbers everywhere are a choice of channels; refused: any others."""
    axis, shape = use.axis(use["dim"]), use.shape()
    table, name = use.constants.get(use.name("index")), use.name("index")
    others = [i for i in range(len(shape)) if i != axis]
    if table is None or any(use.shapes[name][i] != shape[i] for i in others):
        return None
    first = table[tuple(slice(None) if i == axis else slice(0, 1) for i in range(len(shape)))]
    if not bool((table == first).all()):
        return None
    return _gather(use, axis, first.flatten().tolist())


def _read_indices(use: Use, argument: Any) -> list[int] | None:
    """Returns whole numbers from a constant; a mask gives the numbers of its true places. None where it is none."""
    values = use.constants.get(argument.name) if isinstance(argument, Ref) else None
    if values is None:
        return None
    flat = values.flatten().tolist()
    if all(isinstance(value, bool) for value in flat):
        return [index for index, value in enumerate(flat) if value]
    return flat if all(isinstance(value, int) for value in flat) else None


def _channel_shuffle(use: Use) -> Normal:
    channels, groups = use.shape()[1], use["groups"]
    return _gather(use, 1, [i * (channels // groups) + j for j in range(channels // groups) for i in range(groups)])


def _stack(use: Use) -> Normal:
    parts = use["tensors"]
    return Stack(use["dim"] % len(use.output_shapes[0])), tuple(part.name for part in parts)


def _unbind(use: Use) -> Normal:
    return Unbind(use.axis(use["dim"])), use.names("self")


def _swap_last(use: Use) -> Normal:
    rank = len(use.shape())
    return Permute((*range(rank - 2), rank - 1, rank - 2)), use.names("self")


def _pixel_unshuffle(use: Use) -> Normal:
    block = use["downscale_factor"]
    return SpaceToDepth((block, block)), use.names("self")


def _read_patches(use: Use) -> Patches:
    kernel, dilation, padding, stride = (use[name] for name in ("kernel_size", "dilation", "padding", "stride"))
    return Patches(tuple(kernel), tuple(dilation), tuple(padding), tuple(stride))


def _im2col(use: Use) -> Normal:
    return _read_patches(use), use.names("self")


def _col2im(use: Use) -> Normal:
    return Overlap(_read_patches(use), tuple(use["output_size"])), use.names("self")


def _pixel_shuffle(use: Use) -> Normal:
    block = use["upscale_factor"]
    return DepthToSpace((block, block)), use.names("self")


ARRANGEMENTS: Mapping[str, Callable[[Use], Normal]] = {
    **dict.fromkeys(("repeat", "tile"), _repeat),
    "repeat_interleave": _repeat_interleave,
    "flip": _flip,
    "roll": _roll,
    "index": _index,
    "index_select": _index_select,
    "gather": _gather_values,
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), _channel_shuffle),
    "mT": _swap_last,
    "stack": _stack,
    "unbind": _unbind,
    "pixel_unshuffle": _pixel_unshuffle,
    "pixel_shuffle": _pixel_shuffle,
    "im2col": _im2col,
    "col2im": _col2im,
}
