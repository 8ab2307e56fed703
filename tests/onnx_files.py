"""Small ONNX files for tests: nodes written by hand, and exports of PyTorch modules."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import fullyconv
from fullyconv.capture.onnx_session import OnnxSession
from zoo import ZOO

WINDOW = (17, 13)  # the stem of `between` makes it a map of 8 x 6 cells


def write(path: Path, nodes: Sequence[onnx.NodeProto], weights: dict[str, np.ndarray], **how) -> Path:
    """Writes a model from the input `image` to the output `scores`, or to `outputs`."""
    shape = how.get("shape", ("n", 3, *WINDOW))
    image = helper.make_tensor_value_info("image", how.get("dtype", TensorProto.FLOAT), shape)
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in how.get("outputs", ["scores"])]
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    inputs = [image, *how.get("inputs", [])]
    opset = helper.make_opsetid("", how.get("opset", 18))
    graph = helper.make_graph(nodes, "test", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[opset, *how.get("domains", [])], ir_version=how.get("ir", 8))
    onnx.save(model, path)
    return path


def node(op_type: str, inputs: str, outputs: str, **attributes) -> onnx.NodeProto:
    return helper.make_node(op_type, inputs.split(), outputs.split(), **attributes)


def make_weight(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def between(path: Path, nodes: Sequence[onnx.NodeProto], features: int, **how) -> Path:
    """Writes `nodes`, which make `v` (N, features) of `m`, a map (N, 6, 8, 6), between a stem and a linear layer."""
    weights = {
        "stem": make_weight(6, 3, 3, 3),
        "fc": make_weight(features, 4, seed=1),
        "bias": make_weight(4, seed=2),
        **how.pop("weights", {}),
    }
    stem = node("Conv", "image stem", "m", strides=[2, 2])
    return write(path, [stem, *nodes, node("Gemm", "v fc bias", "scores")], weights, **how)


def pooled(name: str) -> list[onnx.NodeProto]:
    """Nodes from the map `name` to `v`."""
    return [node("GlobalAveragePool", name, "pool"), node("Flatten", "pool", "v")]


def export(module: nn.Module, window: tuple[int, int], path: Path, *, channels: int = 3, dynamo: bool = False) -> Path:
    """Writes what torch's exporters make of a module, at window size with a batch of two."""
    image = torch.randn(2, channels, *window)
    options = {} if dynamo else {"opset_version": 18}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (image,), path, dynamo=dynamo, verbose=False, **options)
    return path


def check_crops(path: Path, *, tier: int = 1, rtol: float = 1e-5) -> fullyconv.DenseModel:
    """Fails unless the dense network of a file gives, for each window, what the file itself gives for its pixels."""
    import onnx_ir as ir

    dense = fullyconv.convert(path)
    assert (dense.report.tier, dense.report.guarantee) == (tier, "image crops"), dense.report
    file = OnnxSession(ir.load(path), rewrites=False)
    height, width = dense.grid.window_px
    y, x = dense.grid.stride_px
    images = torch.randn(2, 3, height + 5, width + 6, generator=torch.Generator().manual_seed(0))
    scores = dense(images)
    assert scores.shape[2:] == (5 // y + 1, 6 // x + 1)
    for i in range(scores.shape[2]):
        for j in range(scores.shape[3]):
            crops = images[:, :, i * y : i * y + height, j * x : j * x + width].numpy()
            expected = [file.run({file.inputs[0]: crop[None]})[file.outputs[0]].reshape(-1) for crop in crops]
            found = scores[..., i, j].numpy()
            assert np.abs(found - expected).max() <= rtol * np.abs(expected).max()
    return dense


def make_images(name: str) -> torch.Tensor:
    """Two images that leave rest pixels."""
    (height, width), channels = ZOO[name].window, ZOO[name].channels
    return torch.randn(2, channels, height + 13, width + 9, generator=torch.Generator().manual_seed(0))


def assert_near(found, expected, rtol: float = 2e-5) -> None:
    """Fails unless scores have the same shapes, whatever holds them, and are as near as float32 allows."""
    for mine, other in zip(list_tensors(found), list_tensors(expected), strict=True):
        assert mine.shape == other.shape
        assert (mine - other).abs().max() <= rtol * other.abs().max()


def list_tensors(tree) -> list[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        return [tree]
    return [tensor for inner in (tree.values() if isinstance(tree, dict) else tree) for tensor in list_tensors(inner)]
