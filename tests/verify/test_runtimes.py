"""What another runtime gives is checked against the references, and nothing else in its place."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import fullyconv
from fullyconv.rewrite.tuned_module import TunedModule
from onnx_files import export
from zoo import ZOO, build


def convert(name: str) -> fullyconv.DenseModel:
    return fullyconv.convert(build(name), ZOO[name].window)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime", "torch-channels-last"])
@pytest.mark.parametrize("name", ["plain", "resnet"])
def test_float32_is_the_runtime_s_and_float64_torch_s(name, runtime):
    report = fullyconv.verify(convert(name).on(runtime), build(name))
    assert report.passed, str(report)
    assert report.runtime == f"float32 on {runtime}"
    assert f"; float32 on {runtime}; seed 0)" in str(report)
    assert json.loads(report.to_json())["runtime"] == report.runtime
    assert set(report.errors["feature windows"]) == {"float64", "float32"}
    assert report.errors["window"]["float32"] < 1e-5
    assert report.notes == ()


def test_onnx_files_are_checked_on_openvino(tmp_path):
    for name in ("vgg", "squeeze_excite"):
        path = export(build(name), ZOO[name].window, tmp_path / f"{name}.onnx")
        report = fullyconv.verify(fullyconv.convert(path).on("openvino"), path)
        assert report.passed, str(report)
        assert report.runtime == "float32 on openvino"
        assert report.errors["feature windows"]["float32"] < 1e-5


def test_a_runtime_that_gives_something_else_fails():
    dense = convert("plain").on("torch-channels-last")
    wrong = TunedModule(dense.module, dense.choice.runtime)
    for weight in wrong.network.parameters():
        weight.data = weight.data * 1.01  # the dense network's own stay as they are
    report = fullyconv.verify(replace(dense, runner=wrong), build("plain"))
    assert not report.passed
    assert {item.dtype for item in report.comparisons if not item.passed} == {"float32"}


def test_coarser_arithmetic_is_held_to_what_was_allowed():
    dense = convert("resnet")
    report = fullyconv.verify(dense.on("torch", precision="fast", max_error=0.1), build("resnet"))
    assert report.passed, str(report)
    assert report.runtime == "float32 on torch-bfloat16"
    assert 1e-5 < report.errors["window"]["float32"] < 0.1
    assert report.errors["window"]["float64"] < 1e-10
    assert "a coarser arithmetic was asked for, so float32 is held to 1e-01" in report.notes
    choice = replace(dense.on("torch", precision="fast", max_error=0.1).choice, max_error=1e-5)
    strict = replace(dense.on("torch", precision="fast", max_error=0.1), choice=choice)
    assert not fullyconv.verify(strict, build("resnet")).passed


def test_borders_are_the_runtime_s_too():
    dense = convert("resnet").with_border("first-order").on("openvino")
    report = fullyconv.verify(dense, build("resnet"))
    assert report.passed, str(report)
    assert report.border == "first-order"
