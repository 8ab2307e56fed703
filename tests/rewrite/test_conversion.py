"""Every classifier of the zoo: the right tier and guarantee, and scores that equal the classifier's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils import _pytree as pytree

import fullyconv
import zoo
from fullyconv.errors import CaptureError, ImageError, ModelError, OptionError

FP32_RTOL = 2e-5  # DESIGN section 5: up to 1.2e-5 for one convolution against one linear layer
FP64_RTOL = 1e-12


def crop_errors(model: nn.Module, dense: fullyconv.DenseModel, images: torch.Tensor) -> list[float]:
    """Returns the largest difference from the model on pixel crops, relative to the largest score, by output."""
    grid = dense.grid
    maps = pytree.tree_leaves(dense(images))
    rows, columns = grid.shape((images.shape[2], images.shape[3]))
    worst, largest = [0.0] * len(maps), [0.0] * len(maps)
    for i in range(rows):
        for j in range(columns):
            x0, y0, x1, y1 = grid.box_xyxy((i, j))
            with torch.no_grad():
                crops = pytree.tree_leaves(model(images[:, :, y0:y1, x0:x1]))
            for k, (score_map, crop) in enumerate(zip(maps, crops, strict=True)):
                assert score_map.shape[-2:] == (rows, columns)
                difference = (score_map[..., i, j].reshape(crop.shape) - crop).abs().max().item()
                worst[k] = max(worst[k], difference)
                largest[k] = max(largest[k], crop.abs().max().item())
    return [difference / size for difference, size in zip(worst, largest, strict=True)]


def make_images(entry: zoo.Entry, rows: int, columns: int, extra: tuple[int, int], dtype: torch.dtype) -> torch.Tensor:
    (h, w), (sy, sx) = entry.window, entry.stride
    generator = torch.Generator().manual_seed(1)
    size = (h + rows * sy + extra[0], w + columns * sx + extra[1])
    return torch.randn(2, entry.channels, *size, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("name", zoo.ZOO)
def test_report(name: str) -> None:
    entry = zoo.ZOO[name]
    dense = fullyconv.convert(zoo.build(name), entry.window)
    report = dense.report
    assert (report.tier, report.guarantee) == (entry.tier, entry.guarantee)
    assert dense.grid.stride_px == entry.stride
    assert dense.card.channels == entry.channels
    assert bool(report.reasons) == bool(report.split) == (entry.tier == 2)
    assert bool(report.guarantee_reasons) == (entry.guarantee == zoo.FEATURES)
    assert (report.shared_flops == 1) == (entry.tier == 1)


@pytest.mark.parametrize("name", zoo.ZOO)
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, FP32_RTOL), (torch.float64, FP64_RTOL)])
def test_equals_crops(name: str, dtype: torch.dtype, rtol: float) -> None:
    """At the window always; at sizes that are window + k*stride and that are not, where crops are guaranteed."""
    entry = zoo.ZOO[name]
    model = zoo.build(name, dtype)
    dense = fullyconv.convert(model, entry.window)
    images = [make_images(entry, 0, 0, (0, 0), dtype)]
    if entry.guarantee == zoo.CROPS:
        extra = (entry.stride[0] - 1, entry.stride[1] // 2)
        images += [make_images(entry, 2, 1, (0, 0), dtype), make_images(entry, 1, 2, extra, dtype)]
    for image in images:
        assert max(crop_errors(model, dense, image)) < rtol


@pytest.mark.parametrize("name", ["plain", "alexnet", "outputs", "attention", "shuffle", "odd_parts", "recurrent"])
def test_survives_saving(name: str, tmp_path: pytest.TempPathFactory) -> None:
    entry = zoo.ZOO[name]
    dense = fullyconv.convert(zoo.build(name), entry.window)
    dense.save(tmp_path / "dense.pt2")
    loaded = fullyconv.load(tmp_path / "dense.pt2")
    assert (loaded.grid, loaded.card, loaded.report) == (dense.grid, dense.card, dense.report)
    assert (loaded.margins_px, loaded.feature_maps) == (dense.margins_px, dense.feature_maps)
    images = make_images(entry, 1, 2, (0, 0), torch.float32)
    expected, got = dense(images), loaded(images)
    assert pytree.tree_structure(expected) == pytree.tree_structure(got)
    for a, b in zip(pytree.tree_leaves(expected), pytree.tree_leaves(got), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_torch_alone_opens_a_saved_file(tmp_path: pytest.TempPathFactory) -> None:
    dense = fullyconv.convert(zoo.build("plain"), (26, 38))
    dense.save(tmp_path / "dense.pt2")
    image = torch.randn(1, 1, 26, 38)
    alone = torch.export.load(str(tmp_path / "dense.pt2")).module()(image)
    torch.testing.assert_close(alone, dense(image), rtol=0, atol=0)


def test_a_classifier_is_no_dense_network(tmp_path: pytest.TempPathFactory) -> None:
    program = torch.export.export(zoo.build("plain"), (torch.zeros(2, 1, 26, 38),))
    torch.export.save(program, tmp_path / "model.pt2")
    with pytest.raises(ModelError, match="expected a dense network, got a classifier"):
        fullyconv.load(tmp_path / "model.pt2")


@pytest.mark.parametrize("name", ["plain", "resnet", "attention", "shuffle"])
@pytest.mark.parametrize("batch", [1, 2, "any"])
def test_programs_and_files_convert_alike(name: str, batch: int | str, tmp_path: pytest.TempPathFactory) -> None:
    """A program of torch.export gives what its module gives, whichever batch size it was exported for."""
    entry = zoo.ZOO[name]
    model = zoo.build(name)
    example = torch.zeros(2 if batch == "any" else batch, entry.channels, *entry.window)
    shapes = ({0: torch.export.Dim.AUTO},) if batch == "any" else None
    program = torch.export.export(model, (example,), dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "model.pt2")
    images = make_images(entry, 1, 2, (1, 0), torch.float32)
    expected = fullyconv.convert(model, entry.window)
    for source in (program, tmp_path / "model.pt2", str(tmp_path / "model.pt2")):
        dense = fullyconv.convert(source, entry.window)
        assert (dense.report.tier, dense.report.guarantee) == (expected.report.tier, expected.report.guarantee)
        torch.testing.assert_close(dense(images), expected(images), rtol=1e-5, atol=1e-6)


def test_the_model_is_not_changed() -> None:
    model = zoo.build("vgg").train()
    model[0].eval()
    flags = [child.training for child in model.modules()]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    dense = fullyconv.convert(model, (28, 28))
    assert [child.training for child in model.modules()] == flags
    with torch.no_grad():
        for parameter in dense.module.parameters():
            parameter.zero_()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_names_are_the_classifiers_own() -> None:
    model = zoo.build("vgg")
    dense = fullyconv.convert(model, (28, 28))
    own = {name for name in model.state_dict() if not name.endswith("num_batches_tracked")}
    assert dense.module.state_dict().keys() == own
    assert dense.module.get_parameter("10.weight").shape == (16, 12, 7, 7)


class Named(nn.Module):
    """Its last layer has a name of the user's choice."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.stem, self.name = nn.Conv2d(3, 4, 3), name
        self.add_module(name, nn.Linear(4, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.get_submodule(self.name)(self.stem(x).mean((2, 3)))
        return scores


@pytest.mark.parametrize("name", ["logits", "program", "weight_names", "_run", "head"])
def test_layers_may_have_any_name(name: str, tmp_path: Path) -> None:
    model = Named(name).eval()
    dense = fullyconv.convert(model, (6, 5))
    images = torch.randn(2, 3, 6, 5)
    torch.testing.assert_close(dense(images)[..., 0, 0], model(images))
    dense.save(tmp_path / "dense.pt2")
    torch.testing.assert_close(fullyconv.load(tmp_path / "dense.pt2")(images), dense(images), rtol=0, atol=0)


def test_arrays_and_tensors() -> None:
    dense = fullyconv.convert(zoo.build("plain"), (26, 38))
    array = np.random.default_rng(0).normal(size=(2, 1, 40, 50))
    scores = dense(array)
    assert isinstance(scores, np.ndarray) and scores.dtype == np.float32
    tensor = dense(torch.from_numpy(array).float())
    np.testing.assert_array_equal(scores, tensor.numpy())
    assert not tensor.requires_grad


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_any_float_dtype(dtype: torch.dtype) -> None:
    model = zoo.build("plain", dtype)
    dense = fullyconv.convert(model, (26, 38))
    images = torch.randn(1, 1, 26, 38).to(dtype)
    scores = dense(images)
    assert scores.dtype is dtype
    rtol = 50 * torch.finfo(dtype).eps
    torch.testing.assert_close(scores[..., 0, 0], model(images), rtol=rtol, atol=rtol, check_dtype=True)
    assert dense(images.float().numpy()).dtype in (np.float64, np.float32, np.float16)


@pytest.mark.parametrize("change", [
    lambda array: array[:, :, ::-1, ::-1], lambda array: array.astype(">f4"), np.longdouble,
    lambda array: np.broadcast_to(array[:, :, :, :1], (2, 1, 40, 50)),
])  # fmt: skip
def test_arrays_of_every_kind(change: Callable[[Any], Any]) -> None:
    dense = fullyconv.convert(zoo.build("plain"), (26, 38))
    array = change(np.random.default_rng(0).normal(size=(2, 1, 40, 50)).astype(np.float32))
    array.flags.writeable = False
    np.testing.assert_array_equal(dense(array), dense(torch.tensor(array.astype(np.float32).tolist())).numpy())


def test_bad_images() -> None:
    dense = fullyconv.convert(zoo.build("plain"), (26, 38))
    with pytest.raises(ImageError, match=r"with at least one image, got \(0, 1, 40, 40\)"):
        dense(torch.zeros(0, 1, 40, 40))
    with pytest.raises(ImageError, match=r"expected a torch tensor or a numpy array, got list"):
        dense([1.0])  # type: ignore[arg-type]
    with pytest.raises(ImageError, match=r"expected \(N, 1, H, W\) .*, got \(1, 3, 40, 40\)"):
        dense(torch.zeros(1, 3, 40, 40))
    with pytest.raises(ImageError, match=r"expected floats.*got uint8"):
        dense(np.zeros((1, 1, 40, 40), np.uint8))
    with pytest.raises(ImageError, match="smaller than the window: expected at least 38x26"):
        dense(torch.zeros(1, 1, 40, 37))


def test_bad_models() -> None:
    model = zoo.build("plain")
    with pytest.raises(CaptureError, match=r"does not run on a window of 30x30 pixels.*mat1 and mat2"):
        fullyconv.convert(model, (30, 30))
    with pytest.raises(OptionError, match=r"window: expected \(height, width\)"):
        fullyconv.convert(model)
    with pytest.raises(OptionError, match=r"window: expected at least 1 pixel, got \(0, 3\)"):
        fullyconv.convert(model, (0, 3))
    for window in (26, (26.0, 38.0), (26, 38, 1)):
        with pytest.raises(OptionError, match=r"window: expected \(height, width\) in whole pixels"):
            fullyconv.convert(model, window)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"stride: expected \(y, x\) in whole pixels, got 4"):
        fullyconv.convert(model, (26, 38), stride=4)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"channels: expected at least 1, got -1"):
        fullyconv.convert(model, (26, 38), channels=-1)
    with pytest.raises(OptionError, match=r"approximate: expected all, .* in a list; got None"):
        fullyconv.convert(model, (26, 38), approximate=None)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"expected a torch.nn.Module"):
        fullyconv.convert(lambda x: x, (3, 3))  # type: ignore[arg-type]
    with torch.no_grad():
        model[0][0].weight[0, 0, 0, 0] = torch.nan
    with pytest.raises(ModelError, match=r"0.0.weight: expected finite weights"):
        fullyconv.convert(model, (26, 38))


def test_a_buffer_may_be_infinite_but_not_nan() -> None:
    class Clamped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)
            self.register_buffer("least", torch.tensor(-torch.inf))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(torch.maximum(self.stem(x), self.least).mean((2, 3)))

    model = Clamped().eval()
    dense = fullyconv.convert(model, (9, 8))
    images = torch.randn(1, 3, 9, 8)
    torch.testing.assert_close(dense(images)[..., 0, 0], model(images))
    model.least.fill_(torch.nan)
    with pytest.raises(ModelError, match="least: expected finite weights, got NaN"):
        fullyconv.convert(model, (9, 8))


def test_the_worked_example() -> None:
    """DESIGN, section 1: 64x128 crops, a 2x4 feature map, 403 windows on 1024x512."""
    torch.manual_seed(0)
    model = zoo.randomise(
        nn.Sequential(
            nn.Conv2d(3, 8, 4, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 8, 8), nn.ReLU(),
            nn.Flatten(), nn.Linear(16 * 4 * 2, 4), nn.ReLU(), nn.Linear(4, 1), nn.Sigmoid(),
        )
    )  # fmt: skip
    dense = fullyconv.convert(model, (128, 64))
    assert dense.grid == fullyconv.Grid((128, 64), (32, 32), (4, 2))
    assert [(layer.name, layer.old_shape, layer.new_shape) for layer in dense.report.layers] == [
        ("6", (4, 128), (4, 16, 4, 2)),
        ("8", (1, 4), (1, 4, 1, 1)),
    ]
    assert dense.card.activation == "sigmoid"
    images = torch.randn(1, 3, 512, 1024)
    scores = dense(images)
    assert scores.shape == (1, 1, 13, 31) and scores.numel() == 403
    assert max(crop_errors(model, dense, images)) < 1e-5
    assert max(crop_errors(model.double(), fullyconv.convert(model, (128, 64)), images.double())) < 1e-12


def test_logits_come_before_the_last_activation() -> None:
    dense = fullyconv.convert(zoo.build("outputs"), (28, 44))
    images = torch.randn(1, 3, 40, 60)
    scores, logits = dense.module(images), dense.module.logits(images)
    torch.testing.assert_close(scores["class"], logits["class"].softmax(1))
    torch.testing.assert_close(scores["score"], logits["score"].sigmoid())
    torch.testing.assert_close(scores["more"][1], logits["more"][1])
    assert dense.card.activation == "softmax"


@pytest.mark.parametrize("name", ["plain", "feature_maps", "flattened_maps", "squeeze_excite", "adaptive_max"])
def test_a_coarser_grid_is_a_part_of_the_own_one(name: str) -> None:
    entry = zoo.ZOO[name]
    model = zoo.build(name, torch.float64)
    images = make_images(entry, 5, 4, (1, 0), torch.float64)
    fine = fullyconv.convert(model, entry.window)(images)
    stride = (2 * entry.stride[0], 3 * entry.stride[1])
    coarse = fullyconv.convert(model, entry.window, stride=stride)
    assert coarse.grid.stride_px == stride
    torch.testing.assert_close(coarse(images), fine[..., ::2, ::3], rtol=FP64_RTOL, atol=1e-14)
    with pytest.raises(OptionError, match=r"stride: expected .* or multiples of the largest when converting"):
        fullyconv.convert(model, entry.window, stride=(entry.stride[0] + 1, entry.stride[1]))


@pytest.mark.parametrize("layer", ["image", "0", "4", "5.b", "7"])
def test_windows_from_a_layer_on(layer: str) -> None:
    """From the image on, a padded network's scores are its crops'; the later, the more is shared."""
    entry = zoo.ZOO["resnet"]
    model = zoo.build("resnet", torch.float64)
    dense = fullyconv.convert(model, entry.window, windowed_from=layer)
    assert dense.report.tier == 2 and "windows were asked for" in dense.report.reasons[0]
    assert dense.grid.stride_px == entry.stride
    exact = layer in ("image", "0")
    assert (dense.report.guarantee == zoo.CROPS) == exact
    images = make_images(entry, 1, 2, (3, 0), torch.float64)
    assert (max(crop_errors(model, dense, images)) < FP64_RTOL) == exact
    assert fullyconv.verify(dense, model).passed


def test_an_unknown_layer() -> None:
    with pytest.raises(OptionError, match=r"windowed_from: expected image, or a layer such as 0, .*; got layer3"):
        fullyconv.convert(zoo.build("resnet"), (32, 48), windowed_from="layer3")
