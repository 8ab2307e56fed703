"""Local approximations, against a slow network with the same definition."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fullyconv
from around import slide_slowly
from fullyconv.errors import OptionError

WINDOW = (24, 33)


def pool_slowly(x: torch.Tensor, rows: int, columns: int, kind: str) -> torch.Tensor:
    """Returns for each cell the pool over the window around it."""
    score = {"average": lambda w: w.mean((2, 3)), "max": lambda w: w.amax((2, 3)), "sum": lambda w: w.sum((2, 3))}
    return slide_slowly(x, (rows, columns), score[kind])


class Gated(nn.Module):
    """A trunk with a gate in the middle; `pool` decides what the gate sees, `sliding` makes it local."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.sliding = form, False
        self.stem = nn.Conv2d(3, 8, 3, 2)
        self.down, self.up = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.last, self.fc = nn.Conv2d(8, 6, 3, 2), nn.Linear(6, 5)

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        kind = self.form if self.form in ("max", "sum") else "average"
        if self.sliding:
            return pool_slowly(x, 11, 16, kind)
        if kind == "average":
            return F.adaptive_avg_pool2d(x, 1)
        return x.amax((2, 3), keepdim=True) if kind == "max" else x.sum((2, 3), keepdim=True)

    def gate(self, pooled: torch.Tensor) -> torch.Tensor:
        if self.form == "linear" and not self.sliding:
            flat = pooled.flatten(1)
            hidden = F.relu(F.linear(flat, self.down.weight[:, :, 0, 0], self.down.bias))
            return F.linear(hidden, self.up.weight[:, :, 0, 0], self.up.bias).view(flat.shape[0], -1, 1, 1).sigmoid()
        return self.up(F.relu(self.down(pooled))).sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        gate = self.gate(self.pool(x))
        x = x * (gate.expand_as(x) if self.form == "expand" else gate)
        x = F.relu(self.last(x))
        if self.sliding:  # the same on an image of any size
            return F.conv2d(F.avg_pool2d(x, (5, 7), 1), self.fc.weight[:, :, None, None], self.fc.bias)
        return self.fc(x.mean((2, 3)))


@pytest.mark.parametrize("form", ["plain", "max", "sum", "linear", "expand"])
def test_equals_its_definition(form: str) -> None:
    torch.manual_seed(0)
    model = Gated(form).double().eval()
    dense = fullyconv.convert(model, WINDOW, approximate={"squeeze-excitation"})
    assert (dense.report.tier, dense.report.guarantee, dense.report.shared_flops) == (3, "approximation", 1)
    assert "pools a sliding window of 11 x 16 cells" in dense.report.approximations[0]
    images = torch.randn(2, 3, 41, 52, dtype=torch.float64)
    scores = dense(images)
    model.sliding = True
    with torch.no_grad():
        expected = model(images)
    torch.testing.assert_close(scores, expected[..., : scores.shape[2], : scores.shape[3]], rtol=1e-12, atol=1e-12)


def test_tiles_equal_the_whole() -> None:
    from fullyconv.scan import scan

    torch.manual_seed(0)
    dense = fullyconv.convert(Gated("plain").eval(), WINDOW, approximate="all")
    image = torch.randint(0, 256, (90, 100, 3), dtype=torch.uint8)
    image[:45, 50:] //= 8  # statistics differ from place to place
    whole, tiled = (torch.from_numpy(scan(dense, image.numpy(), tile_px=size).scores) for size in (10**6, 70 * 80))
    torch.testing.assert_close(whole, tiled, rtol=1e-5, atol=1e-5)


def test_a_constant_image_gives_the_exact_scores() -> None:
    """Where every window looks alike, the sliding statistic is the window's own."""
    torch.manual_seed(0)
    model = Gated("plain").double().eval()
    image = torch.randn(1, 3, 1, 1, dtype=torch.float64).expand(1, 3, 37, 45)
    exact = fullyconv.convert(model, WINDOW)(image)
    near = fullyconv.convert(model, WINDOW, approximate="all")(image)
    torch.testing.assert_close(near, exact, rtol=1e-12, atol=1e-12)


def test_verify_measures_the_distance() -> None:
    torch.manual_seed(0)
    model = Gated("plain").eval()
    dense = fullyconv.convert(model, WINDOW, approximate="all")
    report = fullyconv.verify(dense, model)
    assert report.passed
    assert {item.guarantee for item in report.comparisons} == {"window"}
    assert report.errors["window"]["float64"] < 1e-12
    assert {item.reference for item in report.fidelity} == {"crops", "the exact network"}
    assert all(item.mean_difference > 0 for item in report.fidelity)
    assert "equal on images of one window" in str(report) and "distance from the exact network" in str(report)


def test_verify_fails_on_what_does_not_run() -> None:
    model = Gated("plain").eval()
    dense = fullyconv.convert(model, WINDOW, approximate="all")
    with torch.no_grad():
        dense.module.get_parameter("fc.weight").data = torch.zeros(5, 3, 1, 1)
    assert not fullyconv.verify(dense, model).passed


def test_networks_without_a_gate_stay_as_they_are() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    assert fullyconv.convert(model, (9, 9), approximate="all").report.tier == 1


@pytest.mark.parametrize("names", ["some", {"attention"}, ["squeeze-excitation", "x"]])
def test_unknown_approximations(names: object) -> None:
    with pytest.raises(OptionError, match="approximate: expected all, or some of squeeze-excitation"):
        fullyconv.convert(Gated("plain"), WINDOW, approximate=names)  # type: ignore[arg-type]


def make_gate(head: Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
    class Other(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.kernel = nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 8, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return head(self)(self.stem(x)).mean((2, 3))

    return Other().eval()


def test_a_padded_kernel_over_the_statistic_runs_on_windows() -> None:
    model = make_gate(lambda m: lambda x: x * m.kernel(x.mean((2, 3), keepdim=True)))
    dense = fullyconv.convert(model, WINDOW, approximate="all")
    assert dense.report.tier == 2
    assert "after the head began" in dense.report.reasons[0]


def test_a_padded_kernel_beside_a_gate_runs_on_windows() -> None:
    """The gate alone could be approximated, but the kernel would see its neighbours instead of padding."""

    def both(m: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
        def apply(x: torch.Tensor) -> torch.Tensor:
            pooled = x.mean((2, 3), keepdim=True)
            return x * pooled.sigmoid() + m.kernel(pooled)

        return apply

    dense = fullyconv.convert(make_gate(both), WINDOW, approximate="all")
    assert any("reaches beside a statistic" in reason for reason in dense.report.reasons)
