"""Steps that put values elsewhere, run on maps that are not a multiple of anything, and from a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fullyconv
import zoo
from fullyconv.errors import ModelError
from planning import WINDOW, Between, pooled


def make_images(height: int, width: int) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def convert_between(function: object, features: int) -> tuple[nn.Module, fullyconv.DenseModel]:
    torch.manual_seed(0)
    model = Between(function, features).eval().double()  # type: ignore[arg-type]
    return model, fullyconv.convert(model, WINDOW)


@pytest.mark.parametrize("rest", range(5))
def test_rest_rows_fill_no_block(rest: int) -> None:
    """An image of any size has the windows that fit, and each is its crop."""
    model, dense = convert_between(lambda x: pooled(F.pixel_unshuffle(x, 2).relu()), 24)
    images = make_images(21 + rest, 17 + rest)
    with torch.no_grad():
        scores = dense(images)
        rows, columns = 1 + (4 + rest) // 4, 1 + (4 + rest) // 4
        assert scores.shape == (2, 4, rows, columns)
        for i in range(rows):
            for j in range(columns):
                crop = images[:, :, 4 * i : 4 * i + 17, 4 * j : 4 * j + 13]
                torch.testing.assert_close(scores[:, :, i, j], model(crop), rtol=1e-12, atol=1e-12)


def test_finer_cells_do_not_bring_windows_closer() -> None:
    """Between two windows that are one finer cell apart the network is another: they are not offered."""
    model, dense = convert_between(lambda x: pooled(F.pixel_shuffle(x[:, :4], 2).tanh()), 1)
    assert dense.grid.stride_px == (2, 2)
    images = make_images(19, 15)
    with torch.no_grad():
        scores = dense(images)
        torch.testing.assert_close(scores[..., 1, 1], model(images[:, :, 2:, 2:]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["space_to_depth", "depth_to_space", "reordered_channels", "grouped_channels"])
def test_a_file_keeps_them(name: str, tmp_path: Path) -> None:
    entry = zoo.ZOO[name]
    dense = fullyconv.convert(zoo.build(name), entry.window)
    dense.save(tmp_path / "dense.pt2")
    images = make_images(entry.window[0] + 9, entry.window[1] + 7).float()
    with torch.no_grad():
        assert torch.equal(fullyconv.load(tmp_path / "dense.pt2")(images), dense(images))


@pytest.mark.parametrize(
    "head",
    [
        lambda x: pooled(x).t(),
        lambda x: torch.stack([pooled(x), x.amax((2, 3)), -pooled(x)]),
        lambda x: (x * pooled(x)[:, :, None, None]).mean((2, 3)).t(),
    ],
)
def test_outputs_begin_with_the_batch(head: object) -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 5, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return head(self.stem(x))  # type: ignore[operator]

    with pytest.raises(ModelError, match="expected the batch first, got the shape"):
        fullyconv.convert(Turned(), (9, 8))


def test_a_softmax_of_groups_keeps_its_shape_at_every_border() -> None:
    """Scores whose last activation had another shape are made with it, also where borders are the window's."""

    class Grouped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.fc = nn.Conv2d(3, 5, 3, padding=1), nn.Linear(5, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(pooled(self.stem(x).relu())).unflatten(1, (2, 3)).softmax(2).flatten(1)

    torch.manual_seed(0)
    dense = fullyconv.convert(Grouped().eval(), (9, 8), border="first-order")
    images = make_images(10, 10).float()
    assert dense(images).shape == dense.module.logits(images).shape == (2, 6, 2, 3)
