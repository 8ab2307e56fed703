"""Borders other than the image's: against their definitions, and where they are exact."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils import _pytree as pytree

import fullyconv
import zoo
from fullyconv.card import Border
from fullyconv.errors import OptionError


def compute_slowly(dense: fullyconv.DenseModel, images: torch.Tensor) -> torch.Tensor:
    """Returns the definition, one cell after the other, from plain dense runs."""
    plain = dense.module.with_border("image")
    grid = dense.grid
    rows, columns = grid.shape((images.shape[2], images.shape[3]))
    with torch.no_grad():
        whole = plain.logits(images)
        result = torch.empty_like(whole)
        for i in range(rows):
            for j in range(columns):
                x0, y0, x1, y1 = grid.box_xyxy((i, j))
                upright = plain.logits(images[:, :, :, x0:x1])[..., i, 0]
                lying = plain.logits(images[:, :, y0:y1])[..., 0, j]
                result[..., i, j] = upright + lying - whole[..., i, j]
    return result


@pytest.mark.parametrize("name", ["vgg", "resnet", "convnext", "squeeze_excite"])
def test_equals_its_definition(name: str) -> None:
    entry = zoo.ZOO[name]
    model = zoo.build(name, torch.float64)
    dense = fullyconv.convert(model, entry.window, border="first-order")
    assert dense.card.border == "first-order"
    h, w = entry.window
    images = torch.randn(2, entry.channels, h + 2 * entry.stride[0] + 3, w + entry.stride[1], dtype=torch.float64)
    torch.testing.assert_close(dense.module.logits(images), compute_slowly(dense, images), rtol=1e-12, atol=1e-12)


def test_is_exact_where_one_axis_is_padded() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, (1, 0)), nn.ReLU(), nn.Conv2d(6, 6, 3, 1, (1, 0)), nn.ReLU(),
        nn.Flatten(), nn.Linear(6 * 8 * 5, 4), nn.Softmax(1),
    ).double().eval()  # fmt: skip
    dense = fullyconv.convert(model, (16, 15), border="first-order")
    assert dense.report.guarantee == "feature windows"
    images = torch.randn(1, 3, 25, 22, dtype=torch.float64)
    scores = dense(images)
    with torch.no_grad():
        for i in range(scores.shape[2]):
            for j in range(scores.shape[3]):
                crop = model(images[:, :, 2 * i : 2 * i + 16, 2 * j : 2 * j + 15])
                torch.testing.assert_close(scores[..., i, j], crop, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["vgg", "resnet"])
def test_comes_nearer_to_crops_and_verifies(name: str) -> None:
    entry = zoo.ZOO[name]
    model = zoo.build(name)
    image = torch.randn(1, 3, entry.window[0] + 20, entry.window[1] + 24)
    distance = {}
    for border in ("image", "first-order", "window"):
        dense = fullyconv.convert(model, entry.window, border=border)
        report = fullyconv.verify(dense, model, image)
        assert report.passed, report
        distance[border] = max((item.mean_difference for item in report.fidelity), default=0.0)
    assert distance["window"] == 0
    assert 0 < distance["first-order"] < distance["image"]


@pytest.mark.parametrize("name", ["vgg", "resnet", "squeeze_excite", "outputs"])
def test_window_border_is_crops(name: str) -> None:
    entry = zoo.ZOO[name]
    model = zoo.build(name, torch.float64)
    dense = fullyconv.convert(model, entry.window, border="window")
    assert (dense.report.guarantee, dense.margins_px) == ("image crops", ((0, 0), (0, 0)))
    h, w = entry.window
    images = torch.randn(2, entry.channels, h + 2 * entry.stride[0] + 3, w + entry.stride[1], dtype=torch.float64)
    found = pytree.tree_leaves(dense(images))
    for i, j in ((0, 0), (2, 1), (1, 0)):
        x0, y0, x1, y1 = dense.grid.box_xyxy((i, j))
        with torch.no_grad():
            crops = pytree.tree_leaves(model(images[:, :, y0:y1, x0:x1]))
        for scores, crop in zip(found, crops, strict=True):
            torch.testing.assert_close(scores[..., i, j].reshape(crop.shape), crop, rtol=1e-12, atol=1e-12)


def test_window_border_of_an_approximation_is_exact() -> None:
    entry = zoo.ZOO["squeeze_excite"]
    model = zoo.build("squeeze_excite", torch.float64)
    near = fullyconv.convert(model, entry.window, approximate="all")
    exact = near.with_border("window")
    assert (near.report.guarantee, exact.report.guarantee) == ("approximation", "image crops")
    images = torch.randn(1, entry.channels, 2 * entry.window[0], 2 * entry.window[1], dtype=torch.float64)
    wanted = fullyconv.convert(model, entry.window, windowed_from="image", stride=near.grid.stride_px)(images)
    torch.testing.assert_close(exact(images), wanted, rtol=1e-12, atol=1e-12)
    assert (near(images) - wanted).abs().max() > 1e-6
    report = fullyconv.verify(exact, model, images)
    assert report.passed, report
    assert "image crops" in report.errors


def test_the_border_can_be_changed_and_changed_back() -> None:
    dense = fullyconv.convert(zoo.build("vgg"), (28, 28))
    other = dense.with_border("window")
    assert (dense.card.border, other.card.border, other.report.shared_flops) == ("image", "window", 0.0)
    again = other.with_border("image")
    assert (again.report, again.margins_px, again.card) == (dense.report, dense.margins_px, dense.card)
    assert again.module.program == dense.module.program
    with pytest.raises(OptionError, match="border: expected one of"):
        dense.with_border("zero")  # type: ignore[arg-type]


def test_verify_sees_a_corrupted_weight_behind_every_border() -> None:
    model = zoo.build("vgg")
    for border in ("first-order", "window"):
        dense = fullyconv.convert(model, (28, 28), border=border)
        with torch.no_grad():
            next(dense.module.parameters()).view(-1)[0] += 1
        assert not fullyconv.verify(dense, model).passed


def test_unpadded_networks_stay_as_they_are() -> None:
    entry = zoo.ZOO["outputs"]
    model = zoo.build("outputs")
    plain = fullyconv.convert(model, entry.window)
    images = torch.randn(1, 3, 40, 52)
    for border in ("first-order", "window"):
        dense = fullyconv.convert(model, entry.window, border=border)
        assert dense.report == plain.report
        for a, b in zip(pytree.tree_leaves(dense(images)), pytree.tree_leaves(plain(images)), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize("border", ["first-order", "window"])
def test_survives_saving(border: Border, tmp_path: Path) -> None:
    dense = fullyconv.convert(zoo.build("vgg"), (28, 28), border=border)
    dense.save(tmp_path / "dense.pt2")
    images = torch.randn(1, 3, 36, 41)
    loaded = fullyconv.load(tmp_path / "dense.pt2")
    assert (loaded.card, loaded.report, loaded.margins_px) == (dense.card, dense.report, dense.margins_px)
    torch.testing.assert_close(loaded(images), dense(images), rtol=0, atol=0)
    plain = fullyconv.convert(zoo.build("vgg"), (28, 28))
    torch.testing.assert_close(loaded.with_border("image")(images), plain(images), rtol=0, atol=0)


def test_bad_borders() -> None:
    model = zoo.build("vgg")
    with pytest.raises(OptionError, match=r"border: expected one of image, first-order, window, got 'zero'"):
        fullyconv.convert(model, (28, 28), border="zero")  # type: ignore[arg-type]


def test_whole_numbers_cannot_be_added_up() -> None:
    class Named(nn.Module):
        def __init__(self, padding: int) -> None:
            super().__init__()
            self.map = nn.Conv2d(3, 5, 3, 2, padding)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            scores = self.map(x).mean((2, 3))
            return scores, scores.argmax(1)

    with pytest.raises(OptionError, match=r"border: expected image or window, because the model gives whole numbers"):
        fullyconv.convert(Named(1), (12, 12), border="first-order")
    assert fullyconv.convert(Named(0), (12, 12), border="first-order").report.guarantee == "image crops"
    for border in ("image", "window"):
        report = fullyconv.verify(fullyconv.convert(Named(1), (12, 12), border=border), Named(1))
        assert not report.passed  # other weights, other classes


@pytest.mark.parametrize("border", ["image", "window"])
def test_classes_and_masks_are_compared(border: Border) -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = nn.Conv2d(3, 5, 3, 2, 1)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            found = self.map(x)
            scores = found.mean((2, 3))
            return {"class": scores.argmax(1), "sure": scores > 0.1, "mask": found > 0}

    torch.manual_seed(0)
    model = Named()
    dense = fullyconv.convert(model, (12, 12), border=border)
    report = fullyconv.verify(dense, model)
    assert report.passed, str(report)
    agreements = {item.output: item.top1_agreement for item in report.fidelity}
    assert set(agreements) == ({"class", "sure", "mask"} if border == "image" else set())
    assert all(0 < share <= 1 for share in agreements.values() if share is not None)


def test_a_softmax_of_one_value_is_one_everywhere() -> None:
    class Alone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = nn.Conv2d(3, 5, 3, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.map(x).mean((2, 3))[:, None].softmax(1)

    dense = fullyconv.convert(Alone(), (12, 12), border="first-order")
    assert dense.card.activation == "none"
    torch.testing.assert_close(dense(torch.rand(1, 3, 14, 16)), torch.ones(1, 5, 2, 3))
