"""What the rounding of computed weights makes of an ONNX network's scores is measured, and allowed for."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

import fullyconv
from fullyconv.capture.onnx_model import load_onnx
from fullyconv.verify import onnx_double
from fullyconv.verify.onnx_rounding import find_computed_onnx, measure_onnx_rounding
from fullyconv.verify.outputs import SINGLE
from fullyconv.verify.verdict import FLOAT32_TOLERANCE, FLOAT64_TOLERANCE
from onnx_files import WINDOW, between, make_weight, node, pooled

IMAGES = torch.randn(2, 3, *WINDOW, generator=torch.Generator().manual_seed(0))


def write_folded(path):
    """A classifier of features that are scaled one by one, which becomes part of the layer after them."""
    scaled = [*pooled("m")[:1], node("Flatten", "pool", "f"), node("Mul", "f scales", "v")]
    return between(path, scaled, 6, weights={"scales": make_weight(6, seed=4)})


def write_softmax(path, common: float):
    """A classifier whose logits have a large part in common, which a softmax takes off again."""
    large = make_weight(6, 5, seed=4) + np.float32(common) * make_weight(6, 1, seed=5)
    nodes = [*pooled("m")[:1], node("Flatten", "pool", "f"), node("MatMul", "f large", "logits"),
             node("Softmax", "logits", "v", axis=1)]  # fmt: skip
    return between(path, nodes, 5, weights={"large": large})


def flatten_last(path):
    """A classifier whose weights are only put in another order."""
    return between(path, [node("Flatten", "m", "v")], 288)


def test_weights_in_another_order_are_not_computed(tmp_path):
    path = flatten_last(tmp_path / "a.onnx")
    dense = fullyconv.convert(path).module
    assert find_computed_onnx(dense, load_onnx(path)) == ()
    assert measure_onnx_rounding(dense, (), IMAGES, 0) == {}


def test_another_weight_is_computed_and_its_rounding_is_about_a_unit(tmp_path):
    dense = fullyconv.convert(flatten_last(tmp_path / "a.onnx")).module
    other = onnx.load(tmp_path / "a.onnx")
    weight = next(one for one in other.graph.initializer if one.name == "bias")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.1), "bias"))
    onnx.save(other, tmp_path / "b.onnx")
    (name,) = find_computed_onnx(dense, load_onnx(tmp_path / "b.onnx"))
    found = measure_onnx_rounding(dense, (name,), IMAGES, 0)
    assert 2**-34 < found[SINGLE, "scores"] < 2**-23


def test_large_networks_are_compared_in_float32_alone(tmp_path, monkeypatch):
    path = write_folded(tmp_path / "a.onnx")
    dense = fullyconv.convert(path)
    monkeypatch.setattr(onnx_double, "MOST_BYTES", 10)
    assert measure_onnx_rounding(dense.module, ("fc",), IMAGES, 0) == {}
    report = fullyconv.verify(dense, path)
    assert report.passed and {item.dtype for item in report.comparisons} == {"float32"}
    assert any(
        "in float64 an ONNX network takes time and memory: expected weights of at most 0.0 GB, got 0.0 GB" in note
        for note in report.notes
    )


@pytest.mark.parametrize("write", [write_folded, flatten_last])
def test_float64_is_as_near_as_kept_weights_allow(tmp_path, write):
    path = write(tmp_path / "a.onnx")
    report = fullyconv.verify(fullyconv.convert(path), path)
    assert report.passed, str(report)
    least = max(item.max_rel for item in report.comparisons if item.dtype == "float64")
    assert least < FLOAT64_TOLERANCE or any("computed weights" in note for note in report.notes)


def test_the_tolerance_of_float32_follows_the_noise_and_errors_still_show(tmp_path):
    path = write_softmax(tmp_path / "a.onnx", 1000)
    dense = fullyconv.convert(path)
    report = fullyconv.verify(dense, path)
    assert report.passed, str(report)
    assert max(item.tolerance for item in report.comparisons if item.dtype == "float32") > 2 * FLOAT32_TOLERANCE
    assert max(item.max_rel for item in report.comparisons if item.dtype == "float64") < FLOAT64_TOLERANCE
    other = onnx.load(path)
    weight = next(one for one in other.graph.initializer if one.name == "fc")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1 + 1e-6), "fc"))
    onnx.save(other, path)
    assert not fullyconv.verify(dense, path).passed  # by a part in a million
