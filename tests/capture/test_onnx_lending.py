"""Weights are lent to onnxruntime: the file that it is given holds none, and the scores are the same."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from fullyconv.capture.onnx_lending import lend_weights
from fullyconv.capture.onnx_model import read_model
from fullyconv.capture.onnx_session import OnnxSession
from onnx_files import between, make_weight, node

IMAGE = np.random.default_rng(0).standard_normal((2, 3, 17, 13)).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    nodes = [node("Flatten", "m", "f"), node("Gemm", "f wide", "v")]
    return between(tmp_path / "a.onnx", nodes, 400, weights={"wide": make_weight(288, 400)})


def test_large_weights_are_no_part_of_the_content(path):
    model = read_model(path)
    lent = lend_weights(model, ["f"])
    assert "wide" in lent.arrays and len(lent.content) < 20_000 < path.stat().st_size
    assert lent.outputs == ("scores", "f")
    assert model.graph.initializers["wide"].const_value.numpy() is lent.arrays["wide"]  # no copy, and not changed
    assert [value.name for value in model.graph.outputs] == ["scores"]


@pytest.mark.parametrize("rewrites", [True, False])
def test_scores_are_those_of_the_file(path, rewrites):
    expected = onnxruntime.InferenceSession(path).run(["scores"], {"image": IMAGE})[0]
    model = read_model(path)
    session = OnnxSession(model, rewrites=rewrites)
    for value in model.graph.initializers.values():
        value.const_value = None
    np.testing.assert_allclose(session.run({"image": IMAGE})["scores"], expected, rtol=1e-5, atol=1e-6)


def test_number_types_that_numpy_does_not_have_stay_within(path):
    model = read_model(path)
    weight = model.graph.initializers["wide"]
    weight.const_value = ir.tensor(weight.const_value.numpy().astype(ml_dtypes.bfloat16), name="wide")
    lent = lend_weights(model)
    assert "wide" not in lent.arrays and len(lent.content) > 2 * 288 * 400


def test_weights_of_a_file_are_read_once(path):
    """A protocol buffer gives a new copy each time."""
    tensor = read_model(path).graph.initializers["wide"].const_value
    assert tensor.numpy() is tensor.numpy()


def test_weights_that_lie_outside_are_lent_or_taken_in(path, tmp_path):
    """Small ones are taken in: onnxruntime looks for no file."""
    outside = tmp_path / "b.onnx"
    onnx.save(onnx.load(path), outside, save_as_external_data=True, location="b.bin", size_threshold=0)
    model = ir.load(outside)
    assert all(isinstance(value.const_value, ir.ExternalTensor) for value in model.graph.initializers.values())
    lent = lend_weights(model)
    assert "wide" in lent.arrays and "bias" not in lent.arrays
    expected = OnnxSession(read_model(path)).run({"image": IMAGE})["scores"]
    np.testing.assert_array_equal(OnnxSession(model).run({"image": IMAGE})["scores"], expected)
