"""The images that are checked, and the windows chosen on them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fullyconv.card import ModelCard, Preprocessing
from fullyconv.errors import ImageError, OptionError
from fullyconv.grid import Grid
from fullyconv.verify.samples import choose_cells, make_random_samples, make_window_sample, read_samples

CARD = ModelCard((8, 10), 3, preprocessing=Preprocessing(mean=(0.5,), std=(0.25,)))


@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_random_samples_cover_both_kinds_of_sizes(window, stride):
    grid = Grid(window, stride, (1, 1))
    whole, rests = make_random_samples(grid, 3, seed=0)
    assert grid.extent_px(grid.shape(whole.size_px())) == whole.size_px()
    assert grid.shape(whole.size_px()) == (3, 4)
    assert len(rests.images) == 2
    left = [(size - extent) % step for size, extent, step in zip(rests.size_px(), window, stride, strict=True)]
    assert left == [stride[0] // 2, stride[1] - 1]
    windows = make_window_sample(grid, 3, seed=0, count=10)
    assert windows.size_px() == window
    assert len(windows.images) == 10
    assert float(whole.images.std()) > 0.3


def test_random_samples_come_back_with_their_seed():
    grid = Grid((8, 10), (2, 2), (4, 5))
    first, again, other = (make_random_samples(grid, 3, seed)[0].images for seed in (0, 0, 9))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@given(st.integers(1, 3), st.integers(1, 20), st.integers(1, 20), st.integers(1, 70), st.integers(0, 5))
def test_chosen_windows_lie_on_the_grid_once_with_the_corners(images, rows, columns, limit, seed):
    cells = choose_cells(images, (rows, columns), limit, seed)
    assert len(set(cells)) == len(cells) <= max(limit, 4 * images)
    assert len(cells) >= min(limit, images * rows * columns)
    assert all(0 <= n < images and 0 <= i < rows and 0 <= j < columns for n, i, j in cells)
    corners = {(n, i, j) for n in range(images) for i in (0, rows - 1) for j in (0, columns - 1)}
    assert corners <= set(cells)
    assert cells == choose_cells(images, (rows, columns), limit, seed)


def test_paths_and_pixels_are_prepared_and_floats_are_taken_as_they_are(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    path = tmp_path / "image.png"
    Image.fromarray(pixels).save(path)
    floats = (pixels.transpose(2, 0, 1).astype(np.float32) / 255 - 0.5) / 0.25
    samples = read_samples([path, str(path), pixels, floats, torch.from_numpy(floats)[None]], CARD)
    assert [sample.images.shape for sample in samples] == [(1, 3, 12, 16)] * 5
    for sample in samples:
        torch.testing.assert_close(sample.images[0], torch.from_numpy(floats), rtol=1e-5, atol=1e-6)
    assert [sample.name for sample in samples[1:4]] == [str(path), "array 3", "tensor 4"]


def test_one_image_needs_no_list_and_grey_pixels_no_channels():
    grey = np.full((9, 11), 128, dtype=np.uint8)
    (sample,) = read_samples(grey, ModelCard((8, 10), 1))
    assert sample.images.shape == (1, 1, 9, 11)
    assert len(read_samples(torch.zeros(4, 3, 9, 11), CARD)[0].images) == 4


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (3, OptionError, "expected images as paths, arrays or tensors, got int"),
        ([], OptionError, "expected at least one image, got none"),
        ([3], OptionError, "image 1: expected a path, an array or a tensor, got int"),
        (torch.zeros(3, 9, 11, dtype=torch.int64), ImageError, r"image 1: expected uint8 .* got torch.int64"),
        (torch.zeros(9, 11), ImageError, r"image 1: .* got torch.float32 \(9, 11\)"),
        (torch.zeros(4, 9, 11), ImageError, "tensor 1: expected images of 3 channels"),
        (torch.zeros(0, 3, 9, 11), ImageError, "tensor 1: expected images of 3 channels"),
        (torch.zeros(3, 9, 9), ImageError, "smaller than the window"),
    ],
)
def test_what_is_no_image_for_the_network_is_refused(images, error, message):
    with pytest.raises(error, match=message):
        read_samples(images, CARD)
