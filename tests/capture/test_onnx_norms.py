"""ONNX norms, spelled-out variances, tables of places, lines and branches: carried over, or refused with the reason."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from onnx_files import between, check_crops, make_weight, node, pooled

AREA = {"area": np.array([2, 3])}


def spread(first: str, then: str, square: str = "Mul") -> list:
    """Nodes from `m` to `v`, the mean square over some axes of what is left without the mean over others."""
    squared = node("Mul", "d d", "q") if square == "Mul" else node("Pow", "d two", "q")
    return [node("ReduceMean", f"m {first}", "mean"), node("Sub", "m mean", "d"), squared,
            node("ReduceMean", f"q {then}", "r", keepdims=0), node("Flatten", "r", "v")]  # fmt: skip


def branch(name: str, op_type: str):
    return helper.make_graph([node(op_type, "m", name)], name, [], [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)])  # fmt: skip


def decide(condition: list) -> list:
    """Nodes from `m` to `v` by one of two branches."""
    made = helper.make_node("If", ["yes"], ["r"], then_branch=branch("one", "Relu"), else_branch=branch("other", "Neg"))
    return [*condition, made, *pooled("r")]


GROUPS = [
    *pooled("m")[:1],
    node("Reshape", "pool split", "s"),
    node("InstanceNormalization", "s ones zeros", "i"),
    node("Reshape", "i whole", "f"),
    node("Mul", "f scale", "g"),
    node("Add", "g shift", "v"),
]
SIX = {"scale": make_weight(6), "shift": make_weight(6, seed=3)}
LINE = [*pooled("m")[:1], node("Reshape", "pool line", "l")]
CHOICE = np.array([[5], [0], [3]])

LOCAL = {  # name: nodes, features, weights
    "group norm of a vector": (
        GROUPS,
        6,
        {"split": np.array([0, 2, -1]), "ones": np.ones(2, np.float32), "zeros": np.zeros(2, np.float32),
         "whole": np.array([0, 6]), **SIX},
    ),
    "group norm by its own operator": (
        [*pooled("m")[:1], node("GroupNormalization", "pool scale shift", "g", num_groups=2),
         node("Flatten", "g", "v")],
        6,
        SIX,
    ),
    "root mean square norm": (
        [node("Transpose", "m", "t", perm=[0, 2, 3, 1]), node("RMSNormalization", "t scale", "n", epsilon=1e-3),
         node("Transpose", "n", "r", perm=[0, 3, 1, 2]), *pooled("r")],
        6,
        SIX,
    ),
    "variance": (spread("area", "area"), 6, AREA),
    "variance by a power": (
        spread("area", "back", "Pow"), 6, {**AREA, "back": np.array([-1, -2]), "two": np.float32(2)},
    ),
    "variance over channels too": (
        spread("all", "all"), 1, {"all": np.array([1, 2, 3])}
    ),
    "variance of channels": (
        [*spread("channels", "channels")[:3], node("ReduceMean", "q channels", "r"), *pooled("r")],
        1,
        {"channels": np.array([1])},
    ),
    "line": (
        [*LINE, node("Conv", "l w b", "c", pads=[1, 1]), node("Flatten", "c", "v")],
        12,
        {"line": np.array([0, 1, -1]), "w": make_weight(2, 1, 3), "b": make_weight(2)},
    ),
    "line in steps, of several": (
        [*LINE, node("Conv", "l w", "c", pads=[2, 2], strides=[2], group=2), node("Flatten", "c", "v")],
        12,
        {"line": np.array([0, 2, 3]), "w": make_weight(4, 1, 3)},
    ),
    "line of single values": (
        [node("Reshape", "m line", "l"), node("Conv", "l w b", "c"), node("ReduceMax", "c last", "v", keepdims=0)],
        5,
        {"line": np.array([0, 6, -1]), "w": make_weight(5, 6, 1), "b": make_weight(5), "last": np.array([2])},
    ),
    "places by a table": (
        [node("Transpose", "m", "t", perm=[1, 0, 2, 3]), node("GatherND", "t places", "g"),
         node("Transpose", "g", "r", perm=[1, 0, 2, 3]), *pooled("r")],
        3,
        {"places": CHOICE},
    ),
    "places by a table, all of them": (
        [*pooled("m")[:1], node("Flatten", "pool", "f"), node("GatherND", "f places", "v", batch_dims=1)],
        6,
        {"places": np.tile(np.arange(-6, 0)[None, :, None], (1, 1, 1))},
    ),
    "places for each value": (
        [*pooled("m")[:1], node("Flatten", "pool", "f"), node("GatherElements", "f places", "v", axis=1)],
        4,
        {"places": np.array([[5, 0, -3, 3]])},
    ),
    "a branch that is taken": (decide([]), 6, {"yes": np.array(True)}),
    "a branch that is not": (
        decide([node("Shape", "m", "s"), node("Size", "s", "n"), node("Equal", "n three", "yes")]),
        6,
        {"three": np.array(3)},
    ),
}  # fmt: skip

WHOLE = "its statistics are those of a whole window"
REFUSED = {  # name: nodes, features, weights, reason
    "instance norm": ([node("InstanceNormalization", "m scale shift", "r"), *pooled("r")], 6, SIX, WHOLE),
    "group norm": ([node("GroupNormalization", "m scale shift", "r", num_groups=2), *pooled("r")], 6, SIX, WHOLE),
    "squares over other axes than the mean": (
        [*spread("area", "rows")[:3], node("ReduceMean", "q rows", "r"), node("GlobalAveragePool", "r", "p"),
         node("Flatten", "p", "v")],
        6,
        {**AREA, "rows": np.array([2])},
        "a value of the whole window meets the map",
    ),
    "another power": (spread("area", "area", "Pow"), 6, {**AREA, "two": np.float32(4)}, "meets the map"),
    "line of cells": (
        [node("Reshape", "m line", "l"), node("Conv", "l w", "c", pads=[1, 1]), node("Flatten", "c", "v")],
        96,
        {"line": np.array([0, 6, -1]), "w": make_weight(2, 6, 3)},
        "not all channels",
    ),
    "line padded at one end": (
        [*LINE, node("Conv", "l w", "c", pads=[0, 1]), node("Flatten", "c", "v")],
        5,
        {"line": np.array([0, 1, -1]), "w": make_weight(1, 1, 3)},
        "pads one end more than the other",
    ),
    "line padded by its length": (
        [*LINE, node("Conv", "l w", "c", auto_pad="SAME_UPPER"), node("Flatten", "c", "v")],
        6,
        {"line": np.array([0, 1, -1]), "w": make_weight(1, 1, 3)},
        "may mix",
    ),
    "places in rows and columns": (
        [node("Transpose", "m", "t", perm=[2, 3, 0, 1]), node("GatherND", "t places", "g"),
         node("ReduceMax", "g first", "v", keepdims=0)],
        6,
        {"places": np.array([[0, 1], [7, 5]]), "first": np.array([0])},
        "may mix",
    ),
    "other places for each channel": (
        [*pooled("m")[:1], node("Reshape", "pool split", "f"), node("GatherElements", "f places", "g", axis=2),
         node("Flatten", "g", "v")],
        2,
        {"split": np.array([0, 2, 3]), "places": np.tile(np.array([[0], [2]]), (1, 1, 1))},
        "may mix",
    ),
    "a branch by the image": (
        decide([node("ReduceMax", "m", "top", keepdims=0), node("Greater", "top zero", "yes")]),
        6,
        {"zero": np.float32(-99)},
        "reduces over the batch",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LOCAL)
def test_local_operators_equal_crops(tmp_path, name):
    nodes, features, weights = LOCAL[name]
    check_crops(between(tmp_path / "a.onnx", nodes, features, weights=weights, opset=23, ir=11))


@pytest.mark.parametrize("name", REFUSED)
def test_other_operators_run_on_windows(tmp_path, name):
    nodes, features, weights, reason = REFUSED[name]
    path = between(tmp_path / "a.onnx", nodes, features, weights=weights, opset=23, ir=11)
    dense = check_crops(path, tier=2)
    assert any(reason in why for why in dense.report.reasons), dense.report


def test_one_scale_for_each_group_is_of_older_files(tmp_path):
    """Before opset 21."""
    weights = {"scale": make_weight(2), "shift": make_weight(2)}
    nodes = [*pooled("m")[:1], node("GroupNormalization", "pool scale shift", "g", num_groups=2),
             node("Flatten", "g", "v")]  # fmt: skip
    dense = check_crops(between(tmp_path / "a.onnx", nodes, 6, weights=weights, opset=20, ir=9), tier=2)
    assert "may mix" in dense.report.reasons[0]
