"""Models that give a dataclass: the converted network gives its fields by name."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

import fullyconv


@dataclass
class Kinds:
    coarse: Tensor
    fine: Tensor | None = None


@dataclass(frozen=True)
class Scores:
    """Nobody told torch.export of it."""

    kinds: Kinds
    ages: list[Tensor]
    note: Tensor = field(init=False, default=torch.zeros(3))


@dataclass
class Told:
    coarse: Tensor
    fine: Tensor | None = None


torch.export.register_dataclass(Told)


class Heads(nn.Module):
    """A trunk, a gate of the whole window where asked for, and heads whose scores a dataclass holds."""

    def __init__(self, kind: type[Kinds | Told | Scores], *, gated: bool) -> None:
        super().__init__()
        self.kind, self.gated = kind, gated
        self.stem, self.coarse, self.age = nn.Conv2d(3, 6, 5), nn.Linear(6 * 8 * 4, 2), nn.Linear(6 * 8 * 4, 1)
        generator = torch.Generator().manual_seed(3)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.2, generator=generator)

    def forward(self, images: Tensor) -> Kinds | Told | Scores:
        x = torch.relu(self.stem(images))
        x = x * x.mean((2, 3), keepdim=True).sigmoid() if self.gated else x
        x = x.flatten(1)
        if self.kind is Scores:
            return Scores(Kinds(self.coarse(x)), [self.age(x)])
        return self.kind(coarse=self.coarse(x))


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("kind", [Kinds, Told, Scores])
def test_fields_are_given_by_name(tmp_path, kind, gated):
    model = Heads(kind, gated=gated).eval()
    dense = fullyconv.convert(model, window=(12, 8))
    assert dense.report.tier == 1 + gated
    report = fullyconv.verify(dense, model)
    assert report.passed, str(report)
    names = {"kinds.coarse", "ages.0"} if kind is Scores else {"coarse"}
    assert {comparison.output for comparison in report.comparisons} == names
    dense.save(tmp_path / "dense.pt2")
    image = torch.rand(1, 3, 15, 10)
    found = fullyconv.load(tmp_path / "dense.pt2")(image)
    own = model(image[:, :, 2:14, 1:9])
    if kind is Scores:
        assert list(found) == ["kinds", "ages"]
        own, found = own.kinds, found["kinds"]
    assert list(found) == ["coarse"]
    torch.testing.assert_close(found["coarse"][..., 2, 1], own.coarse)


def test_on_crops_too():
    model = Heads(Scores, gated=False).eval()
    dense = fullyconv.convert(model, window=(12, 8), windowed_from="image")
    assert list(dense(torch.rand(1, 3, 15, 10))) == ["kinds", "ages"]
    assert fullyconv.verify(dense, model).passed
