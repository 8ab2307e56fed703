"""Dense networks on other runtimes give the scores that they give on torch."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import fullyconv
from fullyconv.capture.onnx_session import OnnxSession
from fullyconv.errors import CaptureError, MissingExtraError, ModelError, OptionError
from fullyconv.rewrite import tuned_module
from fullyconv.runtime.measuring import measure_error
from fullyconv.runtime.specification import Runtime
from onnx_files import between, export, node, pooled
from zoo import ZOO, build

EXACT = ("torch-channels-last", "onnxruntime", "openvino")
# One of each tier, with padding and without, with several outputs, with windows.
NETWORKS = ("plain", "resnet", "outputs", "ceil_pool")
WINDOWED = ("squeeze_excite", "attention", "recurrent")


def make(name: str, **options) -> tuple[fullyconv.DenseModel, torch.Tensor]:
    """A dense network, and two images that leave rest pixels."""
    (height, width), channels = ZOO[name].window, ZOO[name].channels
    images = torch.randn(2, channels, height + 13, width + 9, generator=torch.Generator().manual_seed(0))
    return fullyconv.convert(build(name), (height, width), **options), images


@pytest.mark.parametrize("runtime", EXACT)
@pytest.mark.parametrize("name", NETWORKS)
def test_exact_runtimes_give_the_same(name, runtime):
    dense, images = make(name)
    other = dense.on(runtime)
    assert measure_error(other(images), dense(images)) < 1e-5
    assert other.runner is not None
    assert other.choice.runtime.name == runtime
    assert other.choice.error < 1e-5
    assert measure_error(other.runner.logits(images), dense.module.logits(images)) < 1e-5
    assert (other.grid, other.report, other.module) == (dense.grid, dense.report, dense.module)


@pytest.mark.parametrize("name", WINDOWED)
def test_parts_on_windows_stay_on_torch_beside_channels_last(name):
    dense, images = make(name)
    assert measure_error(dense.on("torch-channels-last")(images), dense(images)) < 1e-5


@pytest.mark.parametrize("name", WINDOWED)
def test_windowed_networks_of_onnx_run_on_openvino(tmp_path, name):
    path = export(build(name), ZOO[name].window, tmp_path / "a.onnx", channels=ZOO[name].channels)
    dense, images = fullyconv.convert(path), make(name)[1]
    assert dense.report.tier == 2
    other = dense.on("openvino")
    assert measure_error(other(images), dense(images)) < 1e-5
    assert measure_error(other.with_window_memory(1)(images), dense(images)) < 1e-5


@pytest.mark.parametrize("runtime", ["torch-channels-last", "openvino"])
@pytest.mark.parametrize("border", ["first-order", "window"])
def test_borders_are_where_they_are_asked_for(runtime, border):
    dense, images = make("resnet", border=border)
    placed = dense.on(runtime)
    assert measure_error(placed(images), dense(images)) < 1e-4
    plain = dense.with_border("image")
    assert measure_error(placed.with_border("image")(images), plain(images)) < 1e-5
    assert measure_error(plain.on(runtime).with_border(border)(images), dense(images)) < 1e-4


@pytest.mark.parametrize("name", ["resnet", "squeeze_excite"])
@pytest.mark.parametrize("runtime", ["torch", "torch-channels-last"])
def test_coarser_arithmetic_is_near_and_its_activation_exact(name, runtime):
    model = nn.Sequential(build(name), nn.Softmax(1))
    dense, images = fullyconv.convert(model, ZOO[name].window), make(name)[1]
    fast = dense.on(runtime, precision="fast", max_error=0.1)
    assert fast.choice.runtime == Runtime("torch", fast.choice.runtime.form, "bfloat16")
    scores = fast(images)
    assert scores.dtype == torch.float32
    assert 1e-6 < measure_error(scores, dense(images)) < 0.1
    assert torch.allclose(scores.sum(1), torch.ones(()), atol=1e-6), "a softmax in bfloat16 is 1e-3 off"


def test_weights_that_convolutions_alone_read_are_kept_in_halves():
    dense, _ = make("resnet")
    network = dense.on("torch", precision="fast", max_error=0.1).runner.network
    kinds = {name: weight.dtype for name, weight in network.state_dict().items()}
    assert torch.bfloat16 in kinds.values()
    norms = [kind for name, kind in kinds.items() if name.endswith("running_mean")]
    assert norms and set(norms) == {torch.float32}


def test_compiled_networks_give_the_same(monkeypatch):
    """With a compiler that traces as all do, and then runs what it traced as it is."""
    monkeypatch.setattr(tuned_module, "COMPILER", "eager")
    dense, images = make("plain")
    compiled = dense.on("torch-compiled")
    assert measure_error(compiled(images), dense(images)) < 1e-6
    assert measure_error(compiled.with_window_memory(1)(images), dense(images)) < 1e-6


def test_what_the_compiler_cannot_do_is_one_line(monkeypatch):
    monkeypatch.setattr(tuned_module, "COMPILER", "nonsense")
    with pytest.raises(CaptureError, match=r"runtime torch-compiled: it cannot run the network: .*nonsense"):
        make("plain")[0].on("torch-compiled")


def test_arrays_stay_arrays_and_whole_numbers_whole():
    dense, images = make("plain")
    scores = dense.on("openvino")(images.numpy())
    assert isinstance(scores, np.ndarray)
    assert scores.dtype == np.float32

    class Number(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = build("plain")

        def forward(self, x):
            return self.inner(x).argmax(1)

    numbers = fullyconv.convert(Number(), ZOO["plain"].window)
    found = numbers.on("torch-channels-last")(images)
    assert found.dtype == torch.int64
    assert torch.equal(found, numbers(images))


def test_networks_in_float64_stay_so():
    dense, images = make("plain")
    double = dense.to(torch.float64)
    assert double.on("torch-channels-last")(images).dtype == torch.float64
    with pytest.raises(ModelError, match="onnxruntime cannot load the model"):
        double.on("openvino")


def test_the_network_itself_is_the_same_and_can_be_saved(tmp_path):
    dense, images = make("plain")
    before = {name: weight.clone() for name, weight in dense.module.state_dict().items()}
    placed = dense.on("torch", precision="fast", max_error=0.1)
    placed.save(tmp_path / "a.pt2")
    assert torch.equal(fullyconv.load(tmp_path / "a.pt2")(images), dense(images))
    assert all(torch.equal(before[name], weight) for name, weight in dense.module.state_dict().items())
    again = placed.to(torch.float64)
    assert (again.runner, again.choice) == (None, None)


def test_as_it_is_needs_nothing_else(tmp_path, monkeypatch):
    dense, _ = make("plain")
    dense.save(tmp_path / "a.onnx")
    for name in ("openvino", "onnx", "onnx_ir", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    placed = dense.on("torch")
    assert (placed.runner, str(placed.choice)) == (None, "runtime: torch, as asked for")


def test_from_onnx_it_runs_on_runtimes_of_onnx(tmp_path):
    dense = fullyconv.convert(between(tmp_path / "a.onnx", pooled("m"), 6))
    assert dense.on("onnxruntime").runner is None
    for runtime in ("torch", "torch-compiled"):
        with pytest.raises(ModelError, match="runtime torch: this network came from an ONNX file, which torch does"):
            dense.on(runtime)


@pytest.mark.parametrize(
    ("name", "runtime", "extra"),
    [("openvino", "openvino", "openvino"), ("onnxruntime", "onnxruntime", "onnx"), ("onnx_ir", "openvino", "onnx")],
)
def test_a_missing_library_names_the_extra(monkeypatch, name, runtime, extra):
    dense, _ = make("plain")
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"{name} is not installed; .* pip install 'fullyconv\[{extra}\]'"):
        dense.on(runtime)


def test_what_is_off_is_refused(tmp_path):
    dense, _ = make("resnet")
    with pytest.raises(ModelError, match=r"its logits are .* from those of torch, .*; allowed are 1e-05; allow more"):
        dense.on("torch", precision="fast", max_error=1e-5)


def test_arguments_without_meaning_are_refused():
    dense, _ = make("plain")
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(OptionError, match="max_error: expected a number above 0"):
            dense.on("torch", max_error=wrong)
    with pytest.raises(OptionError, match="precision: expected exact or fast, got 'double'"):
        dense.on("torch", precision="double")
    with pytest.raises(OptionError, match="device 'tpu': expected cpu, cuda or cuda:N"):
        dense.on("torch", device="tpu")


def test_the_classifier_s_own_code_runs_as_it_is():
    class Turned(nn.Module):
        def forward(self, x):
            return x.mean((2, 3)) if x.mean() > 0 else x.amax((2, 3))

    crops = fullyconv.convert(Turned(), (8, 8), channels=3)
    assert crops.on("torch").runner is None
    assert str(crops.on("auto").choice) == "runtime: torch, because it runs the classifier's own code on crops"
    for runtime in ("torch-channels-last", "openvino"):
        with pytest.raises(ModelError, match="runs the classifier's own code on crops, as it is; leave the runtime"):
            crops.on(runtime)


def test_onnxruntime_without_cuda_says_so(tmp_path):
    dense = fullyconv.convert(between(tmp_path / "a.onnx", [node("Relu", "m", "r"), *pooled("r")], 6))
    with pytest.raises(ModelError, match="onnxruntime cannot run on cuda: this build of it has no CUDA"):
        OnnxSession(dense.module.model, device="cuda")


def test_images_too_small_are_refused_before_a_runtime_sees_them():
    dense, images = make("plain")
    placed = dense.on("openvino")
    with pytest.raises(fullyconv.ImageError, match="the image is smaller than the window"):
        placed(images[:, :, :20])
    with pytest.raises(fullyconv.ImageError, match="expected \\(N, 1, H, W\\)"):
        replace(placed)(images.repeat(1, 3, 1, 1))
