"""ConvTranspose of ONNX files: whatever says its padding."""

from __future__ import annotations

import pytest

import fullyconv
from onnx_files import between, make_weight, node, pooled

# Attributes, and the kernel's size: of a map of 8 x 6 cells, two pixels apart.
CASES = {
    "side by side": ({"strides": [2, 2]}, (2, 2)),
    "more on one side": ({"strides": [2, 2], "pads": [1, 0, 0, 1]}, (3, 3)),
    "with more cells at the end": ({"strides": [2, 1], "pads": [1, 1, 1, 1], "output_padding": [1, 0]}, (3, 3)),
    "in groups": ({"strides": [1, 2], "group": 3}, (2, 3)),
    "as many as the stride says": ({"strides": [2, 2], "auto_pad": "SAME_UPPER"}, (3, 4)),
    "as many, less at the beginning": ({"strides": [2, 2], "auto_pad": "SAME_LOWER"}, (3, 4)),
    "as large as is said": ({"strides": [2, 2], "output_shape": [15, 12]}, (3, 3)),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_the_file(tmp_path, name):
    attributes, kernel = CASES[name]
    channels = 6 // attributes.get("group", 1)
    weights = {"up": make_weight(6, channels, *kernel, seed=3), "b": make_weight(6, seed=4)}
    nodes = [node("ConvTranspose", "m up b", "r", **attributes), node("Tanh", "r", "t"), *pooled("t")]
    file = between(tmp_path / "a.onnx", nodes, 6, weights=weights)
    dense = fullyconv.convert(file)
    assert dense.report.tier == 1, dense.report
    report = fullyconv.verify(dense, file)
    assert report.passed, str(report)
    assert report.checked_beyond_window or "output_shape" in attributes
