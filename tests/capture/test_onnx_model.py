"""ONNX files of every age and habit are read in one form, and what cannot be read is said so."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

import fullyconv
from fullyconv.capture import onnx_model, onnx_session
from fullyconv.capture.onnx_file import capture_onnx
from fullyconv.capture.onnx_model import load_onnx
from fullyconv.errors import CaptureError, MissingExtraError, ModelError, OptionError
from fullyconv.rewrite import onnx_files as onnx_files_on_disk
from onnx_files import between, check_crops, make_weight, node, pooled, write


def plain(path, **how):
    return between(path, [node("Relu", "m", "r"), *pooled("r")], 6, **how)


def test_a_file_says_its_window(tmp_path):
    assert fullyconv.convert(plain(tmp_path / "a.onnx")).grid.window_px == (17, 13)


def test_a_file_of_any_size_needs_a_window(tmp_path):
    path = plain(tmp_path / "a.onnx", shape=("n", 3, "h", "w"))
    assert fullyconv.convert(path, (21, 13)).grid.window_px == (21, 13)
    with pytest.raises(OptionError, match=r"takes images of any size; pass the \(height, width\)"):
        fullyconv.convert(path)


def test_a_file_of_any_channels_takes_those_of_its_first_layer(tmp_path):
    assert fullyconv.convert(plain(tmp_path / "a.onnx", shape=("n", "c", 17, 13))).card.channels == 3


def test_weights_among_the_inputs_are_weights(tmp_path):
    """As files of IR version 3 have them."""
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("stem", (6, 3, 3, 3)), ("fc", (6, 4)), ("bias", (4,)))]  # fmt: skip
    check_crops(plain(tmp_path / "a.onnx", inputs=info, ir=3, opset=9))


@pytest.mark.parametrize("shape", [(1, 3, 17, 13), (4, 3, 17, 13)])
def test_a_stated_batch_is_none_of_the_network(tmp_path, shape):
    path = plain(tmp_path / "a.onnx", shape=shape)
    assert capture_onnx(load_onnx(path)).graph.batch == 2
    assert fullyconv.convert(path)(np.zeros((3, 3, 17, 13), np.float32)).shape == (3, 4, 1, 1)


def test_a_batch_baked_into_a_reshape(tmp_path):
    nodes = [node("Reshape", "m size", "v")]
    path = between(tmp_path / "a.onnx", nodes, 288, shape=(1, 3, 17, 13), weights={"size": np.array([1, -1])})
    assert capture_onnx(load_onnx(path)).graph.batch == 1
    check_crops(path)


def test_softmax_of_old_files_flattens(tmp_path):
    """Before opset 13 its sum runs over all axes from the one named."""
    nodes = [node("Softmax", "m", "s", axis=1), *pooled("s")]
    old = between(tmp_path / "old.onnx", nodes, 6, opset=11)
    assert fullyconv.convert(old).report.tier == 2
    check_crops(old, tier=2)
    new = check_crops(between(tmp_path / "new.onnx", nodes, 6))
    assert new.report.tier == 1


def test_images_with_channels_last(tmp_path):
    turned = node("Transpose", "image", "turned", perm=[0, 3, 1, 2])
    nodes = [turned, node("Conv", "turned stem", "m"), *pooled("m"), node("Gemm", "v fc", "scores")]
    weights = {"stem": make_weight(6, 3, 3, 3), "fc": make_weight(6, 4)}
    path = write(tmp_path / "a.onnx", nodes, weights, shape=("n", 17, 13, 3))
    dense = fullyconv.convert(path)
    assert (dense.grid.window_px, dense.card.channels, dense.report.tier) == ((17, 13), 3, 1)
    assert fullyconv.verify(dense, path).passed
    assert fullyconv.convert(path, layout="nhwc").grid == dense.grid
    assert fullyconv.convert(path, layout="nchw").card.channels == 17


def test_inputs_beside_the_image_are_bound(tmp_path):
    factor = helper.make_tensor_value_info("factor", TensorProto.FLOAT, [1])
    path = between(tmp_path / "a.onnx", [node("Mul", "m factor", "r"), *pooled("r")], 6, inputs=[factor], opset=13)
    with pytest.raises(
        ModelError, match=r"takes factor \[.*\] beside the image; give each a value with --bind name=value"
    ):
        fullyconv.convert(path)
    with pytest.raises(OptionError, match="has no input 'nonsense' to bind; its inputs are image, factor"):
        fullyconv.convert(path, bind={"nonsense": 1})
    images = np.random.default_rng(0).standard_normal((1, 3, 17, 13)).astype(np.float32)
    once, twice = (fullyconv.convert(path, bind={"factor": value})(images) for value in (1, 2))
    bias = make_weight(4, seed=2)[None, :, None, None]
    np.testing.assert_allclose(twice - bias, 2 * (once - bias), rtol=1e-4, atol=1e-5)


def test_bindings_are_for_onnx_files(tmp_path):
    with pytest.raises(OptionError, match=r"bind and layout: expected an \.onnx file"):
        fullyconv.convert(tmp_path / "model.pt2", bind={"a": 1})


def test_unknown_operators(tmp_path):
    own = [helper.make_opsetid("com.example", 1)]
    nodes = [helper.make_node("Sharpen", ["m"], ["r"], domain="com.example"), *pooled("r")]
    with pytest.raises(ModelError, match=r"unknown operators com\.example::Sharpen; expected those of ONNX"):
        load_onnx(between(tmp_path / "a.onnx", nodes, 6, domains=own))


@pytest.mark.parametrize("how", [{"shape": ("n", 12)}, {"dtype": TensorProto.UINT8}])
def test_no_image(tmp_path, how):
    with pytest.raises(ModelError, match=r"expected one image among its inputs, \(N, C, height, width\) of floats"):
        load_onnx(plain(tmp_path / "a.onnx", **how))


def test_damaged_files(tmp_path):
    whole = plain(tmp_path / "whole.onnx").read_bytes()
    for name, content in {"half": whole[: len(whole) // 2], "empty": b"", "text": b"hello"}.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)
        with pytest.raises(ModelError, match=f"{name}.onnx: not a whole ONNX file"):
            load_onnx(tmp_path / f"{name}.onnx")
    with pytest.raises(ModelError, match="expected an ONNX file, found none"):
        load_onnx(tmp_path / "absent.onnx")


def test_a_graph_that_contradicts_itself(tmp_path):
    path = plain(tmp_path / "a.onnx")
    model = onnx.load(path)
    model.graph.node[0].input[0] = "r"  # its own result
    onnx.save(model, path)
    with pytest.raises(ModelError, match="its graph cannot be read"):
        load_onnx(path)


def test_weights_that_are_not_finite(tmp_path):
    path = plain(tmp_path / "a.onnx", weights={"bias": np.full(4, np.nan, np.float32)})
    with pytest.raises(ModelError, match="bias: expected finite weights, got NaN"):
        fullyconv.convert(path)


def test_a_window_that_the_network_cannot_take(tmp_path):
    with pytest.raises(CaptureError, match=r"does not run on windows of 2x2 pixels \(width x height\)"):
        fullyconv.convert(plain(tmp_path / "a.onnx", shape=("n", 3, "h", "w")), (2, 2))


def test_an_output_that_does_not_depend_on_the_image(tmp_path):
    path = plain(tmp_path / "a.onnx", outputs=["scores", "bias"])
    with pytest.raises(CaptureError, match="output bias does not depend on the image"):
        fullyconv.convert(path)


def test_a_network_that_mixes_its_batch_is_seen_by_single_windows(tmp_path):
    nodes = [
        node("ReduceMean", "m first", "mean", keepdims=1),
        node("Sub", "m mean", "r"),
        node("Relu", "r", "s"),
        *pooled("s"),
    ]
    path = between(tmp_path / "a.onnx", nodes, 6, weights={"first": np.array([0])})
    assert capture_onnx(load_onnx(path)).graph.batch == 1


def test_external_weights(tmp_path):
    path = plain(tmp_path / "a.onnx")
    model = onnx.load(path)
    onnx.save(model, tmp_path / "b.onnx", save_as_external_data=True, location="b.bin", size_threshold=0)
    images = np.random.default_rng(0).standard_normal((1, 3, 19, 17)).astype(np.float32)
    expected = fullyconv.convert(path)(images)
    np.testing.assert_array_equal(fullyconv.convert(tmp_path / "b.onnx")(images), expected)


def test_slices_of_old_files(tmp_path):
    """Before opset 10 their places are attributes."""
    nodes = [node("Slice", "m", "r", axes=[1, 2], starts=[1, 1], ends=[4, 100]), *pooled("r")]
    check_crops(between(tmp_path / "a.onnx", nodes, 3, opset=9, ir=4))


def test_operators_that_cannot_be_brought_up_to_date(tmp_path):
    statistics = {name: np.ones(6, np.float32) for name in "abcd"}
    nodes = [node("BatchNormalization", "m a b c d", "r", is_test=0), *pooled("r")]
    with pytest.raises(ModelError, match="its operators cannot be brought from opset 6 to 18"):
        load_onnx(between(tmp_path / "a.onnx", nodes, 6, opset=6, ir=4, weights=statistics))


def test_an_update_that_changes_scores_is_seen(tmp_path):
    source = load_onnx(plain(tmp_path / "a.onnx", opset=11))
    capture_onnx(source)
    bias = source.model.graph.initializers["bias"]
    assert bias.const_value is not None
    bias.const_value = ir.tensor(bias.const_value.numpy() + 1, name="bias")
    with pytest.raises(ModelError, match="output scores is another one after the update to current operators"):
        capture_onnx(source)


@pytest.mark.parametrize("name", ["onnx", "onnx_ir", "onnxruntime"])
def test_what_is_not_installed_says_how_to_install_it(tmp_path, monkeypatch, name):
    path = plain(tmp_path / "a.onnx")
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"{name} is not installed; .* pip install 'fullyconv\[onnx\]'"):
        fullyconv.convert(path)
    with pytest.raises(MissingExtraError, match=name):
        fullyconv.load(path)


def test_large_models_go_by_way_of_a_file(tmp_path, monkeypatch):
    """As those over 2 GB must; here the limit is one byte."""
    for module in (onnx_model, onnx_session, onnx_files_on_disk):
        monkeypatch.setattr(module, "LARGEST_IN_MEMORY", 1)
    path = plain(tmp_path / "a.onnx", opset=11)
    model = onnx.load(path)
    onnx.save(model, tmp_path / "b.onnx", save_as_external_data=True, location="b.bin", size_threshold=0)
    dense = fullyconv.convert(tmp_path / "b.onnx")
    images = np.random.default_rng(0).standard_normal((1, 3, 19, 17)).astype(np.float32)
    dense.save(tmp_path / "dense.onnx")
    assert (tmp_path / "dense.onnx.data").is_file()
    expected = fullyconv.convert(path)(images)
    np.testing.assert_array_equal(dense(images), expected)
    np.testing.assert_array_equal(fullyconv.load(tmp_path / "dense.onnx")(images), expected)


def test_a_baked_batch_that_is_mixed_cannot_be_run(tmp_path):
    """Nothing says what one of its windows is worth alone."""
    nodes = [
        node("Reshape", "m size", "f"),
        node("ReduceMean", "f first", "mean", keepdims=1),
        node("Sub", "f mean", "v"),
    ]
    weights = {"size": np.array([4, 288]), "first": np.array([0])}
    path = between(tmp_path / "a.onnx", nodes, 288, weights=weights, shape=(4, 3, 17, 13))
    with pytest.raises(CaptureError, match="the scores of a window depend on others in its batch"):
        fullyconv.convert(path)


def test_a_baked_batch_of_several(tmp_path):
    weights = {"size": np.array([4, 288])}
    path = between(tmp_path / "a.onnx", [node("Reshape", "m size", "v")], 288, weights=weights, shape=(4, 3, 17, 13))
    dense = fullyconv.convert(path)
    assert capture_onnx(load_onnx(path)).graph.batch == 4
    assert dense(np.zeros((1, 3, 19, 17), np.float32)).shape == (1, 4, 2, 3)
    assert fullyconv.verify(dense, path).passed
