"""How far scores move with the rounding of pixels, and that only then the verdict is milder."""

from __future__ import annotations

import torch
from torch import nn

import fullyconv
from fullyconv.verify.comparison import Pairing
from fullyconv.verify.conditioning import measure_conditioning
from fullyconv.verify.original import Original
from fullyconv.verify.verdict import judge_all

WINDOW = (6, 5)


class Restless(nn.Module):
    """Of two sums that are equal up to a share, one is taken from the other: what is left has the rounding of both."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.conv, self.fc, self.other = nn.Conv2d(1, 4, 3), nn.Linear(48, 2), nn.Linear(48, 2)
        with torch.no_grad():
            for mine, its in zip(self.other.parameters(), self.fc.parameters(), strict=True):
                mine.mul_(share).add_(its)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x).flatten(1)
        return self.fc(y) - self.other(y)


def measure(share: float) -> dict[tuple[str, ...], float]:
    torch.manual_seed(0)
    windows = torch.randn(4, 1, *WINDOW)
    original = Original(Restless(share).eval(), windows, torch.float32)
    scores = original.answer(windows)["scores"].scores
    cells = tuple((image, 0, 0) for image in range(4))
    pairing = Pairing("window", "scores", "scores", "windows", WINDOW, cells, scores, scores)
    return measure_conditioning(original.answer, windows, [pairing])


def test_what_takes_large_numbers_from_one_another_moves():
    (calm,), (restless,) = measure(1.0).values(), measure(1e-5).values()
    assert 0 < calm < 1e-6
    assert 1e-3 < restless < 1e-1


def test_the_verdict_allows_for_it_in_both_number_types():
    key = ("window", "kind", "scores", "an image")
    for unrest, passed in ({key: 0.01}, True), ({key: 1e-3}, False), ({("window", "size", *key[2:]): 0.01}, False):
        pairings = {}
        for dtype, error in ((torch.float64, 1e-11), (torch.float32, 3e-2)):
            tensors = (torch.tensor([1.0, 1.0 + more], dtype=dtype) for more in (error, 0.0))
            pairings[dtype] = [Pairing(*key[:3], key[3], WINDOW, ((0, 0, 0), (0, 0, 1)), *tensors)]
        exact, single = judge_all(pairings, {}, unrest=unrest)
        assert single.passed == passed
        assert exact.passed  # 4 % of float32's unit are far less than 1e-10 of float64's


def test_a_calm_network_with_a_wrong_weight_is_still_wrong():
    torch.manual_seed(0)
    model = Restless(1.0).eval()
    dense = fullyconv.convert(model, WINDOW, channels=1)
    assert fullyconv.verify(dense, model).passed
    with torch.no_grad():
        model.fc.weight[1, 7] += 1e-4
    report = fullyconv.verify(dense, model)
    assert not report.passed
    assert max(item.tolerance for item in report.comparisons) == 2e-5
