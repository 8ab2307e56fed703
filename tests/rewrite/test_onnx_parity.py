"""The same network from PyTorch and from its ONNX export: the same grid, tier, guarantee and scores.

What an exporter cannot write, or writes as something else, is listed with its reason, and each entry must be so: it
fails when it gets better.
"""

from __future__ import annotations

import pytest
import torch
from onnxruntime import InferenceSession

import fullyconv
from fullyconv.errors import CaptureError
from fullyconv.rewrite import onnx_export
from onnx_files import assert_near, export, make_images
from zoo import ZOO, build

# By the tracing exporter, which is fast, and by the newer one. What it says: a part of its message.
NOT_EXPORTED = {
    ("alexnet", False): "adaptive_avg_pool2d, output size that are not factor of input size",
    ("binned", False): "adaptive_avg_pool2d, output size that are not factor of input size",
    ("adaptive_average", False): "adaptive_avg_pool2d, output size that are not factor of input size",
    ("norms_of_vectors", False): "adaptive_max_pool2d, output size that are not factor of input size",
    ("reordered_channels", False): "aten::channel_shuffle",
    ("hand_norms", False): "aten::rms_norm",
    ("u_shaped", False): "aten::_upsample_nearest_exact2d",
    ("bilinear", False): "aten::bilinear",
    **dict.fromkeys((("outlook", False), ("odd_outlook", False), ("patches", False)), "translating col2im"),
    ("norms_of_vectors", True): "Failed to convert the exported program",
}
# The exporter writes another network: sums of differences (p=1) of each vector come out wrong.
NOT_THE_SAME = {("prototypes", False): ("norm", 2)}
NOT_RUN = {("grouped_channels", False): "Transpose"}  # the exporter writes a negative axis, which ONNX does not know
# The bins of an adaptive pool that overlap are written as a table of places in rows and columns.
WINDOWED = {
    ("alexnet", True): "onnx.GatherND",
    ("binned", True): "onnx.GatherND",
    ("adaptive_average", True): "onnx.GatherND",
    ("reordered_channels", True): "onnx.CumSum",
}
# Bins that tile a window are written as a pool that strides, which nothing tells from one in the trunk: fewer scores.
COARSER = {("adaptive_max", False): (2, 5), ("adaptive_max", True): (2, 5)}

BOTH = ["vgg", "resnet", "outputs", "squeeze_excite", "response_norms", "named_axes", "power_pools", "grouped_channels"]
REST = {*NOT_EXPORTED, *NOT_THE_SAME, *NOT_RUN, *WINDOWED, *COARSER}
CASES = [(name, False) for name in ZOO] + [(name, True) for name in BOTH]
APPROXIMATE = ["squeeze_excite", "norms_of_windows", "channel_gates", "whole_norm"]


def convert_both(folder, name: str, dynamo: bool, **how):
    model, entry = build(name), ZOO[name]
    path = export(model, entry.window, folder / "a.onnx", channels=entry.channels, dynamo=dynamo)
    return fullyconv.convert(path, **how), fullyconv.convert(model, entry.window, **how)


@pytest.mark.parametrize(("name", "dynamo"), [case for case in CASES if case not in REST])
def test_an_export_converts_like_its_module(tmp_path, name, dynamo):
    found, expected = convert_both(tmp_path, name, dynamo)
    assert found.grid == expected.grid
    assert (found.report.tier, found.report.guarantee) == (expected.report.tier, expected.report.guarantee)
    assert found.card.activation == expected.card.activation
    assert found.margins_px == expected.margins_px
    assert_near(found(make_images(name)), expected(make_images(name)))


@pytest.mark.parametrize("name", APPROXIMATE)
def test_so_does_an_approximation(tmp_path, name):
    found, expected = convert_both(tmp_path, name, False, approximate="all")
    assert found.report.tier == expected.report.tier == 3
    assert found.grid == expected.grid
    assert_near(found(make_images(name)), expected(make_images(name)))


@pytest.mark.parametrize(("name", "dynamo"), NOT_EXPORTED)
def test_rest_what_cannot_be_exported(tmp_path, name, dynamo):
    with pytest.raises(Exception, match=NOT_EXPORTED[name, dynamo]):
        convert_both(tmp_path, name, dynamo)


@pytest.mark.parametrize(("name", "dynamo"), NOT_THE_SAME)
def test_rest_what_the_exporter_changes(tmp_path, name, dynamo):
    """The file itself is wrong at the window."""
    model, entry = build(name), ZOO[name]
    path = export(model, entry.window, tmp_path / "a.onnx", channels=entry.channels, dynamo=dynamo)
    session, (key, place) = InferenceSession(path), NOT_THE_SAME[name, dynamo]
    windows = make_images(name)[..., : entry.window[0], : entry.window[1]]
    found = session.run(None, {session.get_inputs()[0].name: windows.numpy()})[place]
    with torch.no_grad():
        expected = model(windows)[key]
    assert float((torch.from_numpy(found) - expected).abs().max()) > 1


@pytest.mark.parametrize(("name", "dynamo"), NOT_RUN)
def test_rest_what_no_runtime_takes(tmp_path, name, dynamo):
    with pytest.raises(CaptureError, match=f"onnxruntime cannot load the model: .*{NOT_RUN[name, dynamo]}"):
        convert_both(tmp_path, name, dynamo)


@pytest.mark.parametrize(("name", "dynamo"), WINDOWED)
def test_rest_what_runs_on_windows(tmp_path, name, dynamo):
    """The scores are the same; less of the work is shared."""
    found, expected = convert_both(tmp_path, name, dynamo)
    assert (found.report.tier, expected.report.tier) == (2, 1)
    assert WINDOWED[name, dynamo] in found.report.reasons[0]
    assert found.grid.stride_px == expected.grid.stride_px
    assert_near(found(make_images(name)), expected(make_images(name)))


@pytest.mark.parametrize(("name", "dynamo"), COARSER)
def test_rest_what_has_fewer_scores(tmp_path, name, dynamo):
    found, expected = convert_both(tmp_path, name, dynamo)
    y, x = COARSER[name, dynamo]
    assert found.grid.stride_px == (y * expected.grid.stride_px[0], x * expected.grid.stride_px[1])
    assert_near(found(make_images(name)), expected(make_images(name))[..., ::y, ::x])


@pytest.mark.parametrize("name", ["plain", "vgg", "resnet", "outputs", "squeeze_excite", "attention"])
def test_weights_too_large_for_a_message_go_past_the_exporter(tmp_path, monkeypatch, name):
    """Here all count as large: the file has the network's own, and gives its scores."""
    monkeypatch.setattr(onnx_export, "LARGEST_IN_MEMORY", 1)
    dense = fullyconv.convert(build(name), ZOO[name].window)
    dense.save(tmp_path / "a.onnx")
    loaded = fullyconv.load(tmp_path / "a.onnx")
    own = {key for key, tensor in dense.module.state_dict().items() if tensor.dim() > 1}
    models = [model for model in (loaded.module.model, loaded.module.head_model) if model is not None]
    assert own <= {key for model in models for key in model.graph.initializers}
    images = make_images(name)
    assert_near(loaded(images), dense(images))
