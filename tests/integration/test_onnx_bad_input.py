"""ONNX files of which nothing can be made: one clear line on stderr, exit code 2, nothing half-written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import fullyconv
from fullyconv.errors import OptionError
from onnx_files import between, node, pooled, write

FLOAT = TensorProto.FLOAT


def refuse(fails, path: Path, message: str, *options: str) -> None:
    fails("convert", path.name, "-o", "dense.onnx", *options, message=message)


def save_outside(path: Path) -> Path:
    """Writes a file whose weights lie beside it, in `a.bin`."""
    whole = between(path.with_name("whole.onnx"), pooled("m"), 6)
    onnx.save(onnx.load(whole), path, save_as_external_data=True, location="a.bin", size_threshold=0)
    return path


def test_weights_outside_that_are_missing(fails, tmp_path):
    path = save_outside(tmp_path / "a.onnx")
    (tmp_path / "a.bin").unlink()
    refuse(fails, path, "a.onnx: its weights lie in a.bin, which is not beside it; put both in one folder")


def test_weights_outside_that_are_short(fails, tmp_path):
    path = save_outside(tmp_path / "a.onnx")
    (tmp_path / "a.bin").write_bytes((tmp_path / "a.bin").read_bytes()[:200])
    refuse(fails, path, "a.onnx: a.bin holds 200 bytes, weight stem needs 648; it is not whole")


@pytest.mark.parametrize("place", ["../a.bin", "{folder}/a.bin"])
def test_weights_outside_of_the_folder_are_not_read(fails, tmp_path, place):
    """A file must not make others read what it names."""
    path = save_outside(tmp_path / "a.onnx")
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = place.format(folder=tmp_path) if entry.key == "location" else entry.value
    path.write_bytes(model.SerializeToString())
    refuse(fails, path, "a.onnx: weight stem: expected external data in the file's own folder, got ")


def test_every_truncation_is_seen(fails, tmp_path):
    whole = between(tmp_path / "whole.onnx", pooled("m"), 6).read_bytes()
    for size in range(1, len(whole), 97):
        (tmp_path / "part.onnx").write_bytes(whole[:size])
        refuse(fails, tmp_path / "part.onnx", "fullyconv: ")


def test_a_weight_that_is_not_there(fails, tmp_path):
    path = between(tmp_path / "a.onnx", pooled("m"), 6)
    model = onnx.load(path)
    del model.graph.initializer[0]
    onnx.save(model, path)
    refuse(fails, path, "onnxruntime cannot load the model: Invalid model. Node input 'stem' is not a graph input")


def test_files_of_a_future(fails, tmp_path):
    path = between(tmp_path / "a.onnx", pooled("m"), 6)
    model = onnx.load(path)
    model.opset_import[0].version = 99
    onnx.save(model, path)
    refuse(fails, path, "onnxruntime cannot load the model: ONNX Runtime only *guarantees* support")
    model.opset_import[0].version, model.ir_version = 18, 99
    onnx.save(model, path)
    refuse(fails, path, "onnxruntime cannot load the model: Unsupported model IR version: 99")


INPUTS = {
    "strings": helper.make_tensor_value_info("more", TensorProto.STRING, [1]),
    "a sequence": helper.make_tensor_sequence_value_info("more", FLOAT, None),
}


@pytest.mark.parametrize("kind", INPUTS)
def test_inputs_that_hold_no_numbers(fails, tmp_path, kind):
    path = between(tmp_path / "a.onnx", pooled("m"), 6, inputs=[INPUTS[kind]])
    refuse(fails, path, "takes more beside the image; give each a value with --bind name=value")
    told = {"strings": "STRING", "a sequence": "Sequence(Tensor(FLOAT))"}[kind]
    refuse(fails, path, f"input more is a {told}, to which 1.0 cannot be bound", "--bind", "more=1")


def test_images_that_are_a_sequence(fails, tmp_path):
    image = helper.make_tensor_sequence_value_info("image", FLOAT, ["n", 3, 8, 8])
    nodes = [node("SequenceAt", "image place", "one"), node("GlobalAveragePool", "one", "scores")]
    place = helper.make_tensor("place", TensorProto.INT64, [], [0])
    scores = helper.make_tensor_value_info("scores", FLOAT, None)
    graph = helper.make_graph(nodes, "test", [image], [scores], [place])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), tmp_path / "a.onnx")
    refuse(fails, tmp_path / "a.onnx", "expected one image among its inputs, (N, C, height, width) of floats")


def test_images_of_no_known_shape_and_two_of_them(fails, tmp_path):
    nothing = write(tmp_path / "a.onnx", [node("GlobalAveragePool", "image", "scores")], {}, shape=None)
    refuse(fails, nothing, "expected one image among its inputs, (N, C, height, width) of floats; got image None")
    other = helper.make_tensor_value_info("other", FLOAT, ["n", 3, 17, 13])
    refuse(fails, between(tmp_path / "b.onnx", pooled("m"), 6, inputs=[other]), "got image [n,3,17,13], other [n,3,17")


def test_outputs_that_hold_no_numbers(fails, tmp_path):
    path = write(
        tmp_path / "a.onnx", [node("GlobalAveragePool", "image", "p"), node("SequenceConstruct", "p", "s")], {}
    )
    model = onnx.load(path)
    model.graph.output[0].CopyFrom(helper.make_tensor_sequence_value_info("s", FLOAT, None))
    onnx.save(model, path)
    refuse(fails, path, "output s: expected a tensor of numbers, got Sequence(Tensor(FLOAT)); export without it")


def test_bindings_of_another_shape(tmp_path):
    info = [helper.make_tensor_value_info("scale", FLOAT, [6, 1, 1])]
    path = between(tmp_path / "a.onnx", [node("Mul", "m scale", "r"), *pooled("r")], 6, inputs=info)
    with pytest.raises(OptionError, match=r"input scale: expected the shape \[6,1,1\], got \(5, 1, 1\) to bind"):
        fullyconv.convert(path, bind={"scale": np.ones((5, 1, 1))})
    with pytest.raises(OptionError, match="input scale is a FLOAT, to which 'x' cannot be bound"):
        fullyconv.convert(path, bind={"scale": "x"})


def test_float64_is_not_for_onnxruntime(fails, tmp_path):
    path = between(tmp_path / "a.onnx", pooled("m"), 6, dtype=TensorProto.DOUBLE)
    model = onnx.load(path)
    for weight in model.graph.initializer:
        weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight).astype(float), weight.name))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    onnx.save(model, path)
    refuse(fails, path, "it has few operators for float64, in which this model is: make it one in float32")
