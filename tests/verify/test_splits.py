"""Patches of feature maps in any layout."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fullyconv.errors import ModelError
from fullyconv.grid import Grid
from fullyconv.verify.splits import MapAxes, Probe, SplitTensor, cut_patches

GRID = Grid((8, 12), (4, 4), (2, 3))


def make_map(*shape: int) -> Tensor:
    return torch.arange(float(torch.tensor(shape).prod())).reshape(shape)


def test_patches_are_cut_along_the_axes_of_height_and_width():
    feature_map = make_map(2, 5, 6, 7)
    axes = MapAxes("map", (2, 3), (2, 3), (4, 4))
    patches = cut_patches(feature_map, axes, GRID, [(0, 0, 0), (1, 4, 2)])
    assert torch.equal(patches[0], feature_map[0, :, :2, :3])
    assert torch.equal(patches[1], feature_map[1, :, 4:6, 2:5])


def test_width_may_come_before_height_and_the_map_be_finer_than_the_grid():
    feature_map = make_map(1, 14, 12, 5)
    axes = MapAxes("map", (2, 1), (4, 6), (2, 2))
    patches = cut_patches(feature_map, axes, GRID, [(0, 1, 3)])
    assert torch.equal(patches[0], feature_map[0, 6:12, 2:6])


@pytest.mark.parametrize(("cell", "stride"), [((0, 5, 0), 4), ((0, 0, 5), 4), ((0, 1, 0), 3)])
def test_a_patch_beyond_the_map_or_between_cells_is_refused(cell, stride):
    axes = MapAxes("map", (2, 3), (2, 3), (stride, stride))
    with pytest.raises(ModelError, match=r"map: expected the patch of cell \(0, "):
        cut_patches(make_map(1, 5, 6, 7), axes, GRID, [cell])


def test_a_split_at_the_image_is_known():
    image = torch.rand(2, 3, 8, 12)
    other = SplitTensor("map", torch.rand(2, 3, 8, 12))
    assert Probe(image, (SplitTensor("image", image.clone()),)).is_image()
    assert Probe(image, ()).is_image()
    assert not Probe(image, (other,)).is_image()
