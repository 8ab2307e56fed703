"""Classifiers and their converted networks, written by hand: a second opinion on what verify accepts."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fullyconv.grid import Grid
from fullyconv.verify.splits import Probe, SplitTensor
from fullyconv.verify.subject import Subject


@dataclass(frozen=True)
class Case:
    model: nn.Module
    subject: Subject


def fill(module: nn.Module, seed: int = 1) -> nn.Module:
    """Random weights and statistics, of a size that keeps the values near 1."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if not tensor.is_floating_point():
            continue
        fan_in = tensor[0].numel() if tensor.dim() > 1 else 4
        values = torch.randn(tensor.shape, generator=generator) * (1.5 / fan_in) ** 0.5
        tensor.copy_(values.abs() + 0.5 if "running_var" in name else values)
    return module.eval()


def make_probe(window: tuple[int, int], channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(2, channels, *window, generator=generator, dtype=torch.float64)


def make_case(model: nn.Module, dense: nn.Module, grid: Grid, guarantee: str, align: bool = False) -> Case:
    """The model's `trunk` gives the split tensor; `dense` shares its weights."""
    image = make_probe(grid.window_px)
    with torch.no_grad():
        value = copy.deepcopy(model).double().trunk(image)
    split = SplitTensor("feature map", value)
    return Case(model, Subject(dense, grid, guarantee, align, Probe(image, (split,))))


class Plain(nn.Module):
    """No padding; in-place rectifiers; flatten; softmax."""

    def __init__(self, padding: int = 0, cells: tuple[int, int] = (5, 7)) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=padding),
            nn.BatchNorm2d(4),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3, padding=padding),
            nn.ReLU(inplace=True),
        )
        self.first = nn.Linear(6 * cells[0] * cells[1], 5)
        self.second = nn.Linear(5, 3)

    def forward(self, images: Tensor) -> Tensor:
        x = self.trunk(images)
        x = F.relu(self.first(x.view(x.size(0), -1)), inplace=True)
        return F.softmax(self.second(F.dropout(x, training=self.training)), dim=1)


class DensePlain(nn.Module):
    def __init__(self, model: Plain, cells: tuple[int, int]) -> None:
        super().__init__()
        self.trunk = model.trunk
        self.first = nn.Parameter(model.first.weight.reshape(5, 6, *cells).clone().detach())
        self.first_bias, self.second = model.first.bias, model.second

    def logits(self, images: Tensor) -> Tensor:
        x = F.relu(F.conv2d(self.trunk(images), self.first, self.first_bias))
        return F.conv2d(x, self.second.weight[:, :, None, None], self.second.bias)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(images).softmax(1)


def make_plain(padding: int, cells: tuple[int, int]) -> Case:
    border = 0 if padding else 6
    model = fill(Plain(padding, cells))
    grid = Grid((2 * cells[0] + border, 2 * cells[1] + border), (2, 2), cells)
    return make_case(model, DensePlain(model, cells), grid, "feature windows" if padding else "image crops")


@pytest.fixture
def plain() -> Case:
    return make_plain(padding=0, cells=(5, 7))


@pytest.fixture
def square() -> Case:
    return make_plain(padding=0, cells=(5, 5))


@pytest.fixture
def padded() -> Case:
    return make_plain(padding=1, cells=(8, 10))


class Residual(nn.Module):
    """Branches that round odd sizes differently; global mean; one sigmoid unit, squeezed."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.branch = nn.Conv2d(4, 4, 3, stride=2, padding=1)
        self.unit = nn.Linear(4, 1)

    def trunk(self, images: Tensor) -> Tensor:
        x = F.relu(self.stem(images))
        return F.relu_(self.branch(x) + F.max_pool2d(x, 2))

    def forward(self, images: Tensor) -> Tensor:
        return torch.sigmoid(self.unit(self.trunk(images).mean((2, 3)))).squeeze(1)


class DenseResidual(nn.Module):
    def __init__(self, model: Residual) -> None:
        super().__init__()
        self.model = model

    def logits(self, images: Tensor) -> Tensor:
        sizes = images.shape[-2:]
        rows, columns = ((size - window) // 2 + 1 for size, window in zip(sizes, (8, 12), strict=True))
        images = F.pad(images, (0, sizes[1] % 2, 0, sizes[0] % 2))
        x = F.avg_pool2d(self.model.trunk(images), (4, 6), 1)
        return F.conv2d(x, self.model.unit.weight[..., None, None], self.model.unit.bias)[..., :rows, :columns]

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(images).sigmoid()


@pytest.fixture
def residual() -> Case:
    model = fill(Residual())
    grid = Grid((8, 12), (2, 2), (4, 6))
    return make_case(model, DenseResidual(model), grid, "feature windows", align=True)


class ChannelsLast(nn.Module):
    """(N, H, W, C) with LayerNorm, flattened; logits only."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 4, stride=4)
        self.norm = nn.LayerNorm(4)
        self.mix = nn.Linear(4, 5)
        self.last = nn.Linear(2 * 3 * 5, 3)

    def trunk(self, images: Tensor) -> Tensor:
        return F.gelu(self.mix(self.norm(self.stem(images).permute(0, 2, 3, 1))))

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.trunk(images).flatten(1))


class DenseChannelsLast(nn.Module):
    def __init__(self, model: ChannelsLast) -> None:
        super().__init__()
        self.model = model
        kernel = model.last.weight.reshape(3, 2, 3, 5).permute(0, 3, 1, 2)
        self.kernel = nn.Parameter(kernel.clone().detach())

    def forward(self, images: Tensor) -> Tensor:
        return F.conv2d(self.model.trunk(images).permute(0, 3, 1, 2), self.kernel, self.model.last.bias)

    logits = forward


@pytest.fixture
def channels_last() -> Case:
    model = fill(ChannelsLast())
    return make_case(model, DenseChannelsLast(model), Grid((8, 12), (4, 4), (2, 3)), "image crops")


class Several(nn.Module):
    """A dictionary of outputs, one of them nested; the feature map is one cell a window."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), nn.Tanh(), nn.Conv2d(4, 6, 2), nn.Tanh())
        self.kind, self.box, self.there = nn.Linear(6, 3), nn.Linear(6, 4), nn.Linear(6, 1)

    def forward(self, images: Tensor) -> dict[str, object]:
        x = self.trunk(images).flatten(1)
        boxes = (self.box(x), torch.sigmoid(self.there(x)))
        return {"kind": F.softmax(self.kind(x), 1), "boxes": boxes}


class DenseSeveral(nn.Module):
    def __init__(self, model: Several) -> None:
        super().__init__()
        self.model = model

    def logits(self, images: Tensor) -> dict[str, object]:
        x = self.model.trunk(images)
        kind, box, there = (
            F.conv2d(x, layer.weight[..., None, None], layer.bias)
            for layer in (self.model.kind, self.model.box, self.model.there)
        )
        return {"kind": kind, "boxes": (box, there)}

    def forward(self, images: Tensor) -> dict[str, object]:
        logits = self.logits(images)
        return {
            "kind": logits["kind"].softmax(1),
            "boxes": (logits["boxes"][0], logits["boxes"][1].sigmoid()),
        }


@pytest.fixture
def several() -> Case:
    model = fill(Several())
    return make_case(model, DenseSeveral(model), Grid((8, 8), (4, 4), (1, 1)), "image crops")


@pytest.fixture(params=["plain", "padded", "residual", "channels_last", "several"])
def case(request: pytest.FixtureRequest) -> Case:
    return request.getfixturevalue(request.param)
