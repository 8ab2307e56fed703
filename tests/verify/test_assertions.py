"""Models that assert the size of their image are checked beyond it all the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import fullyconv
from fullyconv.verify import verify
from fullyconv.verify.assertions import run_past_assertions


class Asserting(nn.Module):
    """A trunk that asserts its size, a linear layer along the cells, and a gate of the whole window.

    `drift` is what the trunk takes off larger images: then what it makes of them is not the trunk of the window.
    """

    def __init__(self, drift: float = 0.0) -> None:
        super().__init__()
        self.drift = drift
        self.stem, self.mixing = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.Linear(6, 6, bias=False)
        self.gate, self.unit = nn.Linear(6, 6), nn.Linear(6, 3)
        generator = torch.Generator().manual_seed(4)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.4, generator=generator)

    def forward(self, images: Tensor) -> Tensor:
        torch._assert(images.shape[-2] == 12, "expected a height of 12")
        torch._assert(images.shape[-1] == 8, "expected a width of 8")
        larger = images.shape[-2:] != (12, 8)
        x = F.relu(self.stem(images * (1 - self.drift * larger)))
        x = self.mixing(x.permute(0, 2, 3, 1))
        x = x * torch.sigmoid(self.gate(x.mean((1, 2))))[:, None, None]
        return self.unit(F.relu(x).mean((1, 2)))


def test_what_a_model_asserts_is_said_and_its_larger_maps_are_compared():
    model = Asserting().eval()
    report = verify(fullyconv.convert(model, window=(12, 8)), model)
    assert report.passed, str(report)
    assert report.checked_beyond_window
    assert report.errors["feature windows"]["float64"] < 1e-12
    (note,) = report.notes
    assert note.startswith("the model takes no larger image as it is (it asserts: expected a height of 12)")


def test_a_trunk_that_is_another_one_on_larger_images_fails():
    dense = fullyconv.convert(Asserting().eval(), window=(12, 8))
    report = verify(dense, Asserting(drift=1e-3).eval())
    assert not report.passed
    assert report.errors["window"]["float64"] < 1e-12
    assert report.errors["feature windows"]["float64"] > 1e-5


def test_what_runs_is_run_once():
    runs = []
    assert run_past_assertions(lambda: runs.append(1)) == (None, ())
    assert runs == [1]


def test_other_errors_are_the_caller_s():
    def fail() -> None:
        torch._assert(False, "")
        raise ValueError("no such layer")

    with pytest.raises(ValueError, match="no such layer"):
        run_past_assertions(fail)
