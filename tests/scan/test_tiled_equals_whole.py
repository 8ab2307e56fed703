"""Tiles of any size, down to one cell, on images of any size: the scores of one run over the whole, each cell once."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fullyconv
from fullyconv import DenseModel
from fullyconv.card import Border
from fullyconv.scan.job import score_tile
from fullyconv.scan.tiles import TilePlan
from scanned import build_gated, build_padded, build_plain, build_u_shaped
from scans import make_image, score_whole

# A network that does not pad, one that pads, a residual one, and one of tier 2, by how they are built and their window.
NETWORKS = {
    "plain": (build_plain, (14, 18)),
    "padded": (build_padded, (16, 16)),
    "residual": (lambda: build_u_shaped(1), (16, 16)),
    "gated": (build_gated, (16, 16)),
}
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-12}


@cache
def convert(name: str, dtype: torch.dtype, is_fine: bool, border: Border) -> DenseModel:
    torch.manual_seed(5)
    build, window = NETWORKS[name]
    dense = fullyconv.convert(build().eval().to(dtype), window=window).with_border(border)
    finer = tuple(strides[1] if len(strides) > 1 else strides[0] for strides in dense.possible_strides_px)
    return dense.refine(finer) if is_fine else dense


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", NETWORKS)
@given(
    more=st.tuples(st.integers(0, 37), st.integers(0, 37)),
    tile_cells=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    is_fine=st.booleans(),
    border=st.sampled_from(["image", "first-order"]),
)
@settings(max_examples=12, deadline=None, derandomize=True)
def test_each_cell_once_and_as_in_the_whole(
    name: str,
    dtype: torch.dtype,
    more: tuple[int, int],
    tile_cells: tuple[int, int],
    is_fine: bool,
    border: Border,
) -> None:
    dense = convert(name, dtype, is_fine, border)
    size = dense.grid.window_px[0] + more[0], dense.grid.window_px[1] + more[1]
    image = make_image(size)
    expected = score_whole(dense, image)
    plan = TilePlan(dense.grid, size, dense.margins_px, tile_cells, dense.own_stride_px)
    scores, written = np.full_like(expected, np.nan), np.zeros(expected.shape[1:], int)
    for tile in plan:
        owned = slice(*tile.rows), slice(*tile.columns)
        scores[(slice(None), *owned)] = score_tile(dense, image[slice(*tile.y_px), slice(*tile.x_px)], tile, None)
        written[owned] += 1
    assert (written == 1).all()
    np.testing.assert_allclose(scores, expected, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])
