"""Float64 by onnx's reference implementation: its operators are onnxruntime's, or it is not believed."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

import fullyconv
from fullyconv.capture.onnx_model import load_onnx
from fullyconv.capture.onnx_session import OnnxSession
from fullyconv.capture.onnx_widening import widen_model
from fullyconv.errors import CaptureError
from fullyconv.verify.duplicate import copy_network
from fullyconv.verify.onnx_double import DoubleSession, ImageByImage, require_agreement
from fullyconv.verify.onnx_original import OnnxOriginal
from onnx_files import WINDOW, between, make_weight, node, pooled, write

IMAGE = make_weight(3, 6, *WINDOW, seed=3)
WEIGHTS = {"w": make_weight(4, 6, 3, 2), "grouped": make_weight(6, 2, 3, 2, seed=1), "b": make_weight(4, seed=2)}

NODES = {
    "conv": node("Conv", "image w b", "scores", pads=[1, 0, 2, 1], strides=[2, 1]),
    "dilated conv": node("Conv", "image w", "scores", dilations=[2, 3]),
    "grouped conv": node("Conv", "image grouped", "scores", group=3),
    "conv that keeps the size": node("Conv", "image w", "scores", auto_pad="SAME_UPPER", strides=[2, 3]),
    "conv that keeps it otherwise": node("Conv", "image w", "scores", auto_pad="SAME_LOWER", strides=[2, 3]),
    "valid conv": node("Conv", "image w", "scores", auto_pad="VALID"),
    "max": node("MaxPool", "image", "scores", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]),
    "dilated max": node("MaxPool", "image", "scores", kernel_shape=[3, 2], dilations=[2, 2]),
    "max rounded up": node("MaxPool", "image", "scores", kernel_shape=[2, 3], strides=[3, 2], ceil_mode=1),
    "mean": node("AveragePool", "image", "scores", kernel_shape=[3, 2], pads=[1, 1, 1, 1]),
    "mean of padding": node("AveragePool", "image", "scores", kernel_shape=[3, 2], pads=[1, 1, 1, 1], strides=[2, 2],
                            count_include_pad=1),
    "mean rounded up": node("AveragePool", "image", "scores", kernel_shape=[3, 3], strides=[3, 2], ceil_mode=1),
    "padded mean rounded up": node("AveragePool", "image", "scores", kernel_shape=[3, 3], strides=[3, 3], ceil_mode=1,
                                   pads=[1, 1, 1, 1], count_include_pad=1),
    "response norm": node("LRN", "image", "scores", size=5, alpha=0.3, beta=0.7, bias=1.5),
    "erf": node("Erf", "image", "scores"),
}  # fmt: skip


def make_model(path, one) -> ir.Model:
    used = {name: array for name, array in WEIGHTS.items() if name in one.input}
    return ir.load(write(path, [one], used, shape=("n", 6, *WINDOW)))


@pytest.mark.parametrize("name", NODES)
def test_operators_are_those_of_onnxruntime(tmp_path, name):
    model = make_model(tmp_path / "a.onnx", NODES[name])
    expected = OnnxSession(model).run({"image": IMAGE})["scores"]
    for kind in (DoubleSession, ImageByImage):
        session = kind(widen_model(model, "float64"))
        assert (session.inputs, session.outputs) == (("image",), ("scores",))
        found = session.run({"image": IMAGE.astype(np.float64)})["scores"]
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


def test_values_that_are_no_outputs_can_be_asked_for(tmp_path):
    path = between(tmp_path / "a.onnx", pooled("m"), 6)
    session = DoubleSession(widen_model(ir.load(path), "float64"), extra_outputs=["m"])
    found = session.run({"image": np.ones((1, 3, *WINDOW))}, ["m"])
    assert list(found) == ["m"] and found["m"].shape == (1, 6, 8, 6)


def test_agreement_is_asked_for():
    values = {"scores": torch.ones(2, 3)}
    require_agreement({"scores": torch.ones(2, 3, dtype=torch.float64) + 1e-5}, values)
    require_agreement({"scores": torch.ones(2, dtype=torch.int64)}, {"scores": torch.ones(2, dtype=torch.int64)})
    for other in (torch.ones(2, 3, dtype=torch.float64) + 0.01, torch.ones(2, 3)):
        with pytest.raises(CaptureError, match="scores: onnx's reference implementation gives"):
            require_agreement({"scores": other}, values)


def test_what_it_does_not_run_is_told(tmp_path):
    model = make_model(tmp_path / "a.onnx", NODES["conv"])
    session = DoubleSession(widen_model(model, "float64"))
    with pytest.raises(CaptureError, match="onnx's reference implementation cannot run the model: "):
        session.run({"image": np.ones((1, 5, *WINDOW))})
    model.graph[0].op_type = "Unheard"
    with pytest.raises(CaptureError, match="onnx's reference implementation cannot load the model: "):
        DoubleSession(model)


def test_only_float32_is_widened(tmp_path):
    path = between(tmp_path / "a.onnx", pooled("m"), 6)
    module = fullyconv.convert(path).module
    assert copy_network(module, torch.float64).program.dtype == "float64"
    assert copy_network(module, torch.float32).program.dtype == "float32"
    with pytest.raises(CaptureError, match=r"an ONNX network in torch\.float32 does not run in torch\.float16"):
        copy_network(module, torch.float16)
    with pytest.raises(CaptureError, match=r"an ONNX network in float32 does not run in torch\.float16"):
        OnnxOriginal(load_onnx(path), torch.randn(2, 3, *WINDOW), torch.float16)


def test_a_wrong_weight_of_a_part_in_a_million_shows(tmp_path):
    path = between(tmp_path / "a.onnx", [node("Flatten", "m", "v")], 288)
    dense = fullyconv.convert(path)
    other = onnx.load(path)
    weight = next(one for one in other.graph.initializer if one.name == "stem")
    array = onnx.numpy_helper.to_array(weight) * np.float32(1 + 1e-6)
    weight.CopyFrom(onnx.numpy_helper.from_array(array, "stem"))
    onnx.save(other, tmp_path / "b.onnx")
    report = fullyconv.verify(dense, tmp_path / "b.onnx")
    assert {item.dtype for item in report.comparisons if not item.passed} == {"float64"}  # far below float32's rounding
