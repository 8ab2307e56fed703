"""What runtimes do to a network on the way, and that none of it reaches a score (DESIGN, section 5).

Each test fails without the cure, where the library at hand has the trap: OpenVINO 2026.4 has both of its own, the
second on processors with bfloat16; onnxruntime had its own in 1.20 and no longer has it in 1.32.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import openvino
import pytest
import torch

import fullyconv
from fullyconv.capture.onnx_session import OnnxSession
from fullyconv.runtime.measuring import measure_error
from onnx_files import WINDOW, between, check_crops, make_weight, node, pooled
from zoo import ZOO, build

IMAGES = torch.randn(2, 3, 31, 26, generator=torch.Generator().manual_seed(0))
PLACES = np.array([5, 3, 1, 0, 2, 4])
MIX = {"w": make_weight(6, 6, 3, 3), "places": PLACES}


def test_channels_by_number_before_a_convolution(tmp_path):
    """OpenVINO moves such a Gather into the convolution's weights, by the inverse order."""
    nodes = [node("Gather", "m places", "g", axis=1), node("Conv", "g w", "r"), *pooled("r")]
    dense = check_crops(between(tmp_path / "a.onnx", nodes, 6, weights=MIX))
    assert measure_error(dense.on("openvino")(IMAGES), dense(IMAGES)) < 1e-5


def test_the_dense_file_needs_no_care_of_its_user(tmp_path):
    """Whoever runs the file with OpenVINO itself need only ask for float32."""
    nodes = [node("Gather", "m places", "g", axis=1), node("Conv", "g w", "r"), *pooled("r")]
    dense = fullyconv.convert(between(tmp_path / "a.onnx", nodes, 6, weights=MIX))
    dense.save(tmp_path / "dense.onnx")
    model = openvino.Core().compile_model(tmp_path / "dense.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = torch.from_numpy(model({"image": IMAGES.numpy()})[0])
    assert measure_error(found, dense(IMAGES)) < 1e-5


def test_channels_by_number_within_a_windowed_head(tmp_path):
    """There the classifier's own nodes run, its Gather among them."""
    nodes = [
        node("GlobalAveragePool", "m", "mean"),
        node("Sub", "m mean", "c"),
        node("Gather", "c places", "g", axis=1),
        node("Conv", "g w", "r"),
        *pooled("r"),
    ]
    dense = check_crops(between(tmp_path / "a.onnx", nodes, 6, weights=MIX), tier=2)
    assert any(one.op_type == "Gather" for one in dense.module.head_model.graph)
    assert measure_error(dense.on("openvino")(IMAGES), dense(IMAGES)) < 1e-5


@pytest.mark.parametrize("name", ["shuffle", "vgg"])
def test_float32_is_float32(name):
    """OpenVINO by itself takes bfloat16 where the processor has it, and is about 1e-2 off."""
    dense = fullyconv.convert(build(name), ZOO[name].window)
    height, width = ZOO[name].window
    images = torch.randn(2, ZOO[name].channels, height + 13, width + 9, generator=torch.Generator().manual_seed(0))
    assert measure_error(dense.on("openvino")(images), dense(images)) < 1e-5


@pytest.mark.parametrize("pool", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_padding_with_zeros_before_a_pool(tmp_path, pool, runtime):
    """Some onnxruntime make one pool of both, which pads with minus infinity, or counts no padding."""
    shift = node("Sub", "m fifty", "below")  # so that a zero is the largest, wherever there is one
    pad = node("Pad", "below pads zero", "p", mode="constant")
    nodes = [shift, pad, node(pool, "p", "q", kernel_shape=[3, 3], strides=[2, 2]), *pooled("q")]
    weights = {
        "fifty": np.float32(50), "zero": np.float32(0), "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    }  # fmt: skip
    path = between(tmp_path / "a.onnx", nodes, 6, weights={name: np.array(value) for name, value in weights.items()})
    window = torch.randn(2, 3, *WINDOW, generator=torch.Generator().manual_seed(0))
    expected = OnnxSession(ir.load(path), rewrites=False).run({"image": window.numpy()})["scores"]
    found = fullyconv.convert(path).on(runtime)(window)[..., 0, 0]
    assert measure_error(found, torch.from_numpy(expected)) < 1e-5
