"""The slow, obvious references: pixel crops, and patches of the feature map."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from fullyconv.errors import ModelError
from fullyconv.grid import Grid, Pair
from fullyconv.verify.cut import Cut, run_head, run_trunk
from fullyconv.verify.original import Answer, Original
from fullyconv.verify.outputs import Cell
from fullyconv.verify.splits import Probe, SplitTensor, cut_patches

# Strides by which the image is made longer to see which axis of the map grows: any number from 1.
_GROWTH = 2


def answer_crops(original: Original, images: Tensor, grid: Grid, cells: Sequence[Cell]) -> dict[str, Answer]:
    """Returns what the original gives for the pixels of B windows of images `(N, C, H, W)`, by output."""
    height, width = grid.window_px
    windows = []
    for image, row, column in cells:
        y, x = grid.origin_yx((row, column))
        windows.append(images[image, :, y : y + height, x : x + width])
    return original.answer(torch.stack(windows))


def answer_patches(
    original: Original, cut: Cut, probe: Probe, images: Tensor, grid: Grid, cells: Sequence[Cell]
) -> dict[str, Answer]:
    """Returns what the original's head gives for the patches of B windows, by output.

    Args:
        original: the model.
        cut: where its forward makes the feature maps.
        probe: the split tensors, with their axes.
        images: `(N, C, H, W)`; the trunk runs once over them whole.
        grid: the windows.
        cells: which of them.

    Raises:
        ModelError: a feature map has no patch for a window.
        Exception: whatever the user's own forward raises on an image larger than the window.
    """
    maps = run_trunk(original, cut, images)
    patches = [
        cut_patches(feature_map, split, grid, cells)
        for feature_map, split in zip(maps, probe.splits, strict=True)
    ]
    return run_head(original, cut, patches)


def pad_to_strides(images: Tensor, grid: Grid) -> Tensor:
    """Returns images `(N, C, H, W)` with zeros right and bottom up to the window and whole strides.

    Networks whose branches round their sizes differently run on such images only; so does the converted
    network, which drops the cells that fall outside.
    """
    missing = [
        -(size - window) % stride
        for size, window, stride in zip(images.shape[-2:], grid.window_px, grid.stride_px, strict=True)
    ]
    return F.pad(images, (0, missing[1], 0, missing[0]))


def locate_axes(original: Original, cut: Cut, probe: Probe, grid: Grid) -> Probe:
    """Returns the probe with the axes of height and width that were not known, seen from how the maps grow.

    Where one row or column of the map is left at window size, its shape does not say which axis that is.

    Raises:
        ModelError: the map does not grow along one axis of size 1.
        Exception: whatever the user's own forward raises on an image larger than the window.
    """
    axes = []
    for direction in (0, 1):
        given = [(split.y_axis, split.x_axis)[direction] for split in probe.splits]
        if None in given:
            maps = run_trunk(original, cut, _grow(original.window, grid.stride_px, direction))
            pairs = zip(probe.splits, given, maps, strict=True)
            given = [_find_grown(split, larger) if axis is None else axis for split, axis, larger in pairs]
        axes.append(given)
    splits = zip(probe.splits, *axes, strict=True)
    return Probe(probe.image, tuple(dataclasses.replace(split, y_axis=y, x_axis=x) for split, y, x in splits))


def _grow(window: Tensor, stride_px: Pair, direction: int) -> Tensor:
    more = [0, 0]
    more[direction] = _GROWTH * stride_px[direction]
    return F.pad(window, (0, more[1], 0, more[0]))


def _find_grown(split: SplitTensor, larger: Tensor) -> int | None:
    if larger.dim() != split.value.dim():
        raise ModelError(
            f"{split.name}: its rank is {split.value.dim()} for a window, {larger.dim()} for more"
        )
    grown = [axis for axis in range(1, larger.dim()) if larger.shape[axis] != split.value.shape[axis]]
    if len(grown) > 1 or any(split.value.shape[axis] != 1 for axis in grown):
        raise ModelError(
            f"{split.name}: expected one axis of size 1 to grow with the image, got shape "
            f"{tuple(larger.shape)} for more than a window, {tuple(split.value.shape)} for one"
        )
    return grown[0] if grown else None
