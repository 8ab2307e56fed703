"""Resizing in ONNX: by whole factors a map only becomes finer; anything else runs on windows."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from onnx_files import between, check_crops, node, pooled

LOCAL = {  # name: nodes, features, weights
    "resize by whole scales": (
        [
            helper.make_node(
                "Resize", ["m", "", "scales"], ["r"], coordinate_transformation_mode="asymmetric", nearest_mode="floor"
            ),
            node("Tanh", "r", "t"),
            *pooled("t"),
        ],
        6,
        {"scales": np.array([1, 1, 2, 1], np.float32)},
    ),
    "resize to a size, by the nearest centres": (
        [helper.make_node("Resize", ["m", "", "", "sizes"], ["r"], axes=[2, 3]), node("Tanh", "r", "t"), *pooled("t")],
        6,
        {"sizes": np.array([16, 12])},
    ),
    "resize of named axes": (
        [helper.make_node("Resize", ["m", "", "scales"], ["r"], axes=[-1]), node("Tanh", "r", "t"), *pooled("t")],
        6,
        {"scales": np.array([2], np.float32)},
    ),
    "resize that does nothing": (
        [helper.make_node("Resize", ["m", "", "scales"], ["r"]), *pooled("r")],
        6,
        {"scales": np.ones(4, np.float32)},
    ),
}


def resize(features: int = 6, scales: tuple[float, ...] = (1, 1, 2, 2), **attributes: object) -> tuple:
    """Returns a case: a map resized, something after it, and why it runs on windows."""
    nodes = [helper.make_node("Resize", ["m", "", "scales"], ["r"], **attributes), node("Tanh", "r", "t"), *pooled("t")]
    return nodes, features, {"scales": np.array(scales, np.float32)}, "by no whole factor"


REFUSED = {
    "to more than a whole factor": resize(scales=(1, 1, 1.5, 1.5)),
    "by a factor that only rounds to a whole one": resize(scales=(1, 1, 2.01, 2)),
    "from corner to corner": resize(mode="linear", coordinate_transformation_mode="align_corners"),
    "to the nearest from corner to corner": resize(coordinate_transformation_mode="align_corners"),
    "that rounds to the next cell": resize(coordinate_transformation_mode="asymmetric", nearest_mode="ceil"),
    "from the cells' beginnings": resize(mode="linear", coordinate_transformation_mode="asymmetric"),
    "by another coefficient": resize(mode="cubic", cubic_coeff_a=-0.5),
    "without what lies outside": resize(mode="cubic", exclude_outside=1),
    "of the channels too": resize(12, (2, 2), axes=[1, 2]),
    "with a filter": resize(mode="linear", antialias=1),
}


@pytest.mark.parametrize("name", LOCAL)
def test_whole_factors_equal_crops(tmp_path, name):
    nodes, features, weights = LOCAL[name]
    check_crops(between(tmp_path / "a.onnx", nodes, features, weights=weights))


@pytest.mark.parametrize("name", REFUSED)
def test_other_factors_run_on_windows(tmp_path, name):
    nodes, features, weights, reason = REFUSED[name]
    dense = check_crops(between(tmp_path / "a.onnx", nodes, features, weights=weights, opset=19, ir=9), tier=2)
    assert any(reason in why for why in dense.report.reasons), dense.report
