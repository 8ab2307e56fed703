"""Finer grids as ONNX: what torch makes of fragments, border included, from one file in any runtime."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import fullyconv
from fullyconv import DenseModel
from fullyconv.errors import ModelError, OptionError
from fullyconv.rewrite.dense_module import DenseModule
from fullyconv.rewrite.onnx_export import _check_route, make_onnx_module
from fullyconv.rewrite.onnx_fragments import loosen_cuts
from fullyconv.rewrite.onnx_tracing import SharedPart
from fullyconv.rewrite.refined import list_steps
from fullyconv.scan import scan
from onnx_files import assert_near, export, list_tensors
from zoo import ZOO, build

REFINED = [name for name, entry in ZOO.items() if max(entry.stride) > 1]
ON_WINDOWS = [name for name in REFINED if ZOO[name].tier != 1]
ONE_TENSOR = [name for name in REFINED if name not in ON_WINDOWS]
# Each brings something of its own: padding, residuals, pools that round up, folds, several outputs, shifted branches.
WRITTEN = ["resnet", "ceil_pool", "depth_to_space", "outputs", "odd_parts", "space_to_depth",
           "branches_of_several_strides"]  # fmt: skip
NATIVE = [*WRITTEN, "plain", "densenet", "convnext", "flattened_maps", "merged_patches", "power_pools", "blurred",
          "response_norms", "metric", "named_axes", "smoothed"]  # fmt: skip


@cache
def convert(name: str, dtype: torch.dtype = torch.float32) -> DenseModel:
    return fullyconv.convert(build(name, dtype), ZOO[name].window)


def list_sizes(dense: DenseModel) -> list[tuple[int, int]]:
    """Returns one window, rest pixels only, and three windows with rest pixels that differ in y and x."""
    (height, width), (sy, sx) = dense.grid.window_px, dense.own_stride_px
    return [(height, width), (height + sy + 1, width + 1), (height + 2 * sy + sy // 2 + 1, width + 2 * sx + sx - 1)]


def draw(dense: DenseModel, size: tuple[int, int], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, dense.card.channels, *size, dtype=dtype, generator=generator)


def list_strides(dense: DenseModel) -> list[tuple[int, int]]:
    """Returns a finer one, the finest, and the finest along one axis only."""
    assert isinstance(dense.module, DenseModule)
    rows, columns = list_steps(dense.module.program)
    return sorted({(rows[1], columns[1]), (rows[-1], columns[-1]), (rows[-1], columns[0])})


def check_all(found: DenseModel, wanted: DenseModel) -> None:
    assert found.grid == wanted.grid
    for size in list_sizes(wanted):
        images = draw(wanted, size)
        assert_near(found(images), wanted(images))
        assert_near(found.module.logits(images), wanted.module.logits(images))


@pytest.mark.parametrize("name", ONE_TENSOR)
def test_fragments_in_one_tensor_give_the_same(name):
    """What the exporter is given, in float64."""
    dense = convert(name, torch.float64)
    for stride, size in product(list_strides(dense), list_sizes(dense)):
        fine = dense.refine(stride).module
        images = draw(dense, size, torch.float64)
        with torch.no_grad():
            made, wanted = SharedPart(fine, [])(images), fine.list_outputs(images, fine.program.outputs)
        for a, b in zip(made, wanted, strict=True):
            assert a.shape == b.shape
            assert (a - b).abs().max() <= 1e-12 * b.abs().max()


@pytest.mark.parametrize("name", WRITTEN)
def test_a_network_from_pytorch_is_saved_on_a_finer_grid(tmp_path, name):
    dense = convert(name)
    fine = dense.refine(list_strides(dense)[0])
    fine.save(tmp_path / "a.onnx")
    loaded = fullyconv.load(tmp_path / "a.onnx")
    check_all(loaded, fine)
    assert loaded.own_stride_px == dense.grid.stride_px
    assert (loaded.card, loaded.report) == (fine.card, fine.report)


@pytest.mark.parametrize("name", NATIVE)
def test_a_network_from_onnx_refines_like_its_module(tmp_path, name):
    path = export(build(name), ZOO[name].window, tmp_path / "a.onnx", channels=ZOO[name].channels)
    found, dense = fullyconv.convert(path), convert(name)
    for stride in list_strides(dense):
        fine = found.refine(stride)
        check_all(fine, dense.refine(stride))
        assert fine.own_stride_px == dense.grid.stride_px
        images = draw(dense, list_sizes(dense)[2])
        steps = [own // size for own, size in zip(dense.grid.stride_px, stride, strict=True)]
        coarse = [map_[..., :: steps[0], :: steps[1]] for map_ in list_tensors(fine(images))]
        assert_near(coarse, list_tensors(found(images)))


def make_pooled(pool: nn.Module) -> nn.Module:
    """Around a pool: padded convolutions with another stride along each axis."""
    layers = [nn.Conv2d(1, 3, (3, 2), (2, 1), (2, 1)), nn.ReLU(), pool, nn.Conv2d(3, 3, 3, (1, 2), 1), nn.Sigmoid()]
    torch.manual_seed(0)
    body = nn.Sequential(*layers)
    with torch.no_grad():
        features = body(torch.zeros(1, 1, 21, 23)).numel()
    return nn.Sequential(body, nn.Flatten(), nn.Linear(features, 2)).eval()


POOLS = [
    pytest.param(make, sizes, ceil, id=f"{kind}-{number}-{ceil}")
    for kind, make in {
        "max": nn.MaxPool2d,
        "average": nn.AvgPool2d,
        "uncounted": lambda *a, **k: nn.AvgPool2d(*a, **k, count_include_pad=False),
        "divided": lambda *a, **k: nn.AvgPool2d(*a, **k, divisor_override=5),
    }.items()
    for number, sizes in enumerate([((3, 2), (2, 2), (1, 1)), ((3, 3), (2, 1), (1, 0)), ((2, 3), (1, 2), (1, 1))])
    for ceil in (True, False)
]


@pytest.mark.parametrize(("make", "sizes", "ceil"), POOLS)
def test_pools_of_all_kinds(make, sizes, ceil):
    dense = fullyconv.convert(make_pooled(make(*sizes, ceil_mode=ceil)).double(), (21, 23), channels=1)
    rows, columns = list_steps(dense.module.program)
    is_sum = ceil and getattr(make(2), "divisor_override", None) is not None
    # A sum that keeps its stride and rounds up has no ONNX form, which saving says.
    for stride in [(rows[-1], columns[-1])] if is_sum else product(rows, columns):
        if stride != dense.grid.stride_px:
            fine = dense.refine(stride).module
            for size in ((21, 23), (22, 25), (27, 24), (30, 31)):
                images = draw(dense, size, torch.float64)
                with torch.no_grad():
                    (made,), wanted = SharedPart(fine, [])(images), fine(images)
                assert made.shape == wanted.shape
                assert (made - wanted).abs().max() <= 1e-12 * wanted.abs().max()


@pytest.mark.parametrize("ceil", [True, False])
@pytest.mark.parametrize("make", [nn.MaxPool2d, lambda *a, **k: nn.AvgPool2d(*a, **k, count_include_pad=False)])
def test_pools_of_onnx(tmp_path, make, ceil):
    model = make_pooled(make(3, 2, 1, ceil_mode=ceil))
    dense = fullyconv.convert(model, (21, 23), channels=1)
    found = fullyconv.convert(export(model, (21, 23), tmp_path / "a.onnx", channels=1))
    for stride in list_strides(dense):
        check_all(found.refine(stride), dense.refine(stride))


@pytest.mark.parametrize("name", ["resnet", "power_pools"])
def test_any_runtime_gives_the_fine_map_by_itself(tmp_path, name):
    """With all that onnxruntime rewrites by default."""
    dense = convert(name)
    fine = dense.refine(list_strides(dense)[0])
    fine.save(tmp_path / "torch.onnx")
    source = export(build(name), ZOO[name].window, tmp_path / "classifier.onnx", channels=ZOO[name].channels)
    fullyconv.convert(source, stride=fine.grid.stride_px).save(tmp_path / "native.onnx")
    for file in ("torch.onnx", "native.onnx"):
        session = onnxruntime.InferenceSession(tmp_path / file, providers=["CPUExecutionProvider"])
        for size in list_sizes(dense):
            images = draw(dense, size)
            (scores,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
            assert_near(torch.from_numpy(np.array(scores)), fine(images))


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_refined_networks_run_elsewhere(tmp_path, runtime):
    dense = convert("resnet")
    source = export(build("resnet"), ZOO["resnet"].window, tmp_path / "a.onnx")
    fine, images = dense.refine((2, 4)), draw(dense, list_sizes(dense)[2])
    assert_near(fine.on(runtime)(images), fine(images))
    assert_near(dense.on(runtime).refine((2, 4))(images), fine(images))
    native = fullyconv.convert(source)
    assert_near(native.refine((2, 4)).on(runtime)(images), fine(images))
    assert_near(native.on(runtime).refine((2, 4)).refine(8)(images), dense(images))


def test_conversion_refines_along_one_axis_and_leaves_out_along_the_other(tmp_path):
    source = export(build("resnet"), ZOO["resnet"].window, tmp_path / "a.onnx")
    mixed, dense = fullyconv.convert(source, stride=(2, 16)), convert("resnet")
    images = draw(dense, list_sizes(dense)[2])
    assert mixed.grid.stride_px == (2, 16) and mixed.own_stride_px == (8, 16)
    assert_near(mixed(images), dense.refine((2, 8))(images)[..., ::2])


@pytest.mark.parametrize("border", ["first-order", "window"])
def test_borders_are_kept(tmp_path, border):
    source = export(build("vgg"), ZOO["vgg"].window, tmp_path / "a.onnx")
    found, dense = fullyconv.convert(source, border=border), convert("vgg").with_border(border)
    images = draw(dense, list_sizes(dense)[2])
    assert_near(found.refine(2)(images), dense.refine(2)(images))


@pytest.mark.parametrize("name", ["partitioned", "norms_of_windows"])
def test_windows_lie_closer_where_their_map_is_whole(tmp_path, name):
    """The map has a stride of 2 px; what comes after the cut has another."""
    dense = convert(name)
    fine = dense.refine(2)
    fine.save(tmp_path / "a.onnx")
    check_all(fullyconv.load(tmp_path / "a.onnx"), fine)
    source = export(build(name), ZOO[name].window, tmp_path / "classifier.onnx", channels=ZOO[name].channels)
    check_all(fullyconv.convert(source).refine(2), fine)


@pytest.mark.parametrize("name", ON_WINDOWS)
def test_windows_are_cut_from_fragments(tmp_path, name):
    """A window's cells lie apart in the map that the file makes, those of other windows between them."""
    dense = convert(name)
    source = export(build(name), ZOO[name].window, tmp_path / "classifier.onnx", channels=ZOO[name].channels)
    native = fullyconv.convert(source)
    for number, stride in enumerate(list_strides(dense)):
        fine = dense.refine(stride)
        fine.save(tmp_path / f"{number}.onnx")
        check_all(fullyconv.load(tmp_path / f"{number}.onnx"), fine)
        check_all(native.refine(stride), fine)


@pytest.mark.parametrize("name", ["attention", "squeeze_excite"])
def test_windows_from_fragments_verify(tmp_path, name):
    model = build(name)
    convert(name).refine(1).save(tmp_path / "dense.onnx")
    loaded = fullyconv.load(tmp_path / "dense.onnx")
    report = fullyconv.verify(loaded, model)
    assert report.passed, report
    program = loaded.module.program
    dense_cuts = tuple(replace(cut, hole=(1, 1)) for cut in program.head.cuts)  # neighbouring cells: of other windows
    loaded.module.program = replace(program, head=replace(program.head, cuts=dense_cuts))
    assert not fullyconv.verify(loaded, model).passed


def test_windows_between_cells_have_no_form():
    dense = convert("squeeze_excite")
    module = dense.refine(1).module
    cut = module.program.head.cuts[0]
    lattices = dict(module.route.lattices)
    lattices[cut.tensor] = tuple(replace(lattice, period=2 * lattice.period) for lattice in lattices[cut.tensor])
    with pytest.raises(ModelError, match="no ONNX form at this stride: its cells lie closer than its fragments; save"):
        loosen_cuts(module.program.head.cuts, lattices, (1, 1))


def test_scores_between_cells_have_no_form():
    module = convert("plain").refine(1).module
    lattices = dict(module.route.lattices)
    (name,) = {output.tensor for output in module.program.logits}
    lattices[name] = tuple(replace(lattice, period=2 * lattice.period) for lattice in lattices[name])
    with pytest.raises(ModelError, match="no ONNX form at this stride: its cells lie closer than scores"):
        _check_route(module.program, replace(module.route, lattices=lattices))


def test_files_of_one_stride_stay_at_it(tmp_path):
    convert("plain").refine(2).save(tmp_path / "a.onnx")
    loaded = fullyconv.load(tmp_path / "a.onnx")
    assert loaded.refine(2).grid == loaded.grid
    with pytest.raises(OptionError, match="stride: expected 2x2, which this file was written for, got 1x1; convert"):
        loaded.refine(1)


def test_strides_that_the_network_does_not_allow(tmp_path):
    dense = fullyconv.convert(export(build("resnet"), ZOO["resnet"].window, tmp_path / "a.onnx"))
    with pytest.raises(OptionError, match=r"stride: expected 8, 4, 2 or 1 pixels across and .* got 8x3"):
        dense.refine((3, 8))


def test_a_wrong_edge_is_noticed_before_anything_is_written(tmp_path):
    """Padding that sees what lies beyond the end of shorter fragments gives other scores: no file."""
    dense = convert("resnet").refine(2)
    program = dense.module.program
    steps = tuple(replace(step, edge=replace(step.edge, fill=None)) for step in program.steps)
    weights = dense.module.list_weights()
    wrong = DenseModule(replace(program, steps=steps), weights, frozenset())
    make_onnx_module(dense, Path("a"))
    with pytest.raises(ModelError, match="cannot be written as ONNX: torch's exporter gives another network"):
        replace(dense, module=wrong).save(tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("native", [False, True])
def test_refined_networks_verify(tmp_path, native):
    model = build("resnet")
    source = export(model, ZOO["resnet"].window, tmp_path / "a.onnx")
    fullyconv.convert(source if native else model, ZOO["resnet"].window).refine(4).save(tmp_path / "dense.onnx")
    report = fullyconv.verify(fullyconv.load(tmp_path / "dense.onnx"), source)
    assert report.passed, report


def test_what_it_takes_is_known(tmp_path):
    """Fragments lie side by side: at stride 1 there are 64 times as many cells in the last maps."""
    source = export(build("resnet"), ZOO["resnet"].window, tmp_path / "a.onnx")
    for dense in (fullyconv.convert(source), convert("resnet")):
        made = [fine.on("onnxruntime") for fine in (dense, dense.refine(1))]
        takes = [(one.runner or one.module).program.bytes_per_pixel for one in made]
        assert takes[1] > 4 * takes[0]


def test_tiles_of_a_refined_file_are_the_whole(tmp_path):
    """Each tile begins where the network's own grid has cells, as for torch."""
    convert("resnet").refine((2, 4)).save(tmp_path / "a.onnx")
    dense = fullyconv.load(tmp_path / "a.onnx")
    image = np.random.default_rng(0).integers(0, 256, (75, 110, 3), np.uint8)
    whole, tiled = (scan(dense, image, tile_px=size).scores for size in (10_000, 72))
    assert_near(torch.from_numpy(tiled), torch.from_numpy(whole))
