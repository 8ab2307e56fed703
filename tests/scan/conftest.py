"""Networks that are fully convolutional by hand, so that scanning is tested apart from conversion."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_map_only

from fullyconv.card import ModelCard
from fullyconv.grid import Grid
from fullyconv.scan.tiles import Margins


@dataclass(frozen=True)
class HandBuilt:
    module: nn.Module
    grid: Grid
    card: ModelCard
    margins_px: Margins = ((0, 0), (0, 0))

    def __call__(self, images: torch.Tensor) -> object:
        rows, columns = self.grid.shape(images.shape[2:])
        # a padded network gives more cells than there are whole windows: those are dropped
        return tree_map_only(torch.Tensor, lambda scores: scores[:, :, :rows, :columns], self.module(images))


def build_plain() -> HandBuilt:
    """Window 14x18, stride (2, 4), no padding: every pixel of a window and no other counts."""
    trunk = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d((2, 2)), nn.Conv2d(6, 5, 3, stride=(1, 2)), nn.ReLU()
    )  # rows: 14 -> 12 -> 6 -> 4; columns: 18 -> 16 -> 8 -> 3
    module = nn.Sequential(trunk, nn.Conv2d(5, 2, (4, 3)), nn.Softmax(dim=1))
    return HandBuilt(module, Grid((14, 18), (2, 4), (4, 3)), ModelCard((14, 18), 3, activation="softmax"))


def build_padded() -> HandBuilt:
    """Window 16x16, stride 4, two padded convolutions.

    A cell of the first map (stride 2) reads pixels 2i-1 to 2i+1, one of the second 4i-3 to 4i+3. So a score
    of window 0 to 15 reads -3 to 15: 3 pixels above and to the left, none below.
    """
    trunk = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 3, stride=2, padding=1), nn.ReLU()
    )
    module = nn.Sequential(trunk, nn.Conv2d(4, 1, 4), nn.Sigmoid())
    grid = Grid((16, 16), (4, 4), (4, 4))
    return HandBuilt(module, grid, ModelCard((16, 16), 3, ("thing",), activation="sigmoid"), ((4, 0), (4, 0)))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Many threads cost more than they bring on tensors this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=[build_plain, build_padded], ids=["plain", "padded"])
def dense(request: pytest.FixtureRequest) -> HandBuilt:
    torch.manual_seed(5)
    build: Callable[[], HandBuilt] = request.param
    made = build()
    made.module.eval()
    return made
