"""A forward that does something else while it is followed is found."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import fullyconv
from fullyconv.capture.agreement import check_agreement
from fullyconv.capture.torch_export import capture
from fullyconv.errors import FollowError
from fullyconv.rewrite.crops import CropModule


class Catching(nn.Conv2d):
    """Falls back where it may not read values: torch.export follows the fallback."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = super().forward(x).mean((2, 3))
        try:
            sign = 1 if x.mean() > 0 else -1
        except Exception:
            sign = 5
        return scores * sign


class Exporting(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = super().forward(x).mean((2, 3))
        return scores if torch.compiler.is_exporting() else scores + 1


class Fewer(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = super().forward(x).mean((2, 3))
        return scores[:, :2] if torch.compiler.is_exporting() else scores


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Catching, "its size or number depends on the values of the image"),
        (Exporting, "the model gives other scores when it is followed than when it runs"),
        (Fewer, "the model gives outputs of other shapes when it is followed"),
    ],
)
def test_a_forward_that_notices_runs_on_crops(kind: type[nn.Conv2d], reason: str) -> None:
    torch.manual_seed(0)
    model = kind(3, 4, 3).eval()
    with pytest.raises(FollowError, match=reason):
        check_agreement(capture(model, (9, 8)), model)  # the first is found by its graph alone
    dense = fullyconv.convert(model, (9, 8))
    assert isinstance(dense.module, CropModule) and reason in dense.report.reasons[0]
    assert fullyconv.verify(dense, model).passed


def test_a_plain_forward_agrees() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten()).train()
    check_agreement(capture(model, (9, 8)), model)
    assert model.training and not model[1].num_batches_tracked
