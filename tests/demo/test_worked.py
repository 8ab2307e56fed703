"""The worked example: 31 x 13 = 403 scores equal all patches and all crops, in float32 and in float64."""

from __future__ import annotations

from pathlib import Path

import pytest
import skimage

from fullyconv.demo.worked import run_worked

PHOTO = Path(skimage.__file__).parent / "data" / "motorcycle_left.png"


@pytest.fixture(scope="module")
def worked():
    return run_worked(PHOTO, rounds=1)


def test_the_grid_is_the_one_of_the_design(worked):
    assert worked.feature_map == (16, 32)
    assert worked.comparison.grid_shape == (13, 31)
    assert worked.comparison.windows == 403
    assert worked.photo.size == (1024, 512)


def test_all_scores_equal_crops_and_patches(worked):
    assert worked.comparison.max_relative_error < 1e-5
    assert worked.patches_error < 1e-5
    assert worked.crops_error_fp64 < 1e-12
    assert worked.patches_error_fp64 < 1e-12


def test_the_scores_differ_so_that_equality_says_something(worked):
    assert len(set(worked.scores.ravel().tolist())) > 390
    assert worked.scores.max() - worked.scores.min() > 0.1
