"""Which input is the image, and what becomes of the others."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

import fullyconv
from fullyconv.__main__ import main
from fullyconv.capture.onnx_model import load_onnx
from fullyconv.errors import ModelError, OptionError
from onnx_files import between, make_weight, node, pooled

IMAGES = np.random.default_rng(3).standard_normal((2, 3, 24, 21)).astype(np.float32)
MEANS = make_weight(1, 6, 1, 1, seed=5)

# As an exporter writes the constants of a normalisation that it made inputs of.
INFO = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 6, 1, 1]) for name in ("mean", "scale")]
NODES = [node("Sub", "m mean", "a"), *pooled("a")]


def make_open(tmp_path):
    return between(tmp_path / "open.onnx", NODES, 6, inputs=INFO)


def test_inputs_that_nothing_reads_need_no_value(tmp_path):
    path = between(tmp_path / "a.onnx", pooled("m"), 6, inputs=INFO, opset=13)
    dense = fullyconv.convert(path)
    assert sorted(load_onnx(path).bound) == ["mean", "scale"]
    np.testing.assert_array_equal(
        dense(IMAGES), fullyconv.convert(between(tmp_path / "b.onnx", pooled("m"), 6, opset=13))(IMAGES)
    )
    assert fullyconv.verify(dense, path).passed


def test_numbers_for_each_channel_are_told_from_the_image(tmp_path):
    """The scale is read by nothing and needs no value; the mean has four axes too, but neither rows nor columns."""
    with pytest.raises(ModelError, match=r"takes mean \[1,6,1,1\] beside the image; .* or name=a,b,c for several"):
        fullyconv.convert(make_open(tmp_path))


@pytest.mark.parametrize("given", [MEANS, MEANS.ravel(), list(map(float, MEANS.ravel()))])
def test_a_list_lies_along_the_only_axis_there_is(tmp_path, given):
    fixed = between(tmp_path / "fixed.onnx", NODES, 6, weights={"mean": MEANS})
    dense = fullyconv.convert(make_open(tmp_path), bind={"mean": given})
    np.testing.assert_array_equal(dense(IMAGES), fullyconv.convert(fixed)(IMAGES))


def test_a_list_for_several_axes_is_refused(tmp_path):
    info = [helper.make_tensor_value_info("mean", TensorProto.FLOAT, [1, 1, 3, 2])]
    path = between(tmp_path / "a.onnx", [node("Reshape", "mean six", "s"), node("Sub", "m s", "a"), *pooled("a")], 6,
                   inputs=info, weights={"six": np.array([1, 6, 1, 1])})  # fmt: skip
    with pytest.raises(OptionError, match=r"input mean: expected the shape \[1,1,3,2\], got \(6,\) to bind"):
        fullyconv.convert(path, bind={"mean": MEANS.ravel()})
    assert fullyconv.convert(path, bind={"mean": MEANS.reshape(1, 1, 3, 2)}).report.tier == 1


def test_numbers_on_the_command_line(tmp_path, capsys):
    text = ",".join(str(float(value)) for value in MEANS.ravel())
    out = tmp_path / "dense.onnx"
    assert main(["convert", str(make_open(tmp_path)), "-o", str(out), "--bind", f"mean={text}"]) == 0
    fixed = between(tmp_path / "fixed.onnx", NODES, 6, weights={"mean": MEANS})
    np.testing.assert_array_equal(fullyconv.load(out)(IMAGES), fullyconv.convert(fixed)(IMAGES))
    assert main(["convert", str(fixed), "-o", str(out), "--bind", "mean=1,x"]) == 2
    assert "or several, such as mean=0.5,0.5,0.4; got 'mean=1,x'" in capsys.readouterr().err
