"""Each ONNX operator carries over, or is refused with its reason, and scores equal crops either way."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

import fullyconv
from onnx_files import WINDOW, between, check_crops, make_weight, node, pooled, write

AXES = {"axes": np.array([2, 3])}
LOCAL = {  # name: nodes, features, weights
    "average pool": ([node("AveragePool", "m", "r", kernel_shape=[2, 2], strides=[1, 2]), *pooled("r")], 6, {}),
    "max pool": ([node("MaxPool", "m", "r", kernel_shape=[3, 2], dilations=[1, 2]), *pooled("r")], 6, {}),
    "global max pool": ([node("GlobalMaxPool", "m", "r"), node("Flatten", "r", "v")], 6, {}),
    "max pool of all": (
        [node("MaxPool", "m", "r", kernel_shape=[8, 6], strides=[8, 6]), node("Flatten", "r", "v")],
        6,
        {},
    ),
    "reduce": ([node("ReduceSum", "m axes", "v", keepdims=0)], 6, AXES),
    "negative axes": ([node("ReduceMax", "m axes", "v", keepdims=0)], 6, {"axes": np.array([-1, -2])}),
    "l2": ([node("ReduceL2", "m axes", "v", keepdims=0)], 6, AXES),
    "l1": ([node("ReduceL1", "m axes", "v", keepdims=0)], 6, AXES),
    "min": ([node("ReduceMin", "m axes", "v", keepdims=0)], 6, AXES),
    "logsumexp": ([node("ReduceLogSumExp", "m axes", "v", keepdims=0)], 6, AXES),
    "product": ([node("Tanh", "m", "t"), node("ReduceProd", "t axes", "v", keepdims=0)], 6, {"axes": np.array([3, 2])}),
    "flatten": ([node("Flatten", "m", "v")], 288, {}),
    "reshape of a computed size": (
        [
            node("Shape", "m", "s"),
            node("Gather", "s zero", "n"),
            node("Unsqueeze", "n zeros", "n1"),
            node("Concat", "n1 rest", "size", axis=0),
            node("Reshape", "m size", "v"),
        ],
        288,
        {"zero": np.array(0), "zeros": np.array([0]), "rest": np.array([-1])},
    ),
    "matrix": ([node("Flatten", "m", "f"), node("MatMul", "f w", "v")], 5, {"w": make_weight(288, 5)}),
    "gemm with factors": (
        [node("Flatten", "m", "f"), node("Gemm", "f w c", "v", alpha=0.5, beta=2.0, transB=1)],
        5,
        {"w": make_weight(5, 288), "c": make_weight(1, 5)},
    ),
    "gemm with a number": (
        [node("Flatten", "m", "f"), node("Gemm", "f w c", "v")],
        5,
        {"w": make_weight(288, 5), "c": make_weight(1)},
    ),
    "einsum": ([node("Einsum", "m w", "v", equation="nchw,chwk->nk")], 5, {"w": make_weight(6, 8, 6, 5)}),
    "products of matrices in each cell": (
        [
            node("Reshape", "m split", "c"),
            node("Transpose", "c", "a", perm=[0, 3, 4, 1, 2]),
            node("Sin", "a", "s"),
            node("Transpose", "s", "b", perm=[0, 1, 2, 4, 3]),
            node("MatMul", "a b", "p"),
            node("ReduceMax", "p axes", "q", keepdims=0),
            node("Flatten", "q", "v"),
        ],
        4,
        {"split": np.array([-1, 2, 3, 8, 6]), "axes": np.array([1, 2])},
    ),
    "einsum of two values": (
        [
            node("Sin", "m", "s"),
            node("Einsum", "m s", "p", equation="nchw,ndhw->ncdhw"),
            node("ReduceMax", "p axes", "q", keepdims=0),
            node("Flatten", "q", "v"),
        ],
        36,
        {"axes": np.array([3, 4])},
    ),
    "a matrix for a part of the channels": (
        [
            node("Reshape", "m split", "c"),
            node("Transpose", "c", "a", perm=[0, 3, 4, 1, 2]),
            node("MatMul", "a w", "p"),
            node("ReduceMax", "p axes", "q", keepdims=0),
            node("Flatten", "q", "v"),
        ],
        10,
        {"split": np.array([-1, 2, 3, 8, 6]), "axes": np.array([1, 2]), "w": make_weight(3, 5)},
    ),
    "batch norm": (
        [node("BatchNormalization", "m a b c d", "r", epsilon=1e-3), *pooled("r")],
        6,
        {name: np.abs(make_weight(6, seed=i)) for i, name in enumerate("abcd")},
    ),
    "layer norm": (
        [
            node("Transpose", "m", "t", perm=[0, 2, 3, 1]),
            node("LayerNormalization", "t s b", "l", epsilon=1e-3),
            node("Transpose", "l", "r", perm=[0, 3, 1, 2]),
            *pooled("r"),
        ],
        6,
        {"s": make_weight(6), "b": make_weight(6, seed=3)},
    ),
    "layer norm without a shift": (
        [
            node("Transpose", "m", "t", perm=[0, 2, 3, 1]),
            node("LayerNormalization", "t s", "l"),
            node("Transpose", "l", "r", perm=[0, 3, 1, 2]),
            *pooled("r"),
        ],
        6,
        {"s": make_weight(6)},
    ),
    "softmax of channels": ([node("Softmax", "m", "r", axis=1), *pooled("r")], 6, {}),
    "log softmax": ([*pooled("m")[:1], node("LogSoftmax", "pool", "r", axis=-3), node("Flatten", "r", "v")], 6, {}),
    "response norm": ([node("LRN", "m", "r", size=3, alpha=0.3), *pooled("r")], 6, {}),
    "learned slopes": ([node("PRelu", "m s", "r"), *pooled("r")], 6, {"s": make_weight(6, 1, 1)}),
    "clip": (
        [node("Clip", "m low high", "r"), *pooled("r")],
        6,
        {"low": np.float32([-0.5])[0], "high": np.float32([0.5])[0]},
    ),
    "clip above": (
        [helper.make_node("Clip", ["m", "", "high"], ["r"]), *pooled("r")],
        6,
        {"high": np.float32([0.5])[0]},
    ),
    "number less a value": (
        [node("Sub", "c m", "r"), node("Relu", "r", "q"), *pooled("q")],
        6,
        {"c": make_weight(6, 1, 1)},
    ),
    "value twice": ([node("Mul", "m m", "r"), *pooled("r")], 6, {}),
    "dropout": ([node("Dropout", "m ratio", "r mask"), *pooled("r")], 6, {"ratio": np.float32([0.5])[0]}),
    "split": (
        [node("Split", "m parts", "a b", axis=1), node("Concat", "b a", "r", axis=-3), *pooled("r")],
        6,
        {"parts": np.array([2, 4])},
    ),
    "slice of channels": (
        [node("Slice", "m one end axis two", "r"), *pooled("r")],
        3,
        {"one": np.array([1]), "end": np.array([2**62]), "axis": np.array([1]), "two": np.array([2])},
    ),
    "slice of rows and columns": (
        [node("Slice", "m one end axis", "r"), *pooled("r")],
        6,
        {"one": np.array([1, 2]), "end": np.array([-1, 2**62]), "axis": np.array([-2, 3])},
    ),
    "channels backwards": (
        [node("Slice", "m last first axis step", "r"), *pooled("r")],
        6,
        {"last": np.array([-1]), "first": np.array([-(2**62)]), "axis": np.array([1]), "step": np.array([-1])},
    ),
    "channels by number": (
        [node("Gather", "m places", "r", axis=1), *pooled("r")],
        3,
        {"places": np.array([5, -6, 2])},
    ),
    "a table of all channels": (
        [node("Gather", "m places", "t", axis=1), node("ReduceMean", "t axes", "q"), node("Flatten", "q", "v")],
        6,
        {"places": np.array([[0, 1, -4], [3, 4, 5]]), "axes": np.array([3, 4])},
    ),
    "one channel": (
        [node("Gather", "m place", "r", axis=1), node("ReduceMean", "r axes", "q"), node("Flatten", "q", "v")],
        1,
        {"place": np.array(-1), "axes": np.array([1, 2])},
    ),
    "padded channels": ([node("Pad", "m pads", "r"), *pooled("r")], 9, {"pads": np.array([0, 1, 0, 0, 0, 2, 0, 0])}),
    "tiled channels": ([node("Tile", "m times", "r"), *pooled("r")], 12, {"times": np.array([1, 2, 1, 1])}),
    "depth to space": (
        [node("Concat", "m m", "d", axis=1), node("DepthToSpace", "d", "r", blocksize=2, mode="CRD"), *pooled("r")],
        3,
        {},
    ),
}

REFUSED = {  # name: nodes, features, weights, reason
    "gaps between averaged cells": (
        [node("AveragePool", "m", "r", kernel_shape=[2, 2], dilations=[2, 2]), *pooled("r")],
        6,
        {},
        "may mix",
    ),
    "places of a maximum": (
        [
            node("MaxPool", "m", "r i", kernel_shape=[2, 2]),
            node("Cast", "i", "c", to=1),
            node("Add", "r c", "q"),
            *pooled("q"),
        ],
        6,
        {},
        "may mix",
    ),
    "softmax of rows": ([node("Softmax", "m", "r", axis=2), *pooled("r")], 6, {}, "its sum runs over positions"),
    "older order of depth to space": (
        [node("Concat", "m m", "d", axis=1), node("DepthToSpace", "d", "r", blocksize=2), *pooled("r")],
        3,
        {},
        "may mix",
    ),
    "rows backwards": (
        [node("Slice", "m last first axis step", "r"), *pooled("r")],
        6,
        {"last": np.array([-1]), "first": np.array([-99]), "axis": np.array([2]), "step": np.array([-1])},
        "puts rows, columns or the batch in another order",
    ),
    "expanded vector": (
        [
            node("ReduceMean", "m axes", "f", keepdims=0),
            node("Unsqueeze", "f last", "u"),
            node("Expand", "u size", "e"),
            node("Flatten", "e", "v"),
        ],
        12,
        {**AXES, "last": np.array([2]), "size": np.array([1, 6, 2])},
        "a value of the whole window is spread",
    ),
    "squeeze and excite": (
        [node("GlobalAveragePool", "m", "p"), node("Mul", "m p", "r"), *pooled("r")],
        6,
        {},
        "a value of the whole window meets the map",
    ),
    "response norm of rows": (
        [
            node("Transpose", "m", "t", perm=[0, 2, 1, 3]),
            node("LRN", "t", "l", size=3),
            node("Transpose", "l", "r", perm=[0, 2, 1, 3]),
            *pooled("r"),
        ],
        6,
        {},
        "expected a map",
    ),
    "no axes means none": ([node("ReduceL2", "m", "r", noop_with_empty_axes=1), *pooled("r")], 6, {}, "may mix"),
    "a table of places": (
        [node("Gather", "m places", "t", axis=1), node("ReduceMean", "t axes", "v", keepdims=0)],
        2,
        {"places": np.array([[0, 1], [2, 3]]), "axes": np.array([2, 3, 4])},
        "may mix",
    ),
    "a table in another order": (
        [node("Gather", "m places", "t", axis=1), node("ReduceMean", "t axes", "v", keepdims=0)],
        6,
        {"places": np.array([[0, 1, 2, 4, 3, 5]]), "axes": np.array([1, 3, 4])},
        "may mix",
    ),
    "tiles along two axes": (
        [node("Tile", "m times", "r"), *pooled("r")],
        12,
        {"times": np.array([1, 2, 1, 2])},
        "may mix",
    ),
    "a matrix the other way round": (
        [node("Flatten", "m", "f"), node("Transpose", "f", "t"), node("Gemm", "t w", "v", transA=1)],
        5,
        {"w": make_weight(288, 5)},
        "may mix",
    ),
    "a shift that depends on the image": (
        [node("Flatten", "m", "f"), *pooled("m")[:1], node("Flatten", "pool", "g"), node("Gemm", "f w g", "v")],
        6,
        {"w": make_weight(288, 6)},
        "may mix",
    ),
    "bounds that depend on the image": (
        [node("ReduceMax", "m", "top", keepdims=0), helper.make_node("Clip", ["m", "", "top"], ["r"]), *pooled("r")],
        6,
        {},
        "",
    ),
}


@pytest.mark.parametrize("name", LOCAL)
def test_local_operators_equal_crops(tmp_path, name):
    nodes, features, weights = LOCAL[name]
    check_crops(between(tmp_path / "a.onnx", nodes, features, weights=weights))


@pytest.mark.parametrize("name", REFUSED)
def test_other_operators_run_on_windows(tmp_path, name):
    nodes, features, weights, reason = REFUSED[name]
    dense = check_crops(between(tmp_path / "a.onnx", nodes, features, weights=weights, opset=19, ir=9), tier=2)
    assert any(reason in why for why in dense.report.reasons), dense.report


def test_padding_that_follows_the_size_is_that_of_a_window(tmp_path):
    """A row more would put SAME's odd row at the other end; with the window's own there is one network."""
    nodes = [node("Conv", "image w", "c", auto_pad="SAME_UPPER", strides=[2, 2]),
             node("MaxPool", "c", "p", auto_pad="SAME_LOWER", kernel_shape=[2, 2], strides=[2, 2]),
             *pooled("p"), node("Gemm", "v fc", "scores")]  # fmt: skip
    path = write(
        tmp_path / "a.onnx", nodes, {"w": make_weight(6, 3, 3, 3), "fc": make_weight(6, 4)}, shape=("n", 3, 18, 14)
    )
    dense = fullyconv.convert(path)
    reasons = " ".join(dense.report.guarantee_reasons)
    assert "pads rows by 0 and 1" in reasons and "pads rows by 1 and 0" in reasons
    report = fullyconv.verify(dense, path, np.random.default_rng(0).standard_normal((3, 29, 23)).astype(np.float32))
    assert report.passed and report.checked_beyond_window, str(report)


def test_zeros_before_a_max_pool_stay_zeros(tmp_path):
    """onnxruntime would fuse the padding into the pool, which pads with minus infinity."""
    nodes = [node("Pad", "m pads", "p"), node("MaxPool", "p", "r", kernel_shape=[3, 3]),
             *pooled("r"), node("Gemm", "v fc", "scores")]  # fmt: skip
    stem = node("Conv", "image stem shift", "m")
    weights = {"stem": make_weight(6, 3, 3, 3), "shift": np.full(6, -40, np.float32), "fc": np.ones((6, 1), np.float32)}
    weights["pads"] = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    path = write(tmp_path / "a.onnx", [stem, *nodes], weights, shape=("n", 3, 6, 5))
    images = np.random.default_rng(0).standard_normal((1, 3, 6, 5)).astype(np.float32)
    padded = np.pad(_convolve(images, weights["stem"]) - 40, ((0, 0), (0, 0), (1, 1), (1, 1)))
    pools = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3)).max((-1, -2))
    expected = pools.mean((2, 3)).sum()
    np.testing.assert_allclose(fullyconv.convert(path)(images).item(), expected, rtol=1e-5)


def _convolve(images, kernel):
    views = np.lib.stride_tricks.sliding_window_view(images, kernel.shape[2:], (2, 3))
    return np.einsum("nchwij,kcij->nkhw", views, kernel)


def test_random_numbers_are_no_constants(tmp_path):
    nodes = [node("RandomNormalLike", "m", "noise"), node("Add", "m noise", "r"), *pooled("r")]
    path = between(tmp_path / "a.onnx", nodes, 6, shape=(1, 3, *WINDOW))
    assert fullyconv.convert(path).report.tier == 2


def test_strides_that_an_exporter_wrote_as_a_table(tmp_path):
    """With an open batch by axis 0 of it all, it would mix the batch; here the batch is 1 for good."""
    nodes = [node("ReduceMean", "m axes", "q", keepdims=1), node("Reshape", "q flat", "f"),
             node("Gather", "f places", "t", axis=0), node("Flatten", "t", "v")]  # fmt: skip
    weights = {"axes": np.array([2, 3]), "flat": np.array([-1]), "places": np.arange(6).reshape(1, 6, 1, 1)}
    path = between(tmp_path / "a.onnx", nodes, 6, shape=(1, 3, *WINDOW), weights=weights)
    assert check_crops(path).report.tier == 1


def test_half_precision_of_single_operations(tmp_path):
    """A cast there and back is done value by value."""
    nodes = [node("Cast", "m", "h", to=TensorProto.FLOAT16), node("Relu", "h", "r"),
             node("Cast", "r", "f", to=TensorProto.FLOAT), *pooled("f")]  # fmt: skip
    assert check_crops(between(tmp_path / "a.onnx", nodes, 6), rtol=2e-3).report.tier == 1
