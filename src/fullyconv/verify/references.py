"""The slow, obvious references: pixel crops, and patches of the feature map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from fullyconv.grid import Grid
from fullyconv.verify.answer import Answer
from fullyconv.verify.halves import Halves, Reference
from fullyconv.verify.outputs import Cell
from fullyconv.verify.splits import MapAxes, cut_patches


def answer_crops(
    original: Reference, images: Tensor, grid: Grid, cells: Sequence[Cell], *, moved_px: int = 0
) -> dict[str, Answer]:
    """Returns what the original gives for the pixels of B windows of images `(N, C, H, W)`, by output.

    Args:
        original: the model.
        images: which images.
        grid: the windows.
        cells: which of them.
        moved_px: how far to move each down and right; up and left where the image ends, as far as it goes.
    """
    (height, width), windows = grid.window_px, []
    for image, row, column in cells:
        y, x = grid.origin_yx((row, column))
        y, x = _move(y, images.shape[2] - height, moved_px), _move(x, images.shape[3] - width, moved_px)
        windows.append(images[image, :, y : y + height, x : x + width])
    return original.answer(torch.stack(windows))


def _move(start: int, last: int, moved_px: int) -> int:
    return start + moved_px if start + moved_px <= last else max(0, start - moved_px)


def answer_patches(
    trunk: tuple[Halves, Sequence[MapAxes]],
    images: Tensor,
    grid: Grid,
    cells: Sequence[Cell],
) -> dict[str, Answer]:
    """Returns what the original's head gives for the patches of B windows, by output.

    Args:
        trunk: the model, cut at its feature maps, and how each lies on the image.
        images: `(N, C, H, W)`; the trunk runs once over them whole.
        grid: the windows.
        cells: which of them.

    Raises:
        ModelError: a feature map has no patch for a window.
        Exception: whatever the user's own forward raises on an image larger than the window.
    """
    halves, axes = trunk
    maps = halves.trunk(images)
    patches = [cut_patches(feature_map, its, grid, cells) for feature_map, its in zip(maps, axes, strict=True)]
    return halves.head(patches)


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
