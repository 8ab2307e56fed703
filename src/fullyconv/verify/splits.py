"""The tensors at which a network was split, and the patches that belong to its windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fullyconv.errors import ModelError
from fullyconv.grid import Grid, Pair
from fullyconv.verify.outputs import Cell


@dataclass(frozen=True, slots=True, eq=False)
class SplitTensor:
    """A tensor where the trunk ends and the head begins.

    Attributes:
        name: what the conversion calls it.
        value: what it is for the probe, `(B, ...)` in any layout.
        derived: whether it is made of the others, cell by cell.
    """

    name: str
    value: Tensor
    derived: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """An image at window size and what the split tensors are for it, by which they are recognised.

    Attributes:
        image: `(B, C, h, w)`, random.
        splits: with values of the same batch.
    """

    image: Tensor
    splits: tuple[SplitTensor, ...]

    def drop_derived(self) -> Probe:
        """Returns the same split, told by the tensors of which the others are made."""
        return replace(self, splits=tuple(split for split in self.splits if not split.derived))

    def is_image(self) -> bool:
        """Returns whether the split is the image itself, so that windows are cut from pixels."""
        return not self.splits or any(
            split.value.shape == self.image.shape and torch.equal(split.value, self.image) for split in self.splits
        )


@dataclass(frozen=True, slots=True)
class MapAxes:
    """How a feature map lies on the image, for each direction: height, then width.

    Attributes:
        name: what the conversion calls it.
        axis: which axis of `(N, ...)` it is.
        extent: cells that one window covers.
        stride_px: pixels between neighbouring cells.
    """

    name: str
    axis: Pair
    extent: Pair
    stride_px: Pair


def cut_patches(feature_map: Tensor, axes: MapAxes, grid: Grid, cells: Sequence[Cell]) -> Tensor:
    """Returns the patches `(B, ...)`, shaped like one window's, of B cells of a larger image's map.

    Raises:
        ModelError: the map has no such patch.
    """
    return torch.stack([_cut_patch(feature_map, axes, grid, cell) for cell in cells])


def _cut_patch(feature_map: Tensor, axes: MapAxes, grid: Grid, cell: Cell) -> Tensor:
    patch = feature_map[cell[0]]
    for axis, number, score_stride, stride, extent in zip(
        axes.axis, cell[1:], grid.stride_px, axes.stride_px, axes.extent, strict=True
    ):
        start, rest = divmod(number * score_stride, stride)
        if rest or start + extent > feature_map.shape[axis]:
            raise ModelError(
                f"{axes.name}: expected the patch of cell {cell} at {number * score_stride}/{stride}, "
                f"{extent} cells long, on axis {axis} of a map of shape {tuple(feature_map.shape)}"
            )
        patch = patch.narrow(axis - 1, start, extent)
    return patch
