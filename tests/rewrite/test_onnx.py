"""Dense ONNX networks: the same as from PyTorch, whole files, saved and loaded."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import fullyconv
from fullyconv.analyze import make_plan
from fullyconv.analyze.plan import Original, WindowStatistic
from fullyconv.analyze.rearrangement import AlongChannels, Span
from fullyconv.capture.onnx_file import capture_onnx
from fullyconv.capture.onnx_model import load_onnx
from fullyconv.errors import CaptureError, ImageError, ModelError
from fullyconv.graph import PRelu
from fullyconv.report.description import describe
from fullyconv.rewrite.onnx_apply import apply_to_onnx
from fullyconv.rewrite.onnx_export import check_export, make_onnx_module
from fullyconv.scan.memory import measure_bytes_per_pixel
from onnx_files import assert_near, between, export, make_images, node, pooled
from zoo import ZOO, build
from zoo_parts import randomise

APPROXIMATE = ["squeeze_excite", "norms_of_windows", "channel_gates", "whole_norm"]


def assert_saved(dense, name: str, path) -> fullyconv.DenseModel:
    dense.save(path)
    for file in path.parent.glob("*.onnx"):
        onnx.checker.check_model(onnx.load(file), full_check=True)
    loaded = fullyconv.load(path)
    assert (loaded.grid, loaded.card, loaded.report) == (dense.grid, dense.card, dense.report)
    assert_near(loaded(make_images(name)), dense(make_images(name)))
    assert_near(loaded.module.logits(make_images(name)), dense.module.logits(make_images(name)))
    return loaded


@pytest.mark.parametrize("name", ZOO)
def test_a_network_from_pytorch_is_saved_as_onnx(tmp_path, name):
    """Its shared part, and its head where it has one, are exported apart: nothing is decided anew."""
    loaded = assert_saved(fullyconv.convert(build(name), ZOO[name].window), name, tmp_path / "dense.onnx")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == ({"dense.onnx"} if ZOO[name].tier == 1 else {"dense.onnx", "dense.head.onnx", "dense.json"})
    assert loaded.module.program.head is None or loaded.module.program.head.is_free


@pytest.mark.parametrize("name", APPROXIMATE)
def test_so_is_an_approximation(tmp_path, name):
    dense = fullyconv.convert(build(name), ZOO[name].window, approximate="all")
    assert dense.report.tier == 3
    assert_saved(dense, name, tmp_path / "dense.onnx")


def test_windows_asked_for_are_kept(tmp_path):
    dense = fullyconv.convert(build("vgg"), ZOO["vgg"].window, windowed_from="4", stride=(8, 12))
    assert_saved(dense, "vgg", tmp_path / "dense.onnx")


def test_outputs_have_the_names_that_the_classifier_gives_them(tmp_path):
    fullyconv.convert(build("outputs"), ZOO["outputs"].window).save(tmp_path / "dense.onnx")
    graph = onnx.load(tmp_path / "dense.onnx").graph
    assert [value.name for value in graph.output] == ["class", "score", "more_0", "more_1"]
    sizes = [[size.dim_value or size.dim_param for size in value.type.tensor_type.shape.dim] for value in graph.output]
    assert sizes[0] == ["batch", 4, "rows", "columns"] and sizes[3] == ["batch", 3, 4, "rows", "columns"]


class Named(nn.Module):
    """Outputs that are called like the input, or like a weight."""

    def __init__(self, *keys: str) -> None:
        super().__init__()
        self.stem, self.a, self.keys = nn.Conv2d(3, 4, 3, 2), nn.Parameter(torch.randn(4, 1, 1)), keys

    def forward(self, x):
        x = self.stem(x) * self.a
        return dict(zip(self.keys, (x.amax((2, 3)), x.mean((2, 3))), strict=True))


@pytest.mark.parametrize(("keys", "names"), [(("image", "b"), ["scores_0", "scores_1"]), (("a", "b"), ["a", "b"])])
def test_names_that_are_taken_are_not_given_twice(tmp_path, keys, names):
    dense = fullyconv.convert(randomise(Named(*keys)), (9, 11))
    dense.save(tmp_path / "dense.onnx")
    assert [value.name for value in onnx.load(tmp_path / "dense.onnx").graph.output] == names
    images = torch.randn(1, 3, 15, 16)
    assert_near(fullyconv.load(tmp_path / "dense.onnx")(images), dense(images))


def test_weights_keep_the_names_of_the_module(tmp_path):
    model = build("resnet")
    fullyconv.convert(model, ZOO["resnet"].window).save(tmp_path / "dense.onnx")
    names = {weight.name for weight in onnx.load(tmp_path / "dense.onnx").graph.initializer}
    assert names >= {name for name in model.state_dict() if not name.endswith("num_batches_tracked")}


def test_any_runtime_can_run_the_file(tmp_path):
    """Its batch, height and width are open; it knows its grid and its card."""
    path = export(build("vgg"), ZOO["vgg"].window, tmp_path / "a.onnx")
    dense = fullyconv.convert(path)
    dense.save(tmp_path / "dense.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "dense.onnx", disabled_optimizers=["Pad_Fusion"])
    assert session.get_inputs()[0].shape == ["batch", 3, "height", "width"]
    images = make_images("vgg")
    (scores,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    np.testing.assert_array_equal(scores, dense(images.numpy()))
    model = onnx.load(tmp_path / "dense.onnx")
    assert model.opset_import[0].version >= 18
    told = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert told["fullyconv.grid"]["window_px"] == [28, 28]
    assert told["fullyconv.card"]["channels"] == 3
    assert told["fullyconv.report"]["tier"] == 1


def test_names_of_what_is_kept_stay(tmp_path):
    path = between(tmp_path / "a.onnx", [node("Relu", "m", "r", name="rectify"), *pooled("r")], 6)
    fullyconv.convert(path).save(tmp_path / "dense.onnx")
    graph = onnx.load(tmp_path / "dense.onnx").graph
    assert [value.name for value in graph.input] == ["image"]
    assert [value.name for value in graph.output] == ["scores"]
    assert {"stem", "bias"} <= {weight.name for weight in graph.initializer}
    (kept,) = (one for one in graph.node if one.name == "rectify")
    assert (list(kept.input), list(kept.output)) == (["m"], ["r"])


def test_a_network_with_a_windowed_head_is_two_files_and_a_manifest(tmp_path):
    name = "squeeze_excite"
    dense = fullyconv.convert(export(build(name), ZOO[name].window, tmp_path / "a.onnx"))
    folder = tmp_path / "made"
    dense.save(folder / "dense.onnx")
    assert {path.name for path in folder.iterdir()} == {"dense.onnx", "dense.head.onnx", "dense.json"}
    for file in folder.glob("*.onnx"):
        onnx.checker.check_model(onnx.load(file), full_check=True)
    manifest = json.loads((folder / "dense.json").read_text())
    assert manifest["head"] == "dense.head.onnx"
    assert manifest["program"]["head"]["cuts"][0]["extent"] == [12, 16]
    loaded = fullyconv.load(folder / "dense.onnx")
    assert torch.equal(loaded(make_images(name)), dense(make_images(name)))
    (folder / "dense.head.onnx").unlink()
    with pytest.raises(ModelError, match=r"dense\.head\.onnx: expected an ONNX file, found none"):
        fullyconv.load(folder / "dense.onnx")


def test_window_memory_changes_no_score(tmp_path):
    name = "attention"
    dense = fullyconv.convert(export(build(name), ZOO[name].window, tmp_path / "a.onnx"))
    images = make_images(name)
    assert_near(dense.with_window_memory(1)(images), dense(images), 1e-6)


@pytest.mark.parametrize("border", ["first-order", "window"])
def test_borders_are_those_of_pytorch(tmp_path, border):
    path = export(build("resnet"), ZOO["resnet"].window, tmp_path / "a.onnx")
    expected = fullyconv.convert(build("resnet"), ZOO["resnet"].window, border=border)
    dense = fullyconv.convert(path, border=border)
    assert dense.report.guarantee == expected.report.guarantee
    assert_near(dense(make_images("resnet")), expected(make_images("resnet")), 1e-4)


def test_options_are_those_of_pytorch(tmp_path):
    path = export(build("plain"), ZOO["plain"].window, tmp_path / "a.onnx", channels=1)
    coarse = fullyconv.convert(path, stride=(8, 12))
    assert torch.equal(coarse(make_images("plain")), fullyconv.convert(path)(make_images("plain"))[..., ::2, ::3])
    gated = export(build("squeeze_excite"), ZOO["squeeze_excite"].window, tmp_path / "b.onnx")
    expected = fullyconv.convert(build("squeeze_excite"), ZOO["squeeze_excite"].window, approximate="all")
    dense = fullyconv.convert(gated, approximate="all")
    assert dense.report.tier == 3
    images = make_images("squeeze_excite")
    assert_near(dense(images), expected(images))


def test_what_cannot_be_saved_says_why(tmp_path):
    class Turned(nn.Module):
        def forward(self, x):
            return x.mean((2, 3)) if x.mean() > 0 else x.amax((2, 3))

    crops = fullyconv.convert(Turned(), (8, 8), channels=3)
    with pytest.raises(ModelError, match="runs the classifier's own code on crops"):
        crops.save(tmp_path / "a.onnx")
    double = fullyconv.convert(build("plain").double(), ZOO["plain"].window)
    with pytest.raises(ModelError, match="cannot be written as ONNX: onnxruntime cannot load the model"):
        double.save(tmp_path / "a.onnx")
    dense = fullyconv.convert(export(build("plain"), ZOO["plain"].window, tmp_path / "b.onnx", channels=1))
    with pytest.raises(ModelError, match=r"this network came from an ONNX file; save it as \.onnx"):
        dense.save(tmp_path / "a.pt2")
    with pytest.raises(ModelError, match="an ONNX network keeps the number type of its file"):
        dense.to(torch.float64)
    with pytest.raises(ImageError, match="the image is smaller than the window"):
        dense(torch.zeros(1, 1, 20, 38))
    assert {path.name for path in tmp_path.iterdir()} == {"b.onnx"}


def test_what_is_no_dense_network_says_so(tmp_path):
    path = export(build("plain"), ZOO["plain"].window, tmp_path / "a.onnx", channels=1)
    with pytest.raises(ModelError, match="expected a dense network, got a classifier; convert it first"):
        fullyconv.load(path)
    fullyconv.convert(path).save(tmp_path / "dense.onnx")
    model = onnx.load(tmp_path / "dense.onnx")
    for entry in model.metadata_props:
        entry.value = "99" if entry.key == "fullyconv.format" else entry.value
    onnx.save(model, tmp_path / "newer.onnx")
    with pytest.raises(ModelError, match="format 99, this version reads 2; convert the classifier again"):
        fullyconv.load(tmp_path / "newer.onnx")


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (PRelu(), "there is no ONNX form for PRelu"),
        (AlongChannels("cumsum", Span(1, 6, 1)), "there is no ONNX form for cumsum along channels"),
        (WindowStatistic("norm", 3.0, (8, 6), (1, 1), False), "there is no ONNX form for norm of windows"),
    ],
)
def test_steps_without_an_onnx_form_are_named(tmp_path, op, message):
    captured = capture_onnx(load_onnx(between(tmp_path / "a.onnx", [node("Relu", "m", "r"), *pooled("r")], 6)))
    plan = make_plan(captured.graph)
    steps = tuple(replace(step, op=op) if isinstance(step.op, Original) else step for step in plan.steps)
    with pytest.raises(ModelError, match=rf"node_1 \(onnx\.Relu\): {message}.*save the network as \.pt2"):
        apply_to_onnx(replace(plan, steps=steps), captured)


def test_exports_that_are_another_network_are_not_saved(tmp_path):
    dense = fullyconv.convert(build("plain"), ZOO["plain"].window)
    made, images = make_onnx_module(dense, tmp_path / "a.onnx"), make_images("plain")
    check_export(dense.module, made, images)
    with torch.no_grad():
        next(iter(dense.module.parameters())).mul_(2)
    with pytest.raises(CaptureError, match="torch's exporter gives another network"):
        check_export(dense.module, made, images)


class Bessel(nn.Module):
    """An operation that ONNX has nothing for, before and after the cut."""

    def __init__(self, *, windowed: bool) -> None:
        super().__init__()
        self.stem, self.windowed = nn.Conv2d(3, 4, 3, 2), windowed

    def forward(self, x):
        x = self.stem(x)
        return (x - x.mean((2, 3), keepdim=True)).i0().amax((2, 3)) if self.windowed else x.i0().amax((2, 3))


@pytest.mark.parametrize("windowed", [False, True])
def test_what_the_exporter_cannot_do_is_said(tmp_path, windowed):
    dense = fullyconv.convert(randomise(Bessel(windowed=windowed)), (9, 11))
    with pytest.raises(ModelError, match=r"a\.onnx: cannot be written as ONNX: Exporting the operator 'aten::i0'"):
        dense.save(tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_channels_by_number_stand_on_an_axis_of_their_own(tmp_path):
    """OpenVINO folds a permuting Gather of the channels into the next convolution the wrong way round."""
    nodes = [node("Gather", "m places", "g", axis=1), node("Conv", "g w", "r"), *pooled("r")]
    weights = {"places": np.array([5, 3, 1, 0, 2, 4]), "w": np.ones((6, 6, 1, 1), np.float32)}
    fullyconv.convert(between(tmp_path / "a.onnx", nodes, 6, weights=weights)).save(tmp_path / "dense.onnx")
    gathers = [one for one in onnx.load(tmp_path / "dense.onnx").graph.node if one.op_type == "Gather"]
    assert [one.attribute[0].i for one in gathers] == [2]


class Permuted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 3, 2), nn.Conv2d(6, 4, 3)

    def forward(self, x):
        return self.b(self.a(x[:, [1, 2, 0]])[:, [3, 0, 4, 1, 5, 2]]).amax((2, 3))


def test_so_do_those_of_networks_from_pytorch(tmp_path):
    fullyconv.convert(randomise(Permuted()), (17, 15)).save(tmp_path / "dense.onnx")
    gathers = [one for one in onnx.load(tmp_path / "dense.onnx").graph.node if one.op_type == "Gather"]
    assert [one.attribute[0].i for one in gathers if len(one.input[1].split("places")) == 2] == [2, 2]


def test_what_it_takes_is_known(tmp_path):
    """onnxruntime shows nothing while it runs, so memory is told by the shapes at window size."""
    name = "vgg"
    dense = fullyconv.convert(export(build(name), ZOO[name].window, tmp_path / "a.onnx"))
    measured = measure_bytes_per_pixel(fullyconv.convert(build(name), ZOO[name].window))
    assert measured / 3 < measure_bytes_per_pixel(dense) < 3 * measured
    small = fullyconv.convert(between(tmp_path / "b.onnx", pooled("m"), 6))
    assert describe(small).parameters == 6 * 27 + 6 * 4 + 4


def test_a_copy_is_another_network_of_the_same_scores(tmp_path):
    dense = fullyconv.convert(between(tmp_path / "a.onnx", pooled("m"), 6))
    other = copy.deepcopy(dense.module).double()
    assert (dense.module.number_type.dtype, other.number_type.dtype) == (torch.float32, torch.float64)
    images = torch.randn(1, 3, 19, 17)
    assert torch.equal(other(images), dense.module(images))
