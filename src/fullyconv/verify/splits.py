"""The tensors at which a network was split, and the patches that belong to its windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fullyconv.errors import ModelError
from fullyconv.grid import Grid, Pair
from fullyconv.verify.outputs import Cell


@dataclass(frozen=True, slots=True, eq=False)
class SplitTensor:
    """A tensor where the trunk ends and the head begins, as the original computes it.

    Attributes:
        name: what the conversion calls it.
        value: what it is for the probe, at window size, `(B, ...)` in the original's own layout.
        y_axis: the axis of `value` that is the image's height, None if it has none left.
        x_axis: the axis of `value` that is the image's width, None if it has none left.
        stride_px: pixels between neighbouring cells, `(y, x)`.
    """

    name: str
    value: Tensor
    y_axis: int | None
    x_axis: int | None
    stride_px: Pair


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """An image at window size and what the split tensors are for it, by which they are recognised.

    Attributes:
        image: `(B, C, h, w)`, random.
        splits: with values of the same batch.
    """

    image: Tensor
    splits: tuple[SplitTensor, ...]

    def is_image(self) -> bool:
        """Returns whether the split is the image itself, so that windows are cut from pixels."""
        return not self.splits or any(
            split.value.shape == self.image.shape and torch.equal(split.value, self.image)
            for split in self.splits
        )


def cut_patches(feature_map: Tensor, split: SplitTensor, grid: Grid, cells: Sequence[Cell]) -> Tensor:
    """Returns the patches `(B, ...)`, shaped like one window's, of B cells of a larger image's map.

    Raises:
        ModelError: the map has no such patch.
    """
    return torch.stack([_cut_patch(feature_map, split, grid, cell) for cell in cells])


def _cut_patch(feature_map: Tensor, split: SplitTensor, grid: Grid, cell: Cell) -> Tensor:
    patch = feature_map[cell[0]]
    for axis, number, score_stride, stride in zip(
        (split.y_axis, split.x_axis), cell[1:], grid.stride_px, split.stride_px, strict=True
    ):
        if axis is None:
            continue
        start, rest = divmod(number * score_stride, stride)
        extent = split.value.shape[axis]
        if rest or start + extent > feature_map.shape[axis]:
            raise ModelError(
                f"{split.name}: expected the patch of cell {cell} at {number * score_stride}/{stride}, "
                f"{extent} cells long, on axis {axis} of a map of shape {tuple(feature_map.shape)}"
            )
        patch = patch.narrow(axis - 1, start, extent)
    return patch
