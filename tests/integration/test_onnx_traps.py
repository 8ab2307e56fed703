"""The traps of ONNX files, one by one: each file here misleads whoever reads it naively."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from torch.nn import functional as F

import fullyconv
from fullyconv.capture import onnx_model, onnx_session
from fullyconv.rewrite import onnx_files as onnx_files_on_disk
from onnx_files import between, check_crops, make_weight, node, pooled, write

IMAGES = np.random.default_rng(3).standard_normal((3, 3, 24, 21)).astype(np.float32)


def find_same(size: int, kernel: int, step: int, mode: str) -> tuple[int, int]:
    """Returns the padding of SAME as the operator's specification has it."""
    total = max((-(-size // step) - 1) * step + kernel - size, 0)
    return (total // 2, total - total // 2) if mode == "SAME_UPPER" else (total - total // 2, total // 2)


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("window", [(16, 13), (17, 14)])
def test_same_padding_depends_on_parity(tmp_path, mode, window):
    """An image with a row more would be padded otherwise: at any size the network pads as it does a window."""
    nodes = [node("Conv", "image w", "c", auto_pad=mode, strides=[2, 2]),
             node("MaxPool", "c", "p", auto_pad=mode, kernel_shape=[2, 2], strides=[2, 2]),
             *pooled("p"), node("Gemm", "v fc", "scores")]  # fmt: skip
    weights = {"w": make_weight(6, 3, 3, 3), "fc": make_weight(6, 4)}
    path = write(tmp_path / "a.onnx", nodes, weights, shape=("n", 3, *window))
    dense = fullyconv.convert(path)
    for size in ((24, 20), (23, 21)):
        images = torch.from_numpy(IMAGES[:, :, : size[0], : size[1]].copy())
        maps = images.double()
        for kernel, pad_with in ((3, 0.0), (2, -torch.inf)):
            inner = window if kernel == 3 else tuple(-(-side // 2) for side in window)
            (top, bottom), (left, right) = (find_same(side, kernel, 2, mode) for side in inner)
            maps = F.pad(maps, (left, right, top, bottom), value=pad_with)
            if kernel == 3:
                maps = F.conv2d(maps, torch.from_numpy(weights["w"]).double(), stride=2)
            else:
                maps = F.max_pool2d(maps, 2, 2)
        cells = [-(-side // 4) for side in window]
        rows, columns = dense.grid.shape(size)
        means = maps.unfold(2, cells[0], 1).unfold(3, cells[1], 1).mean((-1, -2))[:, :, :rows, :columns]
        expected = torch.einsum("nchw,ck->nkhw", means, torch.from_numpy(weights["fc"]).double())
        torch.testing.assert_close(dense(images).double(), expected, rtol=1e-5, atol=1e-5)
    assert fullyconv.verify(dense, path).passed


def test_softmax_before_opset_13_flattens(tmp_path):
    """Its sum runs over all axes from the one named on, so that of a map is one of the whole window."""
    nodes = [node("Softmax", "m", "s", axis=1), *pooled("s")]
    found = {}
    for opset in (11, 13):
        path = between(tmp_path / f"{opset}.onnx", nodes, 6, opset=opset)
        found[opset] = check_crops(path, tier=2 if opset == 11 else 1)(IMAGES[:1, :, :17, :13])
    stem = F.conv2d(
        torch.from_numpy(IMAGES[:1, :, :17, :13].copy()), torch.from_numpy(make_weight(6, 3, 3, 3)), stride=2
    )
    flat = stem.flatten(1).softmax(1).reshape(stem.shape).mean((2, 3)).numpy()
    expected = flat @ make_weight(6, 4, seed=1) + make_weight(4, seed=2)
    np.testing.assert_allclose(found[11].reshape(1, 4), expected, rtol=1e-5, atol=1e-6)
    assert np.abs(found[13] - found[11]).max() > 1e-3


def test_initialisers_of_ir_3_are_listed_as_inputs(tmp_path):
    shapes = {"stem": (6, 3, 3, 3), "fc": (6, 4), "bias": (4,)}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    path = between(tmp_path / "a.onnx", pooled("m"), 6, inputs=inputs, ir=3, opset=9)
    check_crops(path)
    fullyconv.convert(path).save(tmp_path / "dense.onnx")
    assert [value.name for value in onnx.load(tmp_path / "dense.onnx").graph.input] == ["image"]


BAKED = {
    "the input": (pooled("m"), 6, {}),
    "a reshape": ([node("Reshape", "m size", "v")], 288, {"size": np.array([1, -1])}),
    "a reshape of a map": (
        [node("Reshape", "m parts", "s"), node("Transpose", "s", "t", perm=[0, 2, 1, 3, 4]),
         node("Reshape", "t whole", "r"), *pooled("r")],
        6,
        {"parts": np.array([1, 2, 3, 8, 6]), "whole": np.array([1, 6, 8, 6])},
    ),
    "an expansion": (
        [*pooled("m")[:1], node("Flatten", "pool", "f"), node("Expand", "row size", "e"),
         node("Concat", "f e", "v", axis=1)],
        8,
        {"row": make_weight(1, 2), "size": np.array([1, 2])},
    ),
}  # fmt: skip


@pytest.mark.parametrize("where", BAKED)
def test_batch_sizes_are_baked(tmp_path, where):
    """Three images at once, in a network that was exported for one."""
    nodes, features, weights = BAKED[where]
    path = between(tmp_path / "a.onnx", nodes, features, weights=weights, shape=(1, 3, 17, 13))
    dense = check_crops(path, tier=2 if where == "an expansion" else 1)
    together = dense(IMAGES)
    assert together.shape == (3, 4, 4, 5)
    for place in range(3):
        np.testing.assert_allclose(together[place], dense(IMAGES[place : place + 1])[0], rtol=1e-5, atol=1e-5)


def test_files_of_more_than_2_gb_go_by_path(tmp_path, monkeypatch):
    """A protocol buffer holds less: the weights stay beside it, and no runtime is given them as bytes.

    Here all weights count as large, and the sizes tell where they went.
    """
    for module in (onnx_model, onnx_session, onnx_files_on_disk):
        monkeypatch.setattr(module, "LARGEST_IN_MEMORY", 1)
    real, opened = onnxruntime.InferenceSession, []

    def open_session(model, *arguments, **named):
        opened.append(model)
        assert isinstance(model, Path) and model.stat().st_size < 20_000
        return real(model, *arguments, **named)

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
    weights = {"wide": make_weight(288, 400)}
    nodes = [node("Flatten", "m", "f"), node("Gemm", "f wide", "v")]
    small = between(tmp_path / "a.onnx", nodes, 400, weights=weights)
    onnx.save(onnx.load(small), tmp_path / "b.onnx", save_as_external_data=True, location="b.bin", size_threshold=0)
    dense = fullyconv.convert(tmp_path / "b.onnx")
    dense.save(tmp_path / "dense.onnx")
    assert (tmp_path / "dense.onnx").stat().st_size < 20_000
    assert (tmp_path / "dense.onnx.data").stat().st_size >= weights["wide"].nbytes
    images = IMAGES[:1]
    np.testing.assert_array_equal(fullyconv.load(tmp_path / "dense.onnx")(images), dense(images))
    assert fullyconv.verify(dense, tmp_path / "b.onnx").passed
    assert len(opened) > 3


def test_constants_that_became_inputs_are_bound(tmp_path):
    """As Keras exports may have them: the phase of learning, a rate, a scale for each channel."""
    info = [helper.make_tensor_value_info("rate", TensorProto.FLOAT, []),
            helper.make_tensor_value_info("scale", TensorProto.FLOAT, [6, 1, 1])]  # fmt: skip
    nodes = [node("Mul", "m rate", "a"), node("Mul", "a scale", "r"), *pooled("r")]
    open_ = between(tmp_path / "a.onnx", nodes, 6, inputs=info)
    scale = make_weight(6, 1, 1, seed=5)
    fixed = between(tmp_path / "b.onnx", nodes, 6, weights={"rate": np.float32(0.5), "scale": scale})
    dense = fullyconv.convert(open_, bind={"rate": 0.5, "scale": scale})
    assert dense.report.tier == 1
    np.testing.assert_allclose(dense(IMAGES), fullyconv.convert(fixed)(IMAGES), rtol=1e-6)


@pytest.mark.parametrize("channels", [3, 6])
def test_images_with_channels_last(tmp_path, channels):
    """By three channels it shows; where it does not, `layout` says it."""
    nodes = [node("Transpose", "image", "turned", perm=[0, 3, 1, 2]), node("Conv", "turned stem", "m"), *pooled("m"),
             node("Gemm", "v fc", "scores")]  # fmt: skip
    weights = {"stem": make_weight(6, channels, 3, 3), "fc": make_weight(6, 4)}
    path = write(tmp_path / "a.onnx", nodes, weights, shape=("n", 17, 13, channels))
    dense = fullyconv.convert(path, layout=None if channels == 3 else "nhwc")
    assert (dense.grid.window_px, dense.card.channels, dense.report.tier) == ((17, 13), channels, 1)
    images = np.random.default_rng(0).standard_normal((2, channels, 17, 13)).astype(np.float32)
    (expected,) = onnxruntime.InferenceSession(path).run(None, {"image": images.transpose(0, 2, 3, 1)})
    np.testing.assert_allclose(dense(images)[..., 0, 0], expected, rtol=1e-5, atol=1e-5)
