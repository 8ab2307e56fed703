"""What looks for a map's last cells, on finer grids as ONNX: fragments in one tensor end at places of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import fullyconv
from fullyconv import DenseModel
from fullyconv.errors import ModelError
from fullyconv.refine.stacks import Stack, Stacking
from fullyconv.rewrite.dense_module import DenseModule
from fullyconv.rewrite.onnx_tracing import SharedPart
from fullyconv.rewrite.refined import list_steps
from fullyconv.verify.duplicate import copy_network
from onnx_files import assert_near, export

WINDOW = (19, 24)
SIZES = [(19, 24), (20, 26), (29, 45), (31, 34)]
TINY = 2.0**-4  # a power of two is the same in float32 and float64

Between = Callable[[Tensor], Tensor]

# By what does it; all of them run on fragments, a few at maps of several fragments that have ended at other places.
PADS: dict[str, Between] = {
    "mirrored": lambda x: F.pad(x, (2, 1, 0, 2), mode="reflect"),
    "mirrored twice": lambda x: F.pad(F.pad(x, (1, 3, 2, 1), mode="reflect"), (0, 1, 1, 1), mode="reflect"),
    "repeated": lambda x: F.pad(x, (1, 2, 2, 0), mode="replicate"),
    "repeated and cropped": lambda x: F.pad(x, (-1, 2, 1, -1), mode="replicate"),
    "least": lambda x: F.pad(x, (0, 1, 1, 2), value=-torch.inf).exp(),
}
FINER: dict[str, Between] = {
    "linear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "cubic": lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"),
    "cubic along one axis": lambda x: F.interpolate(x, scale_factor=(1, 2), mode="bicubic"),
}
STATISTICS: dict[str, Between] = {
    "gate": lambda x: x * x.mean((2, 3), keepdim=True).sigmoid(),
    "gate of maxima": lambda x: x * x.amax((2, 3), keepdim=True).sigmoid(),
    "group norm": lambda x: F.group_norm(x, 2, eps=TINY),
    "deviation": lambda x: x / (x.std((2, 3), keepdim=True) + TINY),
    "length": lambda x: x / (x.norm(p=2, dim=(2, 3), keepdim=True) + TINY),
}
BETWEEN = PADS | FINER | STATISTICS


class Calling(nn.Module):
    def __init__(self, function: Between) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def make(name: str, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Between convolutions with strides, on a map whose numbers are far from zero."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, (3, 4), 2), Calling(BETWEEN[name]), nn.ReLU(), nn.Conv2d(4, 4, 3, 2, 1)]
    with torch.no_grad():
        layers[0].bias.add_(3)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).to(dtype).eval()


@cache
def convert(name: str, dtype: torch.dtype = torch.float32) -> DenseModel:
    return fullyconv.convert(make(name, dtype), WINDOW, approximate="all")


def list_strides(name: str) -> list[tuple[int, int]]:
    """Returns the finest, and others that differ along the axes."""
    rows, columns = list_steps(convert(name).module.program)
    return [(rows[-1], columns[-1]), (rows[0], columns[-1]), (rows[-1], columns[len(columns) // 2])]


def draw(size: tuple[int, int], dtype: torch.dtype) -> Tensor:
    return torch.randn(2, 3, *size, dtype=dtype, generator=torch.Generator().manual_seed(0))


def measure(found: Tensor, wanted: Tensor) -> float:
    assert found.shape == wanted.shape
    return float((found - wanted).detach().abs().max() / wanted.detach().abs().max())


def run_in_one_tensor(dense: DenseModel, images: Tensor) -> Tensor:
    with torch.no_grad():
        (scores,) = SharedPart(dense.module, [])(images)
    return scores


@pytest.mark.parametrize("name", BETWEEN)
def test_fragments_in_one_tensor_give_the_same(name):
    """What the exporter is given, in float64."""
    assert convert(name).report.tier == (3 if name in STATISTICS else 1)
    for stride in list_strides(name):
        fine = convert(name, torch.float64).refine(stride)
        for size in SIZES:
            images = draw(size, torch.float64)
            assert measure(run_in_one_tensor(fine, images), fine(images)) <= 1e-12


def check_both_precisions(found: DenseModel, wanted: DenseModel) -> None:
    """In float64 by onnx's reference implementation, from the same float32 weights."""
    exact, exactly = (copy_network(dense.module, torch.float64) for dense in (found, wanted))
    for size in SIZES[1:]:
        images = draw(size, torch.float32)
        assert_near(found(images), wanted(images))
        assert measure(exact(images.double()), exactly(images.double())) <= 1e-12


@pytest.mark.parametrize("name", BETWEEN)
def test_a_network_from_pytorch_is_saved(tmp_path, name):
    fine = convert(name).refine(list_strides(name)[2])
    fine.save(tmp_path / "a.onnx")
    check_both_precisions(fullyconv.load(tmp_path / "a.onnx"), fine)


@pytest.mark.parametrize("name", BETWEEN)
def test_a_network_from_onnx_refines(tmp_path, name):
    found = fullyconv.convert(export(make(name), WINDOW, tmp_path / "a.onnx"), approximate="all")
    for stride in list_strides(name)[:2]:
        check_both_precisions(found.refine(stride), convert(name).refine(stride))


def pad_at_the_tensors_end(stacking: Stacking[Tensor], x: Tensor, map_: Stack[Tensor], edge, kind) -> Tensor:
    pads = [size for sliding in reversed(edge.along) for size in (sliding.before, sliding.after)]
    return F.pad(x, pads, kind) if any(pads) else x


@pytest.mark.parametrize("name", [name for name in BETWEEN if name != "least"])
def test_the_end_of_the_tensor_is_another(monkeypatch, name):
    """Without all this, scores near the end would be wrong, and the tests above would fail."""
    monkeypatch.setattr(Stacking, "surround", pad_at_the_tensors_end)
    fine = convert(name, torch.float64).refine(list_strides(name)[0])
    images = draw(SIZES[-1], torch.float64)
    assert measure(run_in_one_tensor(fine, images), fine(images)) > 1e-4


@pytest.mark.parametrize("name", ["least", "linear", "deviation"])
def test_a_wrong_fill_is_noticed_before_anything_is_written(tmp_path, name):
    dense = convert(name).refine(list_strides(name)[0])
    program = dense.module.program
    steps = tuple(replace(step, edge=replace(step.edge, fill=0.5)) for step in program.steps)
    wrong = DenseModule(replace(program, steps=steps), dense.module.list_weights(), frozenset())
    with pytest.raises(ModelError, match="cannot be written as ONNX: torch's exporter gives another network"):
        replace(dense, module=wrong).save(tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("name", ["mirrored", "cubic", "group norm"])
def test_refined_networks_verify(tmp_path, name, native):
    source = export(make(name), WINDOW, tmp_path / "a.onnx")
    dense = fullyconv.convert(source if native else make(name), WINDOW, approximate="all").refine(1)
    dense.save(tmp_path / "dense.onnx")
    report = fullyconv.verify(fullyconv.load(tmp_path / "dense.onnx"), source)
    assert report.passed, report


@pytest.mark.parametrize("name", ["mirrored", "linear", "gate of maxima"])
def test_other_runtimes_find_the_same_cells(name):
    fine, images = convert(name).refine(list_strides(name)[0]), draw(SIZES[2], torch.float32)
    for runtime in ("onnxruntime", "openvino"):
        assert_near(fine.on(runtime)(images), fine(images))
