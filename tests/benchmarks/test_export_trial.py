"""A file's row says how right it is on both runtimes, and whether it is the network that it came from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from export_trial import try_export
from exported import Export, Exported
from exported.onnx_weights import fill_weights
from torch import nn

import onnx_files
from fullyconv.capture.onnx_session import OnnxSession
from onnx_files import export, make_weight, node, write
from zoo import ZOO, build

WINDOW = ZOO["plain"].window


def try_file(make: Callable[[Path], Exported]) -> dict[str, Any]:
    return try_export(Export("small", "a", make))


def write_plain(folder: Path, module: nn.Module | None = None) -> Exported:
    original = build("plain")
    return Exported(export(original, WINDOW, folder / "a.onnx", channels=1), "here", module=module or original)


def test_a_right_file() -> None:
    row = try_file(write_plain)
    assert row["outcome"] == "right", row
    assert set(row["errors"]) == {"onnxruntime", "openvino"}
    assert row["from_pytorch"]["different"] == [] and row["from_pytorch"]["error"] < 1e-5
    assert row["beyond_window"] and row["exporter"] == "here" and row["window"] == WINDOW


def test_another_network_in_pytorch_is_wrong() -> None:
    other = build("plain")
    with torch.no_grad():
        next(other.parameters()).mul_(1.5)
    row = try_file(lambda folder: write_plain(folder, other))
    assert row["outcome"] == "wrong"
    assert row["message"].startswith("not as from PyTorch")


def test_scores_that_say_nothing_of_the_image_fail() -> None:
    nodes = [node("Conv", "image w", "c"), node("Mul", "c zero", "z"), node("Add", "z one", "o"),
             node("GlobalAveragePool", "o", "p"), node("Flatten", "p", "scores")]  # fmt: skip
    weights = {"w": make_weight(4, 3, 3, 3), "zero": np.zeros(1, np.float32), "one": np.ones(1, np.float32)}
    row = try_file(lambda folder: Exported(write(folder / "a.onnx", nodes, weights), "here"))
    assert row["outcome"] == "check failed"
    assert "two images give the same scores" in row["message"]


def test_what_cannot_be_made() -> None:
    def fail(folder: Path) -> Exported:
        raise RuntimeError("no such exporter")

    assert try_file(fail)["message"] == "RuntimeError: no such exporter"


@pytest.fixture
def light(tmp_path: Path) -> onnx.ModelProto:
    """A file like those of the package onnx: nodes stand for the weights."""
    shapes = {"w": (8, 3, 3, 3), "s": (8,), "b": (8,), "m": (8,), "v": (8,), "fc": (8, 5), "fb": (5,)}
    value = onnx.helper.make_tensor("value", onnx.TensorProto.FLOAT, [1], [0.02])
    made = [onnx.helper.make_node("ConstantOfShape", [f"{name}_shape"], [name], value=value) for name in shapes]
    body = [node("Conv", "image w", "c"), node("BatchNormalization", "c s b m v", "n"), node("Relu", "n", "r")]
    head = [node("GlobalAveragePool", "r", "p"), node("Flatten", "p", "f"), node("Gemm", "f fc fb", "scores")]
    sizes = {f"{name}_shape": np.array(shape) for name, shape in shapes.items()}
    return onnx.load(
        write(tmp_path / "a.onnx", [*made, *body, *head], sizes, shape=(1, 3, *onnx_files.WINDOW), opset=9, ir=3)
    )


def test_weights_in_place_of_nodes_make_scores_that_depend_on_the_image(light: onnx.ModelProto) -> None:
    images = [np.random.default_rng(at).standard_normal((1, 3, *onnx_files.WINDOW), np.float32) for at in range(4)]
    filled = fill_weights(light, "image", images, 0)
    assert not [one for one in filled.graph.node if one.op_type == "ConstantOfShape"]
    assert [one for one in light.graph.node if one.op_type == "ConstantOfShape"], "the model was changed"
    session = OnnxSession(ir.from_proto(filled))
    scores = [session.run({**dict.fromkeys(session.inputs), "image": image})["scores"] for image in images]
    assert 0.1 < np.std(np.concatenate(scores), axis=0).mean() < 10
    again = fill_weights(light, "image", images, 0)
    assert again.SerializeToString() == filled.SerializeToString()
    assert fill_weights(light, "image", images, 1).SerializeToString() != filled.SerializeToString()
