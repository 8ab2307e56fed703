"""First-order sums beyond one window, against bands cut by hand, and a checker that sees where they are wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

import fullyconv
from fullyconv.grid import Grid
from fullyconv.rewrite import borders, grid_module
from zoo import ZOO, build


def convert(name: str, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, fullyconv.DenseModel]:
    model = build(name, dtype)
    return model, fullyconv.convert(model, ZOO[name].window, border="first-order")


@pytest.mark.parametrize("name", ["vgg", "resnet", "squeeze_excite", "branches_of_several_strides", "ceil_pool"])
def test_sums_equal_those_of_bands(name: str) -> None:
    model, dense = convert(name)
    report = fullyconv.verify(dense, model)
    assert report.passed, str(report)
    assert report.errors["first-order sums"]["float64"] < 1e-12
    assert "feature windows" in report.errors


def test_sums_of_an_output_with_an_activation() -> None:
    """They are sums of logits; scores follow from those."""
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for last in (nn.Softmax(1), nn.Sigmoid()):
        model = nn.Sequential(trunk, nn.Linear(6, 4), last).eval()
        report = fullyconv.verify(fullyconv.convert(model, (12, 16), border="first-order"), model)
        assert report.passed, str(report)
        found = {item.quantity for item in report.comparisons if item.guarantee == "first-order sums"}
        assert found == {"scores", "logits"}


def test_bands_cut_by_hand() -> None:
    """The definition, spelled out with the classifier's own layers: no part of the project takes part."""
    model, dense = convert("vgg", torch.float64)
    trunk, head = model[:8], model[8:]  # eight layers up to the map of 7 x 7 cells, 4 pixels apart
    assert isinstance(head[0], nn.AdaptiveAvgPool2d)
    images = torch.randn(1, 3, 28 + 9, 28 + 12, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        scores, whole = dense(images), trunk(images)
        assert scores.shape == (1, 5, 3, 4)
        for i in range(3):
            for j in range(4):
                upright = trunk(images[..., 4 * j : 4 * j + 28])[:, :, i : i + 7, :7]
                lying = trunk(images[:, :, 4 * i : 4 * i + 28])[:, :, :7, j : j + 7]
                expected = head(upright) + head(lying) - head(whole[:, :, i : i + 7, j : j + 7])
                torch.testing.assert_close(scores[..., i, j], expected, rtol=1e-11, atol=1e-11)


Run = Callable[[Tensor], Sequence[Tensor]]


def forget_the_bands(run: Run, images: Tensor, grid: Grid) -> list[Tensor]:
    return list(run(images))


def swap_two_columns(run: Run, images: Tensor, grid: Grid) -> list[Tensor]:
    sums = borders.run_bands(run, images, grid)
    return [values.roll(1, -1) if values.shape[-1] > 1 else values for values in sums]


def forget_the_whole(run: Run, images: Tensor, grid: Grid) -> list[Tensor]:
    sums = zip(borders.run_bands(run, images, grid), run(images), strict=True)
    return [values if values[0, 0].numel() == 1 else (values + whole) / 2 for values, whole in sums]


def forget_a_row(run: Run, images: Tensor, grid: Grid) -> list[Tensor]:
    sums = borders.run_bands(run, images, grid)
    return [values[..., 1:, :] if values.shape[-2] > 1 else values for values in sums]


@pytest.mark.parametrize("wrong", [forget_the_bands, swap_two_columns, forget_the_whole, forget_a_row])
def test_wrong_sums_are_seen(wrong: Callable[..., list[Tensor]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is right on images of one window, where nothing but the sums beyond could show it."""
    model, dense = convert("resnet")
    monkeypatch.setattr(grid_module, "run_bands", wrong)
    report = fullyconv.verify(dense, model)
    assert not report.passed
    assert {item.guarantee for item in report.comparisons if not item.passed} == {"first-order sums"}


def test_sums_of_scores_where_the_last_activation_is_not_the_whole_output() -> None:
    class Grouped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk, self.fc = nn.Conv2d(3, 6, 3, 2, 1), nn.Linear(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.trunk(x).relu().mean((2, 3))).unflatten(1, (2, 3)).softmax(2).flatten(1)

    torch.manual_seed(0)
    model = Grouped().eval()
    report = fullyconv.verify(fullyconv.convert(model, (12, 16), border="first-order"), model)
    assert report.passed, str(report)
    assert report.errors["first-order sums"]["float64"] < 1e-12


def test_what_cannot_run_on_bands_is_said() -> None:
    class Halting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk, self.fc = nn.Conv2d(3, 6, 3, 2, 1), nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            assert abs(x.shape[2] - x.shape[3]) < 20
            return self.fc(self.trunk(x).relu().mean((2, 3)))

    torch.manual_seed(0)
    model = Halting().eval()
    dense = fullyconv.convert(model, (12, 12), border="first-order")
    report = fullyconv.verify(dense, model, torch.randn(1, 3, 40, 40))
    (note,) = (note for note in report.notes if "first-order" in note)
    assert "not checked (AssertionError" in note
