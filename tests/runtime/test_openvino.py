"""OpenVINO as a session: exact unless asked otherwise, and free of its trap."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import onnx_ir as ir
import openvino
import pytest
from onnx import helper

from fullyconv.capture import onnx_session
from fullyconv.capture.onnx_session import OnnxSession
from fullyconv.errors import CaptureError, MissingExtraError, ModelError
from fullyconv.runtime.openvino_gathers import lift_gathers
from fullyconv.runtime.openvino_session import OpenVinoSession
from fullyconv.runtime.specification import Runtime
from onnx_files import between, make_weight, node, pooled, write

EXACT = Runtime("openvino")
PLACES = np.array([5, 3, 1, 0, 2, 4])
IMAGE = np.random.default_rng(0).standard_normal((2, 3, 19, 16)).astype(np.float32)


def compare(path, runtime: Runtime = EXACT, **names) -> float:
    """The largest error relative to onnxruntime without any rewriting of its own."""
    found = OpenVinoSession(ir.load(path), runtime).run({"image": IMAGE}, **names)
    expected = OnnxSession(ir.load(path), rewrites=False).run({"image": IMAGE}, **names)
    assert list(found) == list(expected)
    return max(np.abs(found[name] - value).max() / np.abs(value).max() for name, value in expected.items())


def mixing(path, *nodes: onnx.NodeProto, **weights: np.ndarray):
    """A file in which `nodes` make `g` of the map `m`, whose channels a convolution then mixes."""
    weights = {"w": make_weight(6, 6, 3, 3), **weights}
    return between(path, [*nodes, node("Conv", "g w", "r"), *pooled("r")], 6, weights=weights, shape=("n", 3, "h", "w"))


def test_it_is_exact_although_the_processor_could_be_faster(tmp_path):
    """By default it takes bfloat16 where there is such a unit, which is off by about 1e-2."""
    path = mixing(tmp_path / "a.onnx", node("Relu", "m", "g"))
    assert compare(path) < 1e-5


def test_coarser_arithmetic_is_taken_where_it_is_asked_for_and_there(tmp_path):
    path = mixing(tmp_path / "a.onnx", node("Relu", "m", "g"))
    known = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    for arithmetic, capability in (("bfloat16", "BF16"), ("float16", "FP16")):
        runtime = Runtime("openvino", arithmetic=arithmetic)
        if capability in known:
            assert 1e-5 < compare(path, runtime) < 5e-2
        else:
            with pytest.raises(ModelError, match=f"openvino cannot compute in {arithmetic} on this processor"):
                compare(path, runtime)


@pytest.mark.parametrize("axis", [1, -3])
@pytest.mark.parametrize("constant", [False, True])
def test_channels_in_another_order_stay_so(tmp_path, axis, constant):
    """OpenVINO moves such a Gather into the convolution's weights, by the inverse order."""
    maker = [helper.make_node("Constant", [], ["places"], value=onnx.numpy_helper.from_array(PLACES))]
    gather = node("Gather", "m places", "g", axis=axis)
    path = mixing(tmp_path / "a.onnx", *(maker if constant else ()), gather, **({} if constant else {"places": PLACES}))
    assert compare(path) < 1e-5


def test_rows_in_another_order_stay_so_too(tmp_path):
    gather = node("Gather", "m places", "g", axis=2)
    assert compare(mixing(tmp_path / "a.onnx", gather, places=np.array([7, 0, 1, 6, 5]))) < 1e-5


def test_what_picks_one_number_or_from_the_first_axis_is_left(tmp_path):
    nodes = [node("Shape", "m", "s"), node("Gather", "s last", "size"), node("Gather", "m last", "row", axis=2)]
    proto = onnx.load(mixing(tmp_path / "a.onnx", *nodes, node("Relu", "m", "g"), last=np.array(3)))
    before = proto.SerializeToString()
    lift_gathers(proto)
    assert proto.SerializeToString() == before


def test_gathers_within_a_branch_are_lifted(tmp_path):
    made = helper.make_tensor_value_info("inner", onnx.TensorProto.FLOAT, None)
    inner = helper.make_graph([node("Gather", "m places", "inner", axis=1)], "branch", [], [made])
    nodes = [helper.make_node("If", ["yes"], ["g"], then_branch=inner, else_branch=inner)]
    proto = onnx.load(mixing(tmp_path / "a.onnx", *nodes, places=PLACES, yes=np.array(True)))
    lift_gathers(proto)
    (branching,) = (one for one in proto.graph.node if one.op_type == "If")
    for attribute in branching.attribute:
        assert [one.op_type for one in attribute.g.node] == ["Unsqueeze", "Gather", "Squeeze"]
    found = OnnxSession(ir.from_proto(proto)).run({"image": IMAGE})["scores"]
    np.testing.assert_array_equal(found, OnnxSession(ir.load(tmp_path / "a.onnx")).run({"image": IMAGE})["scores"])


def test_only_wanted_outputs_are_made_and_in_the_order_asked_for(tmp_path):
    path = mixing(tmp_path / "a.onnx", node("Relu", "m", "g"))
    model = ir.load(path)
    session = OpenVinoSession(model, EXACT, extra_outputs=["g", "scores"])
    assert (session.inputs, session.outputs) == (("image",), ("scores", "g"))
    assert list(session.run({"image": IMAGE}, ["g", "scores"])) == ["g", "scores"]
    assert session.run({"image": IMAGE}, []) == {}
    expected = OnnxSession(model, extra_outputs=["g"]).run({"image": IMAGE})
    for names in (["g"], ["scores"], ["g", "scores"], None):
        for name, value in session.run({"image": IMAGE}, names).items():
            np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-5 * np.abs(expected[name]).max())


def test_results_are_the_caller_s(tmp_path):
    session = OpenVinoSession(ir.load(mixing(tmp_path / "a.onnx", node("Relu", "m", "g"))), EXACT)
    first = session.run({"image": IMAGE})["scores"]
    kept = first.copy()
    session.run({"image": -IMAGE})
    np.testing.assert_array_equal(first, kept)


def test_a_model_too_large_for_one_message_goes_by_file(tmp_path, monkeypatch):
    path = mixing(tmp_path / "a.onnx", node("Gather", "m places", "g", axis=1), places=PLACES)
    monkeypatch.setattr(onnx_session, "LARGEST_IN_MEMORY", 0)
    assert compare(path) < 1e-5


def test_what_it_cannot_do_is_said_in_a_line(tmp_path):
    unknown = write(tmp_path / "a.onnx", [helper.make_node("Nonsense", ["image"], ["scores"])], {})
    with pytest.raises(CaptureError, match=r"openvino cannot load the model: .*Nonsense"):
        OpenVinoSession(ir.load(unknown), EXACT)
    session = OpenVinoSession(ir.load(mixing(tmp_path / "b.onnx", node("Relu", "m", "g"))), EXACT)
    with pytest.raises(CaptureError, match="openvino cannot run the model: "):
        session.run({"image": IMAGE[:, :2]})
    with pytest.raises(ModelError, match="openvino runs on the CPU here, not on cuda"):
        OpenVinoSession(ir.load(tmp_path / "b.onnx"), Runtime("openvino", device="cuda"))


def test_its_absence_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"openvino is not installed; .* pip install 'fullyconv\[openvino\]'"):
        OpenVinoSession(ir.load(mixing(tmp_path / "a.onnx", node("Relu", "m", "g"))), EXACT)
