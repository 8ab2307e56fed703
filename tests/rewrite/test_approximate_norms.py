"""Norms over space as local approximations, against a slow network with the same definition."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fullyconv
from around import normalise_slowly, slide_slowly
from fullyconv.scan import scan

WINDOW, EXTENT = (24, 33), (11, 16)
Norm = Callable[[torch.Tensor], torch.Tensor]


def norm_last_axes(x: torch.Tensor) -> torch.Tensor:
    """Returns the layer norm over everything, with rows and columns before the channels."""
    return F.layer_norm(x.permute(0, 2, 3, 1), (*EXTENT, 8)).permute(0, 3, 1, 2)


def norm_flat(x: torch.Tensor) -> torch.Tensor:
    """Returns the layer norm over everything flattened, with one scale for each channel."""
    scale = torch.arange(1.0, 9, dtype=x.dtype).view(8, 1, 1).expand(8, *EXTENT).reshape(-1)
    return F.layer_norm(x.flatten(1), (8 * EXTENT[0] * EXTENT[1],), scale).view(-1, 8, *EXTENT)


def norm_rows(x: torch.Tensor) -> torch.Tensor:
    """Returns each row of each channel by its own statistics."""
    return F.layer_norm(x, EXTENT[1:])


def by_deviation(x: torch.Tensor) -> torch.Tensor:
    """Returns the instance norm by hand."""
    return (x - x.mean((2, 3), keepdim=True)) / (x.std((2, 3), keepdim=True) + 0.1)


def by_variance(x: torch.Tensor) -> torch.Tensor:
    """Returns the layer norm by hand, over channels too."""
    variance, mean = torch.var_mean(x, (1, 2, 3), keepdim=True, correction=0)
    return (x - mean) * torch.rsqrt(variance + 0.1)


def by_response(x: torch.Tensor) -> torch.Tensor:
    """Returns each channel by its norm, relative to that of the others, with the channels last."""
    x = x.permute(0, 2, 3, 1)
    size = x.norm(p=2, dim=(1, 2), keepdim=True)
    return (x + 0.5 * x * (size / (size.mean(-1, keepdim=True) + 1e-6))).permute(0, 3, 1, 2)


def by_root(x: torch.Tensor) -> torch.Tensor:
    """Returns each channel by its root mean square."""
    return x * torch.rsqrt(x.square().mean((2, 3), keepdim=True) + 0.1)


def slide(x: torch.Tensor, score: Norm) -> torch.Tensor:
    return slide_slowly(x, EXTENT, score)


BY_HAND: dict[str, tuple[Norm, Norm]] = {
    "deviation": (
        by_deviation,
        lambda x: (x - slide(x, lambda w: w.mean((2, 3)))) / (slide(x, lambda w: w.std((2, 3))) + 0.1),
    ),
    "variance": (by_variance, lambda x: normalise_slowly(x, EXTENT, 1, 0.1)),
    "response": (by_response, lambda x: respond_slowly(x, slide(x, lambda w: w.square().sum((2, 3)).sqrt()))),
    "root": (by_root, lambda x: x / (slide(x, lambda w: w.square().mean((2, 3))) + 0.1).sqrt()),
}


def respond_slowly(x: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
    return x + 0.5 * x * size / (size.mean(1, keepdim=True) + 1e-6)


SCALES = torch.arange(1.0, 9, dtype=torch.float64).view(8, 1, 1)

# The norm of a window, and what it is around each cell of a larger map.
NORMS: dict[str, tuple[Norm, Norm]] = {
    "group": (lambda x: F.group_norm(x, 2), lambda x: normalise_slowly(x, EXTENT, 2)),
    "instance": (F.instance_norm, lambda x: normalise_slowly(x, EXTENT, 8)),
    "layer": (lambda x: F.layer_norm(x, x.shape[1:]), lambda x: normalise_slowly(x, EXTENT, 1)),
    "channels last": (norm_last_axes, lambda x: normalise_slowly(x, EXTENT, 1)),
    "flat": (norm_flat, lambda x: normalise_slowly(x, EXTENT, 1) * SCALES),
    "area": (lambda x: F.layer_norm(x, EXTENT), lambda x: normalise_slowly(x, EXTENT, 8)),
    "rows": (norm_rows, lambda x: normalise_slowly(x, (1, EXTENT[1]), 8)),
}


class Normed(nn.Module):
    """A trunk with a norm in the middle; `sliding` makes it local, on images of any size."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.norms, self.sliding = (NORMS | BY_HAND)[name], False
        self.stem, self.last, self.fc = nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 6, 3, 2), nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norms[self.sliding](self.stem(x))
        x = F.relu(self.last(x))
        if self.sliding:
            return F.conv2d(F.avg_pool2d(x, (5, 7), 1), self.fc.weight[:, :, None, None], self.fc.bias)
        return self.fc(x.mean((2, 3)))


def make_model(name: str) -> Normed:
    torch.manual_seed(0)
    return Normed(name).double().eval()


@pytest.mark.parametrize("name", (*NORMS, *BY_HAND))
def test_equals_its_definition(name: str) -> None:
    model = make_model(name)
    dense = fullyconv.convert(model, WINDOW, approximate={"spatial-norm"})
    assert (dense.report.tier, dense.report.guarantee, dense.report.shared_flops) == (3, "approximation", 1)
    rows = 1 if name == "rows" else EXTENT[0]
    assert all(f"a sliding window of {rows} x {EXTENT[1]} cells" in how for how in dense.report.approximations)
    images = torch.randn(2, 3, 41, 52, dtype=torch.float64) + torch.linspace(-3, 3, 52)
    scores = dense(images)
    model.sliding = True
    with torch.no_grad():
        expected = model(images)
    torch.testing.assert_close(scores, expected[..., : scores.shape[2], : scores.shape[3]], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", (*NORMS, *BY_HAND))
def test_is_exact_on_images_of_one_window(name: str) -> None:
    model = make_model(name)
    dense = fullyconv.convert(model, WINDOW, approximate="all")
    images = torch.randn(3, 3, *WINDOW, dtype=torch.float64) + 1
    with torch.no_grad():
        torch.testing.assert_close(dense(images)[..., 0, 0], model(images), rtol=1e-12, atol=1e-12)
    assert fullyconv.verify(dense, model).passed


def test_is_not_made_unasked() -> None:
    model = make_model("group")
    for names in ((), {"squeeze-excitation"}):
        report = fullyconv.convert(model, WINDOW, approximate=names).report
        assert report.tier == 2 and not report.approximations
        assert "statistics are those of a whole window" in report.reasons[0]


def test_a_scale_for_each_position_runs_on_windows() -> None:
    layers = nn.Conv2d(3, 8, 3, 2), nn.LayerNorm([8, *EXTENT]), nn.Flatten(), nn.Linear(8 * EXTENT[0] * EXTENT[1], 2)
    model = nn.Sequential(*layers).eval()
    with torch.no_grad():
        layers[1].weight[0, 3, 4] = 2
    report = fullyconv.convert(model, WINDOW, approximate="all").report
    assert report.tier == 2
    assert "has a scale or shift for each position of the window" in report.reasons[0]


def test_norms_and_gates_one_after_the_other() -> None:
    """Several of both, padded, and one in a branch; every statistic reaches further than the one before."""

    class Gate(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * x.mean((2, 3), keepdim=True).sigmoid()

    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.conv = nn.GroupNorm(4, 8), nn.Conv2d(8, 8, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.conv(self.norm(x))

    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.InstanceNorm2d(8), nn.ReLU(), Gate(), Branch(), nn.Conv2d(8, 8, 3, 2, 1), Branch(),
        Gate(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    ).eval()  # fmt: skip
    dense = fullyconv.convert(model, WINDOW, approximate="all")
    assert dense.report.tier == 3 and len(dense.report.approximations) == 5 and dense.report.shared_flops == 1
    assert fullyconv.verify(dense, model).passed
    for names, made in (({"spatial-norm"}, 1), ({"squeeze-excitation"}, 0)):
        assert len(fullyconv.convert(model, WINDOW, approximate=names).report.approximations) == made


def test_tiles_equal_the_whole() -> None:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3, 4, 1), nn.GroupNorm(2, 4), nn.ReLU(), nn.Conv2d(4, 4, 3, 1, 1), nn.InstanceNorm2d(4)
    model = nn.Sequential(*layers, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    dense = fullyconv.convert(model, WINDOW, approximate="all")
    assert len(dense.report.approximations) == 2
    image = torch.randint(0, 256, (230, 209, 3), dtype=torch.uint8)
    image[:115, 104:] //= 8  # statistics differ from place to place
    whole, tiled = (torch.from_numpy(scan(dense, image.numpy(), tile_px=size).scores) for size in (10**6, 130 * 150))
    torch.testing.assert_close(whole, tiled, rtol=1e-5, atol=1e-5)


def test_a_corrupted_weight_is_found() -> None:
    model = make_model("group")
    dense = fullyconv.convert(model, WINDOW, approximate="all")
    with torch.no_grad():
        dense.module.get_parameter("fc.weight")[0, 0] += 0.01
    assert not fullyconv.verify(dense, model).passed


def test_is_saved_and_loaded(tmp_path) -> None:
    model = make_model("flat")
    dense = fullyconv.convert(model, WINDOW, approximate="all")
    dense.save(tmp_path / "dense.pt2")
    loaded = fullyconv.load(tmp_path / "dense.pt2")
    assert loaded.report == dense.report and loaded.margins_px == dense.margins_px
    images = torch.randn(1, 3, 37, 50, dtype=torch.float64)
    assert torch.equal(loaded(images), dense(images))
