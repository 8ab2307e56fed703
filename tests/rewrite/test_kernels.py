"""Weights of the dense network, against torch's own operations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from fullyconv.analyze.plan import AffineFold, Layout, ShiftedBias, Weight
from fullyconv.graph import ChannelAffine, Pointwise
from fullyconv.rewrite import kernels
from fullyconv.rewrite.kernels import make_bins, make_filters, make_shifted_bias, make_weight, measure_kernel


@given(st.integers(1, 12), st.integers(1, 12))
def test_bins_are_adaptive_pooling(bins: int, cells: int) -> None:
    values = torch.randn(1, 1, cells, dtype=torch.float64)
    expected = F.adaptive_avg_pool1d(values, bins)[0, 0].numpy()
    np.testing.assert_allclose(make_bins(bins, cells) @ values[0, 0].numpy(), expected, atol=1e-12)


def test_folding_equals_the_operations_one_after_the_other() -> None:
    generator = np.random.default_rng(0)
    channels, cells, bins, units = 3, (4, 5), (2, 3), 4
    weight, bias = generator.normal(size=(units, channels * 6)), generator.normal(size=units)
    constants = {
        "w": weight, "b": bias, "mean": generator.normal(size=18), "var": generator.uniform(0.5, 2, 18),
        "scale": generator.normal(size=18), "shift": generator.normal(size=18), "more": generator.normal(size=18),
    }  # fmt: skip
    positions = Layout((channels, 2, 3), (0, 1, 2), (channels, 2, 3), (channels, 2, 3))
    folds = (
        AffineFold(ChannelAffine(1e-5), ("mean", "var", "scale", "shift"), positions),
        AffineFold(Pointwise("sub"), ("more",), positions),
        AffineFold(Pointwise("div", (3.0,)), (), positions),
    )
    layout = Layout((units, channels, 2, 3), (0, 1, 2, 3), (units, channels, 2, 3), (units, channels, 2, 3))
    folded = Weight("w", layout, ((bins[0], cells[0]), (bins[1], cells[1])), folds)
    kernel = make_weight(folded, constants.__getitem__)
    shifted = make_shifted_bias(ShiftedBias("b", folded), constants.__getitem__)

    patch = torch.from_numpy(generator.normal(size=(1, channels, *cells)))
    flat = F.adaptive_avg_pool2d(patch, bins).flatten(1).numpy()
    normed = (flat - constants["mean"]) / np.sqrt(constants["var"] + 1e-5) * constants["scale"] + constants["shift"]
    expected = ((normed - constants["more"]) / 3) @ weight.T + bias
    got = F.conv2d(patch, torch.from_numpy(kernel), torch.from_numpy(shifted))[..., 0, 0]
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12)
    plain = make_shifted_bias(ShiftedBias("", folded), constants.__getitem__)
    np.testing.assert_allclose(shifted - plain, bias, rtol=1e-12)


def test_blocks_of_filters_make_the_whole_weight_in_its_own_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """In blocks of one filter and all at once; in the source's order, another one, and with filters on two axes."""
    generator = np.random.default_rng(0)
    values, constants = generator.normal(size=(6, 24)).astype(np.float32), {"s": np.float32([3, 0.1, 7])}
    scaled = AffineFold(Pointwise("mul"), ("s",), Layout((3, 1, 1), (0, 1, 2), (3, 1, 1), (3, 1, 1)))
    layouts = {
        "as it is": (Layout((6, 3, 2, 4), (0, 1, 2, 3), (6, 3, 2, 4), (6, 3, 2, 4)), "kcij->kcij"),
        "last": (Layout((6, 2, 4, 3), (0, 3, 1, 2), (6, 3, 2, 4), (6, 3, 2, 4)), "kijc->kcij"),
        "two axes": (Layout((2, 3, 3, 2, 4), (0, 1, 2, 3, 4), (2, 3, 3, 2, 4), (6, 3, 2, 4)), "abcij->abcij"),
    }
    for name, (layout, letters) in layouts.items():
        weight = Weight("w", layout, ((2, 3), (4, 2)), (scaled,))
        ordered = np.einsum(letters, values.astype(np.float64).reshape(layout.view)).reshape(6, 3, 2, 4)
        pooled = np.einsum("kcij,iy,jx->kcyx", ordered, make_bins(2, 3), make_bins(4, 2))
        expected = pooled * constants["s"].astype(np.float64)[:, None, None]
        read = {**constants, "w": values}.__getitem__
        whole = make_weight(weight, read)
        assert whole.dtype == np.float32, name
        assert measure_kernel(weight, (6, 24)) == whole.shape == (6, 3, 3, 2)
        np.testing.assert_allclose(whole, expected, rtol=1e-7)
        bias = make_shifted_bias(ShiftedBias("", weight), read)
        with monkeypatch.context() as patch:
            patch.setattr(kernels, "_BLOCK_VALUES", 1)
            starts = [start for start, _ in make_filters(weight, read)]
            assert starts == list(range(6)), name
            np.testing.assert_array_equal(make_weight(weight, read), whole)
            np.testing.assert_array_equal(make_shifted_bias(ShiftedBias("", weight), read), bias)
