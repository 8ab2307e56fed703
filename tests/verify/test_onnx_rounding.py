"""What rounding makes of an ONNX network's scores is measured, and allowed for, in float32."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import numpy_helper

import fullyconv
from fullyconv.capture.onnx_model import load_onnx
from fullyconv.verify import onnx_rounding
from fullyconv.verify.onnx_rounding import measure_onnx_rounding
from fullyconv.verify.outputs import SINGLE
from fullyconv.verify.verdict import FLOAT32_TOLERANCE
from onnx_files import WINDOW, between, make_weight, node, pooled

WINDOWS = torch.randn(2, 3, *WINDOW, generator=torch.Generator().manual_seed(0))


def write_softmax(path, common: float):
    """A classifier whose logits have a large part in common, which a softmax takes off again."""
    large = make_weight(6, 5, seed=4) + np.float32(common) * make_weight(6, 1, seed=5)
    nodes = [*pooled("m")[:1], node("Flatten", "pool", "f"), node("MatMul", "f large", "logits"),
             node("Softmax", "logits", "v", axis=1)]  # fmt: skip
    return between(path, nodes, 5, weights={"large": large})


def test_it_is_small_where_the_network_is_calm(tmp_path):
    found = measure_onnx_rounding(load_onnx(between(tmp_path / "a.onnx", pooled("m"), 6)), WINDOWS, 0)
    assert 0 < found[SINGLE, "scores"] < FLOAT32_TOLERANCE / 10


def test_a_softmax_of_large_logits_enlarges_it(tmp_path):
    calm, wild = (measure_onnx_rounding(load_onnx(write_softmax(tmp_path / f"{common}.onnx", common)), WINDOWS, 0)
                  for common in (0, 1000))  # fmt: skip
    assert wild[SINGLE, "scores"] > 100 * calm[SINGLE, "scores"]


def test_large_networks_are_not_copied(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_rounding, "_MOST_BYTES", 10)
    assert measure_onnx_rounding(load_onnx(between(tmp_path / "a.onnx", pooled("m"), 6)), WINDOWS, 0) == {}


def test_the_tolerance_follows_it_and_errors_still_show(tmp_path):
    path = write_softmax(tmp_path / "a.onnx", 1000)
    dense = fullyconv.convert(path)
    report = fullyconv.verify(dense, path)
    assert report.passed, str(report)
    assert max(comparison.tolerance for comparison in report.comparisons) > 2 * FLOAT32_TOLERANCE
    other = onnx.load(path)
    weight = next(one for one in other.graph.initializer if one.name == "fc")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.05), "fc"))
    onnx.save(other, path)
    assert not fullyconv.verify(dense, path).passed
