"""Whether windows may share a batch."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn

from fullyconv.capture.batching import mixes_batch, reads_values


class Classifier(nn.Module):
    """A small classifier whose scores, or features, a function changes."""

    def __init__(self, change: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc, self.change = nn.Conv2d(3, 6, 3, stride=2), nn.Linear(6, 4), change

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.change(self.fc(self.conv(x).mean((2, 3))), x)


class BatchStatistics(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, track_running_stats=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x)).relu().mean((2, 3))


MIXING = {
    "mean": lambda s, x: s - 0.5 * s.mean(0),
    "softmax": lambda s, x: s.softmax(0),
    "sort": lambda s, x: s.sort(0)[0],
    "flip": lambda s, x: s.flip(0),
    "roll": lambda s, x: s.roll(1, 0),
    "first": lambda s, x: s + s[0],
    "last": lambda s, x: s + s[-1],
    "threshold": lambda s, x: s * torch.where(x.mean() > 5, -1.0, 1.0),
    "low_threshold": lambda s, x: s * torch.where(x.mean() > -5, -1.0, 1.0),
    "place": lambda s, x: s * torch.arange(1, len(s) + 1)[:, None],
    "size": lambda s, x: s / len(s),
    "fewer": lambda s, x: s[:1],
}
OWN = {
    "plain": lambda s, x: s,
    "threshold": lambda s, x: s * torch.where(x.mean((1, 2, 3)) > 5, -1.0, 1.0)[:, None],
    "sort": lambda s, x: s.sort(1)[0],
    "squeeze": lambda s, x: s.squeeze(),
    "undefined": lambda s, x: s + 0 * s.flip(0),  # as kernels do that multiply zeros with the next row
    "whole": lambda s, x: s.argmax(1),
    "half": lambda s, x: s.bfloat16(),
    "shapes": lambda s, x: s * (2 if x.shape[2] > 5 else 3),
}


def script(module: nn.Module) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # still what many people have
        return torch.jit.script(module)


def draw() -> torch.Tensor:
    return torch.rand(2, 3, 9, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", MIXING)
def test_a_window_that_depends_on_its_neighbours_is_found(name: str) -> None:
    assert mixes_batch(Classifier(MIXING[name]).eval(), draw())


@pytest.mark.parametrize("name", OWN)
def test_a_window_that_is_its_own_is_left_alone(name: str) -> None:
    classifier = Classifier(OWN[name]).eval()
    assert not mixes_batch(classifier, draw())
    assert not reads_values(classifier, draw())


def test_statistics_of_the_batch_in_evaluation_mode() -> None:
    assert mixes_batch(BatchStatistics().eval(), draw())
    assert not mixes_batch(BatchStatistics().eval(), draw()[:1])


def test_the_image_stays_as_it_is() -> None:
    image, before = draw(), draw()
    assert not mixes_batch(nn.Sequential(nn.ReLU(inplace=True), nn.Flatten()), image)
    assert torch.equal(image, before)


@pytest.mark.parametrize(
    "read",
    [
        lambda s, x: s if x.mean() > 0 else -s,
        lambda s, x: s * x.max().item(),
        lambda s, x: s * torch.tensor(x.mean((1, 2, 3)).tolist())[:, None],
        lambda s, x: torch.from_numpy(s.numpy() * 2),
        lambda s, x: s * len(x.nonzero().unique(dim=0).tolist()),
    ],
)
def test_reading_values_is_found(read: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
    assert reads_values(Classifier(read).eval(), draw())


def test_scripted_modules() -> None:
    plain = script(nn.Sequential(nn.Conv2d(3, 6, 3), nn.Flatten(), nn.Linear(6 * 42, 4)).eval())
    assert not reads_values(plain, draw()) and not mixes_batch(plain, draw())
