"""Networks from ONNX files are checked against the file itself, run by onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

import fullyconv
from fullyconv.capture.onnx_model import load_onnx
from fullyconv.errors import CaptureError
from fullyconv.verify.cut import SplitError
from fullyconv.verify.onnx_original import OnnxOriginal
from fullyconv.verify.splits import Probe, SplitTensor
from onnx_files import WINDOW, between, export, make_weight, node, pooled, write
from zoo import ZOO, build

NAMES = [
    *("plain", "vgg", "resnet", "convnext", "outputs", "flatten_whc", "flattened_maps", "shuffle", "ceil_pool"),
    *("fully_convolutional", "perceptron", "squeeze_excite", "attention", "position_norm", "recurrent"),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_networks_of_every_kind_pass(tmp_path, name):
    path = export(build(name), ZOO[name].window, tmp_path / "a.onnx", channels=ZOO[name].channels)
    report = fullyconv.verify(fullyconv.convert(path), path)
    assert report.passed, str(report)
    assert report.checked_beyond_window
    assert report.guarantee == ZOO[name].guarantee
    assert bool(report.fidelity) == (report.guarantee == "feature windows")
    assert {comparison.dtype for comparison in report.comparisons} == {"float64", "float32"}, report.notes
    assert max(errors["float64"] for errors in report.errors.values()) < 1e-7  # computed weights are rounded
    kinds = {comparison.guarantee for comparison in report.comparisons}
    assert kinds >= {"window", "feature windows"} or name in ("perceptron",)


def test_logits_are_compared_before_a_last_activation(tmp_path):
    path = between(tmp_path / "a.onnx", pooled("m"), 6)
    model = onnx.load(path)
    model.graph.node[-1].output[0] = "logits"
    model.graph.node.append(node("Softmax", "logits", "scores", axis=1))
    onnx.save(model, path)
    report = fullyconv.verify(fullyconv.convert(path), path)
    assert report.passed
    assert {comparison.quantity for comparison in report.comparisons} == {"scores", "logits"}


def test_both_kinds_are_checked_against_each_other(tmp_path):
    model, entry = build("plain"), ZOO["plain"]
    path = export(model, entry.window, tmp_path / "a.onnx", channels=1)
    for dense, original in ((fullyconv.convert(path), model), (fullyconv.convert(model, entry.window), path)):
        report = fullyconv.verify(dense, original)
        assert report.passed, str(report)
        assert {comparison.dtype for comparison in report.comparisons} == {"float32"}
        assert any("weights that are rounded apart, so float64 is out" in note for note in report.notes)


@pytest.mark.parametrize("name", ["vgg", "plain", "attention"])
def test_a_corrupted_weight_makes_it_fail(tmp_path, name):
    path = export(build(name), ZOO[name].window, tmp_path / "a.onnx", channels=ZOO[name].channels)
    dense = fullyconv.convert(path)
    model = onnx.load(path)
    weight = next(one for one in model.graph.initializer if len(one.dims) == 2)
    array = numpy_helper.to_array(weight).copy()
    array[0, 0] += np.abs(array).max()
    weight.CopyFrom(numpy_helper.from_array(array, weight.name))
    onnx.save(model, tmp_path / "b.onnx")
    assert not fullyconv.verify(dense, tmp_path / "b.onnx").passed


def test_sizes_baked_into_the_trunk_follow_the_image(tmp_path):
    """A channel shuffle that an exporter wrote for one size."""
    nodes = [node("Conv", "m w", "c", pads=[1, 1, 1, 1]), node("Reshape", "c split", "s"),
             node("Transpose", "s", "t", perm=[0, 2, 1, 3, 4]), node("Reshape", "t whole", "r"),
             node("Relu", "r", "q"), *pooled("q")]  # fmt: skip
    sizes = {"split": np.array([1, 2, 3, 8, 6]), "whole": np.array([1, 6, 8, 6])}
    weights = {"w": make_weight(6, 6, 3, 3), **sizes}
    path = between(tmp_path / "a.onnx", nodes, 6, weights=weights, shape=(1, 3, *WINDOW))
    dense = fullyconv.convert(path)
    assert (dense.report.tier, dense.report.guarantee) == (1, "feature windows")
    report = fullyconv.verify(dense, path)
    assert report.passed and report.checked_beyond_window, str(report)


def test_an_approximation_is_measured(tmp_path):
    path = export(build("squeeze_excite"), ZOO["squeeze_excite"].window, tmp_path / "a.onnx")
    report = fullyconv.verify(fullyconv.convert(path, approximate="all"), path)
    assert {item.reference for item in report.fidelity} == {"crops", "the exact network"}


def open_original(path):
    return OnnxOriginal(load_onnx(path), torch.randn(2, 3, *WINDOW), torch.float32)


def test_a_split_must_be_one(tmp_path):
    original = open_original(between(tmp_path / "a.onnx", [node("Relu", "m", "r"), *pooled("r")], 6))
    probe = Probe(original.window, (SplitTensor("nonsense", original.window),))
    with pytest.raises(SplitError, match="nonsense: expected a value of the original here"):
        original.cut(probe)
    both = [node("Relu", "m", "r"), node("Neg", "m", "q"), node("Add", "r q", "s"), *pooled("s")]
    original = open_original(between(tmp_path / "b.onnx", both, 6))
    with pytest.raises(SplitError, match="r: the head gets something past the split"):
        original.cut(Probe(original.window, (SplitTensor("r", original.window),)))


def test_images_of_the_caller(tmp_path):
    path = export(build("resnet"), ZOO["resnet"].window, tmp_path / "a.onnx")
    image = np.random.default_rng(0).standard_normal((3, 61, 70)).astype(np.float32)
    report = fullyconv.verify(fullyconv.convert(path), path, image)
    assert report.passed and report.checked_beyond_window


def test_a_head_that_is_another_one_each_time_is_no_half(tmp_path):
    noise = [node("RandomNormalLike", "r", "noise"), node("Add", "r noise", "q"), *pooled("q")]
    original = open_original(between(tmp_path / "a.onnx", [node("Relu", "m", "r"), *noise], 6, shape=(1, 3, *WINDOW)))
    with pytest.raises(SplitError, match="r: the head's outputs on patches are not those of the original"):
        original.cut(Probe(original.window, (SplitTensor("r", original.window),)))


def make_half(source, path):
    """Writes a file with float16 in place of float32."""
    model = onnx.load(source)
    for weight in model.graph.initializer:
        array = numpy_helper.to_array(weight)
        half = array.astype(np.float16) if array.dtype == np.float32 else array
        weight.CopyFrom(numpy_helper.from_array(half, weight.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("tier", [1, 2])
def test_float16_is_checked_in_float32(tmp_path, tier):
    """Its weights stay as they are; their sums are no longer rounded to three digits."""
    cast = [node("Cast", "m", "h", to=onnx.TensorProto.FLOAT16), node("Relu", "h", "r")]
    norm = [node("InstanceNormalization", "r s b", "q"), *pooled("q")] if tier == 2 else pooled("r")
    weights = {"s": make_weight(6), "b": make_weight(6, seed=1)} if tier == 2 else {}
    path = make_half(between(tmp_path / "a.onnx", [*cast, *norm], 6, weights=weights), tmp_path / "b.onnx")
    dense = fullyconv.convert(path)
    assert dense.report.tier == tier and dense.module.program.dtype == "float16"
    report = fullyconv.verify(dense, path)
    assert report.passed and report.checked_beyond_window, str(report)
    assert {comparison.dtype for comparison in report.comparisons} == {"float64", "float32"}
    assert "the model is in float16, and was checked in float32 with the same weights" in report.notes
    other = onnx.load(path)
    weight = next(one for one in other.graph.initializer if one.name == "bias")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) + np.float16(0.01), "bias"))
    onnx.save(other, tmp_path / "c.onnx")
    assert not fullyconv.verify(dense, tmp_path / "c.onnx").passed


@pytest.mark.parametrize("measured", ["image", "m"])
def test_a_flatten_that_reads_the_batch_size_before_the_split_is_cut_there(tmp_path, measured):
    """As Keras writes it: of a network that pads, so that crops say nothing of the feature windows."""
    nodes = [node("Conv", "m w", "c", pads=[1, 1, 1, 1]), node("Shape", f"{measured}", "sizes"),
             node("Gather", "sizes zero", "batch"), node("Concat", "batch rest", "flat", axis=0),
             node("Transpose", "c", "t", perm=[0, 2, 3, 1]), node("Reshape", "t flat", "v")]  # fmt: skip
    weights = {"w": make_weight(6, 6, 3, 3), "zero": np.array([0]), "rest": np.array([288])}
    path = between(tmp_path / "a.onnx", nodes, 288, weights=weights)
    dense = fullyconv.convert(path)
    assert (dense.report.tier, dense.report.guarantee) == (1, "feature windows")
    report = fullyconv.verify(dense, path)
    assert report.passed and report.checked_beyond_window, str(report)
    model = onnx.load(path)
    weight = next(one for one in model.graph.initializer if one.name == "fc")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight)[::-1].copy(), "fc"))  # another flatten order
    onnx.save(model, tmp_path / "b.onnx")
    assert not fullyconv.verify(dense, tmp_path / "b.onnx").passed


def test_a_reshape_that_moves_the_one_channel_of_grey_images_follows_their_size(tmp_path):
    """As tf2onnx writes the transposition of `(N, h, w, 1)`."""
    nodes = [node("Reshape", "image nchw", "grey"), node("Conv", "grey w", "c", pads=[1, 1, 1, 1]),
             node("Relu", "c", "r"), *pooled("r"), node("Gemm", "v fc", "scores")]  # fmt: skip
    sizes = {"nchw": np.array([-1, 1, *WINDOW])}
    weights = {"w": make_weight(6, 1, 3, 3), "fc": make_weight(6, 4, seed=1), **sizes}
    path = write(tmp_path / "a.onnx", nodes, weights, shape=("n", *WINDOW, 1))
    dense = fullyconv.convert(path)
    assert (dense.report.tier, dense.report.guarantee) == (1, "feature windows")
    report = fullyconv.verify(dense, path)
    assert report.passed and report.checked_beyond_window, str(report)


def test_values_of_another_number_of_images_are_no_reference(tmp_path):
    original = open_original(between(tmp_path / "a.onnx", pooled("m"), 6))
    with pytest.raises(CaptureError, match=r"m: expected values of 2 images, got the shape \(3, 6\)"):
        original.in_batches({"image": torch.zeros(2, 3, *WINDOW)}, lambda given: {"m": np.zeros((3, 6))})


def test_padding_that_is_computed_from_the_size_of_the_image_is_that_of_windows(tmp_path):
    """As Keras writes SAME on the torch backend: one cell more where a side of the map is even."""
    nodes = [node("Shape", "m", "sizes", start=2), node("Mod", "sizes two", "odd"), node("Sub", "one odd", "even"),
             node("Concat", "two_none even four_none", "amounts", axis=0), node("Pad", "m amounts", "p"),
             node("Conv", "p w", "c", strides=[2, 2]), node("Relu", "c", "r"), *pooled("r")]  # fmt: skip
    sizes = {"two": np.array([2, 2]), "one": np.array([1, 1])}
    sizes |= {"two_none": np.zeros(2, np.int64), "four_none": np.zeros(4, np.int64)}
    path = between(tmp_path / "a.onnx", nodes, 6, weights={"w": make_weight(6, 6, 3, 3), **sizes})
    dense = fullyconv.convert(path)
    assert (dense.report.tier, dense.report.guarantee) == (1, "feature windows")
    report = fullyconv.verify(dense, path)
    assert report.passed and report.checked_beyond_window, str(report)


def test_a_file_in_float16_that_was_checked_is_saved_as_it_was(tmp_path):
    path = make_half(between(tmp_path / "a.onnx", pooled("m"), 6), tmp_path / "b.onnx")
    dense, source = fullyconv.convert(path), load_onnx(path)
    fullyconv.verify(dense, source)
    dense.save(tmp_path / "dense.onnx")
    onnx.checker.check_model(tmp_path / "dense.onnx", full_check=True)
    assert fullyconv.load(tmp_path / "dense.onnx").module.program.dtype == "float16"
    assert OnnxOriginal(source, torch.randn(2, 3, *WINDOW), torch.float16).answer(torch.randn(2, 3, *WINDOW))
